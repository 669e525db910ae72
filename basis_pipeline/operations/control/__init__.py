"""Emergency control: whether work may continue, who stopped it and why, and who resumes it.

model.py         states, measurements, breaches, transitions
limits.py        compares measurements with limits: pure functions
measurements.py  the figures of a finished backtest
state.py         the state in the results database: read, enforce limits, halt, shut down, resume
last_known.py    the copy of the state that is used while the database cannot be reached
"""

from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control.model import ControlState, Measurement, State
from basis_pipeline.operations.control.state import (
    enforce_limits,
    halt,
    read_state,
    require_not_halted,
    require_not_shut_down,
    resume,
    shutdown,
)

__all__ = [
    "ControlState",
    "Limit",
    "Measurement",
    "State",
    "enforce_limits",
    "halt",
    "read_state",
    "require_not_halted",
    "require_not_shut_down",
    "resume",
    "shutdown",
]
