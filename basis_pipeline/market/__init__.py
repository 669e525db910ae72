"""Floor 2: raw files to validated datasets to the arrays one mode needs."""
