"""Floor 5: the HTTP API and the dashboard, which show the results store, Dagster and the log.

app.py        `create_app` assembles the application; `serve` runs it until it is stopped
guard.py      checks on every call: access, size, time limit; correlation id; counters
problems.py   errors in one JSON shape
answers.py    JSON answers: without paths of this machine, with an ETag and 304
context.py    shared by the routes: settings, state, snapshot
collector.py  the data of the Dagster instance, read by a separate process
watcher.py    the loop that collects snapshots and follows the audit log
routes/       one module per resource
"""
