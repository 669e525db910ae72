"""Health: what works, what does not, since when, and what that stops.

check.py     `check_health`: the whole report
model.py     statuses, findings, components, the report
graph.py     the components, what each depends on, and how faults spread
probes.py    how each component is looked at
instance.py  what Dagster knows: daemon, sensors, verdicts of the feeds, durations of steps
history.py   since when each status holds
"""
