"""Floor 3: one function per job a person would ask for, callable without Dagster."""
