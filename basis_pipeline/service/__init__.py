"""Floor 5: the HTTP API and the dashboard, which show what store, Dagster and log hold."""
