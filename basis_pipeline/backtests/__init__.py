"""Floor 3: what a person asks for, one function a job, callable without Dagster."""
