"""Health: what works, what does not, since when, and what that stops.

check.py      `check_health`: everything together
model.py      statuses, findings, components, the report
graph.py      the components and what each depends on
machine.py    disk and memory · store.py: results store and event log · engine.py
families.py   the data families · platform.py: daemon, schedules and sensors, from facts
control.py    emergency control
memory.py     what the last report said: since when, what was delivered
durations.py  percentiles of latencies and of the steps of past runs
"""
