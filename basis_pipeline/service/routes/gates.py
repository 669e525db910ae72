"""Quality gates: the latest verdict of each, and its changes since yesterday."""

from collections import Counter
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from basis_pipeline.errors import CommandError
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.forms import GateFilters
from basis_pipeline.service.routes import router
from basis_pipeline.verdict import WORST_FIRST

routes = router("gates")


@routes.get("/gates")
def list_gates(
    request: Request, context: Shared, filters: Annotated[GateFilters, Query()]
) -> Response:
    """List gates with their latest verdicts, and the number of gates by status."""
    found = chosen(context, filters)
    counts = Counter(gate["status"] for gate in found)
    counted = {status.value: counts[status.value] for status in WORST_FIRST}
    return answer(request, {"at": context.part("at"), "counts": counted, "gates": found})


@routes.get("/gates/{check}")
def show_gate(
    request: Request, context: Shared, check: Annotated[str, Path(pattern=r"^[\w:./-]{1,100}$")]
) -> Response:
    """Show the verdicts of one check on every asset and mode."""
    found = [gate for gate in context.part("gates") if gate["check"] == check]
    if not found:
        raise CommandError("API-004", f"there is no gate {check}")
    return answer(request, {"at": context.part("at"), "gates": found})


def chosen(context: Context, filters: GateFilters) -> list[dict[str, Any]]:
    """Return the gates that match."""
    since = filters.since.isoformat() if filters.since else ""
    return [
        gate
        for gate in context.part("gates")
        if (filters.phase is None or gate["phase"] == filters.phase)
        and (filters.mode is None or gate["mode"] == filters.mode)
        and (filters.status is None or gate["status"] == filters.status.value)
        and (gate["evaluated_at"] or "") >= since
        and (not filters.changed or gate["before"] is not None)
    ]
