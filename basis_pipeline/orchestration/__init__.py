"""Floor 4: the pipeline as a Dagster asset graph. One module per Dagster concept, no finance."""
