"""Health: the status of every component, and what an unhealthy one stops.

model.py   statuses, findings, components, the report, and the metrics of the Dagster instance
probes.py  the check of each component
check.py   the dependencies of components and how faults propagate: `check_health`, the report
"""
