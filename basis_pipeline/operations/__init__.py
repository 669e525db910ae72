"""Floor 3: the tasks of operating the pipeline, callable without Dagster."""
