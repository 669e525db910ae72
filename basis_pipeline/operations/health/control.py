"""Emergency control: whether work may go on."""

from basis_pipeline.errors import BacktestError, BasisError
from basis_pipeline.operations.control import State, read_state
from basis_pipeline.operations.health.model import Found, Status, faulty
from basis_pipeline.settings import Settings


def control(settings: Settings) -> Found:
    """A halt is a fault that stops every mode; so is a state that nobody can read."""
    try:
        state = read_state(settings)
    except BasisError as error:
        return faulty(error)
    if state.stops_work:
        return faulty(BacktestError("BT-005", state.description))
    if state.name is State.ALERT:
        return Found(Status.DEGRADED, state.description)
    return Found(Status.HEALTHY, state.description)
