"""Health: what works, what does not, and what that stops.

model.py   statuses, findings, components, the report, and what Dagster knows
probes.py  how each component is looked at
check.py   the components, what each needs, how faults spread: `check_health`, the whole report
"""
