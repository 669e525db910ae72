"""Floor 3: what an operator asks of the pipeline, callable without Dagster."""
