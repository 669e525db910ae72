"""Emergency control: its state and its changes."""

from dataclasses import asdict
from typing import Any

from fastapi import BackgroundTasks, Request, Response
from pydantic_core import to_jsonable_python

from basis_pipeline.operations import control as emergency
from basis_pipeline.operations.control.state import read_state, transitions
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.forms import Halt, Resume
from basis_pipeline.service.routes import router

routes = router("control")
SHOWN = 20


@routes.get("/control")
def show_control(request: Request, context: Shared) -> Response:
    """Show the state of emergency control, the open breaches and the last changes."""
    return answer(request, control_document(context))


@routes.post("/control/halt")
def halt(request: Request, context: Shared, body: Halt, later: BackgroundTasks) -> Response:
    """Halt work: backtests are blocked, and no runs are requested, until somebody resumes."""
    change = emergency.shutdown if body.shutdown else emergency.halt
    is_changed = change(context.settings, reason=body.reason, by=body.by)
    return _changed(request, context, later, is_changed=is_changed)


@routes.post("/control/resume")
def resume(request: Request, context: Shared, body: Resume, later: BackgroundTasks) -> Response:
    """Resume work, and accept every open breach."""
    is_changed = emergency.resume(context.settings, reason=body.reason, by=body.by)
    return _changed(request, context, later, is_changed=is_changed)


def _changed(
    request: Request, context: Context, later: BackgroundTasks, *, is_changed: bool
) -> Response:
    if is_changed:
        later.add_task(context.collector.show_control)
    made = answer(request, {"changed": is_changed, **control_document(context)})
    made.background = later
    return made


def control_document(context: Context) -> dict[str, Any]:
    """Return the state and its description, the open breaches and the last changes."""
    state = read_state(context.settings)
    changes = [] if state.confirmed_at else transitions(context.settings, SHOWN)
    breaches = [{**asdict(b), "description": b.description} for b in state.breaches]
    document = {"state": state.name, **asdict(state), "breaches": breaches, "changes": changes}
    document |= {"description": state.description, "stops_work": state.stops_work}
    found: dict[str, Any] = to_jsonable_python(document, inf_nan_mode="null")
    return found
