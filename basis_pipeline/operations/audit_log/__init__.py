"""The audit log: what happened, when and in which run, as JSON lines in the results directory.

model.py    what an event is: types, categories, levels
writing.py  `emit`: records an event
files.py    the daily files: their names, compression and removal
reading.py  `read_events`: queries
following.py  `Follower`: new events as they are written
"""

from basis_pipeline.operations.audit_log.files import log_directory
from basis_pipeline.operations.audit_log.model import Category, Event, EventType, Level
from basis_pipeline.operations.audit_log.reading import read_events
from basis_pipeline.operations.audit_log.writing import correlated, emit

__all__ = [
    "Category",
    "Event",
    "EventType",
    "Level",
    "correlated",
    "emit",
    "log_directory",
    "read_events",
]
