"""The audit log: what happened, when and in which run, as JSON lines below the results directory.

model.py    what an event is: types, categories, levels
writing.py  `emit`, for everybody who has something to record
files.py    the daily files: their names, compression and removal
reading.py  `read_events`, for `basis events` and whoever asks what happened
following.py  `Follower`: what is written from now on
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
