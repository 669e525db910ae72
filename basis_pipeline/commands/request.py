"""`basis request`: ask the platform for a backtest, or see what became of those asked for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    Capital,
    End,
    Form,
    Overrides,
    ResultsDir,
    Start,
    settings_of,
)
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.operations.requests import BacktestRequest, Served


def request(
    file: Annotated[
        Path | None, typer.Argument(help="A request as JSON or YAML; else --id and --mode.")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option("--id", help="Name of the request; used once.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="The mode.")] = None,
    start: Start = None,
    end: End = None,
    capital: Capital = None,
    overrides: Overrides = None,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Queue a backtest; the sensor `backtest_requests` has it served. Without arguments: the queue.

    The same request again shows what became of it. Another one with the same id is refused.

    Example: basis request --id calm-1 --mode btc_basis --set rebalance.enabled=false
    """
    from basis_pipeline.operations.requests.queue import requests_of, submit

    settings = settings_of(results_dir=results_dir)
    if file is None and request_id is None and mode is None:
        _show(requests_of(settings), form)
        return
    if file is None:
        asked = _asked(request_id, mode, start, end, capital, overrides)
    elif request_id or mode or start or end or capital or overrides:
        what = "a request is a file or options, not both"
        raise CommandError("API-001", what, where=str(file))
    else:
        from basis_pipeline.operations.requests.model import read_request

        asked = read_request(file)
    _show([submit(settings, asked)], form)


def _asked(
    request_id: str | None,
    mode: str | None,
    start: str | None,
    end: str | None,
    capital: float | None,
    overrides: list[str] | None,
) -> "BacktestRequest":
    from basis_pipeline.config import parse_assignments
    from basis_pipeline.config.loading import validate
    from basis_pipeline.operations.requests.model import BacktestRequest

    if request_id is None or mode is None:
        what = "a request without a file needs --id and --mode"
        raise CommandError("API-001", what, where="basis request")
    told: dict[str, Any] = {"request_id": request_id, "mode": mode, "start": start, "end": end}
    told |= {"capital": capital, "overrides": parse_assignments(overrides or ())}
    return validate(BacktestRequest, told, f"request {request_id}")


def _show(found: "list[Served]", form: Form) -> None:
    if form == "json":
        print(json.dumps([_document(served) for served in found], indent=2))
        return
    if not found:
        screen.echo("No request was ever made.")
        return
    rows = [
        [
            str(served.sequence),
            served.request.request_id,
            served.request.mode,
            served.status.value,
            served.run_id or served.message or screen.DASH,
        ]
        for served in found
    ]
    titles = ("number", "request", "mode", "status", "result, or why there is none")
    screen.console().print(screen.table("", titles, rows))


def _document(served: "Served") -> dict[str, Any]:
    return {
        "sequence": served.sequence,
        "request": served.request.model_dump(mode="json"),
        "status": served.status.value,
        "submitted_at": served.submitted_at.isoformat(),
        "finished_at": served.finished_at.isoformat() if served.finished_at else None,
        "pipeline_run": served.pipeline_run,
        "run_id": served.run_id,
        "code": served.code,
        "message": served.message,
        "verdicts": served.verdicts,
    }
