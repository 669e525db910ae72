"""Emergency control: may work go on, who stopped it and why, and who lets it go on.

model.py    states, what was measured, breaches, transitions
policy.py   from figures and limits to the state they demand: pure
figures.py  the figures of a finished backtest, and the age of data
state.py    the state in the results database: read, assess, halt, shut down, resume
"""

from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control.model import ControlState, Measured, State
from basis_pipeline.operations.control.state import (
    alert,
    assess,
    halt,
    read_state,
    require_open,
    require_work,
    resume,
    shutdown,
)

__all__ = [
    "ControlState",
    "Limit",
    "Measured",
    "State",
    "alert",
    "assess",
    "halt",
    "read_state",
    "require_open",
    "require_work",
    "resume",
    "shutdown",
]
