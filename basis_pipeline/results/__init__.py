"""What a run leaves behind: figures, tables, the store of runs and their reports."""
