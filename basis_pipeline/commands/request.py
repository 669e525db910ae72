"""`basis request`: queue a backtest, cancel it, or show the requests and their results."""

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
    from basis_pipeline.operations.requests import Served
    from basis_pipeline.settings import Settings

TITLES = ("number", "request", "mode", "status", "run or message")


def request(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|FILE", help="A request to show, or a JSON or YAML file."),
    ] = None,
    request_id: Annotated[
        str | None, typer.Option("--id", help="Name of the request, unique.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="The mode.")] = None,
    start: Start = None,
    end: End = None,
    capital: Capital = None,
    overrides: Overrides = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel the request NAME while it is queued.")
    ] = False,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Queue a backtest for the sensor `backtest_requests` to run, or show the requests.

    Without arguments it lists all requests. A file, or --id and --mode, queues one; the same
    request again is only shown. A name shows one request with the verdicts of its gates.

    Examples
    --------
      basis request --id calm-1 --mode btc_basis --set rebalance.enabled=false
      basis request calm-1
      basis request calm-1 --cancel
    """
    from basis_pipeline.config import parse_assignments
    from basis_pipeline.config.loading import validate
    from basis_pipeline.operations.requests.model import BacktestRequest, read_request
    from basis_pipeline.operations.requests.queue import requests_of, submit

    settings = settings_of(results_dir=results_dir)
    values: dict[str, Any] = {"request_id": request_id, "mode": mode, "start": start, "end": end}
    values |= {"capital": capital, "overrides": parse_assignments(overrides or ())}
    if name is None and cancel:
        raise _unusable("--cancel needs the name of a request")
    if name is not None and any(values.values()):
        raise _unusable("a name or a file cannot be combined with options of a new request")
    if name is None and not any(values.values()):
        _show(requests_of(settings), form)
    elif name is None:
        if request_id is None or mode is None:
            raise _unusable("a request without a file needs --id and --mode")
        given = validate(BacktestRequest, values, f"request {request_id}")
        _show([submit(settings, given)], form)
    elif not cancel and (name.endswith((".json", ".yaml", ".yml")) or Path(name).is_file()):
        _show([submit(settings, read_request(Path(name)))], form)
    else:
        _show_one(settings, _named(settings, name, cancel=cancel), form)


def _unusable(what: str, available: str = "") -> CommandError:
    return CommandError("API-001", what, where="basis request", available=available)


def _named(settings: "Settings", name: str, *, cancel: bool) -> "Served":
    """Return the request `name`, which is canceled first if `cancel` is set."""
    from basis_pipeline.operations.requests.model import Status
    from basis_pipeline.operations.requests.queue import cancel as canceled
    from basis_pipeline.operations.requests.queue import request_named, requests_of

    served = canceled(settings, name) if cancel else request_named(settings, name)
    if served is None:
        known = [served.request.request_id for served in requests_of(settings)][-20:]
        raise _unusable(f"there is no request {name!r}", ", ".join(known))
    if cancel and served.status is not Status.CANCELED:
        what = f"the request {name} is {served.status.value}: only a queued one can be canceled"
        raise _unusable(what)
    return served


def _show(requests: "list[Served]", form: Form) -> None:
    if form == "json":
        print(json.dumps([served.to_json() for served in requests], indent=2))
    elif not requests:
        screen.echo("There are no requests.")
    else:
        screen.console().print(screen.table("", TITLES, map(_row, requests)))


def _row(served: "Served") -> list[str]:
    request, outcome = served.request, served.run_id or served.message or screen.DASH
    number = str(served.sequence)
    return [number, request.request_id, request.mode, served.status.value, outcome]


def _show_one(settings: "Settings", served: "Served", form: Form) -> None:
    """Show one request, with the verdicts of its result."""
    from basis_pipeline.results.store import read_verdicts

    directory = settings.results_dir / "runs" / served.run_id
    verdicts = read_verdicts(directory) if served.run_id else []
    document: dict[str, Any] = served.to_json()
    if form == "json":
        document["verdicts"] = [verdict.to_json() for verdict in verdicts]
        print(json.dumps(document, indent=2))
        return
    for name, value in {**document.pop("request"), **document}.items():
        text = json.dumps(value) if isinstance(value, dict) and value else value
        screen.echo(f"  {name:16}{screen.DASH if text in (None, '', {}) else text}")
    if verdicts:
        screen.show_verdicts(verdicts)
