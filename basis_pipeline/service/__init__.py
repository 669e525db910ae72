"""Floor 5: the HTTP API and the dashboard, which show what store, Dagster and log hold.

app.py        `create_app`: everything below put together; `serve`, until it is stopped
guard.py      what every call passes: who may ask, how much, how long; correlation; counting
problems.py   errors as the one JSON shape
answers.py    JSON answers: no path of this machine in them, an ETag, 304
context.py    what routes share: settings, configuration, state, snapshot
collector.py  what only Dagster knows, read by a process of its own
watcher.py    the loop that collects, and follows the audit log
routes/       one module a resource
"""
