"""`basis events`: what happened, when and in which run, from the audit log."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, settings_of

if TYPE_CHECKING:
    from basis_pipeline.errors import EventError
    from basis_pipeline.operations.audit_log import Event

LINE = "{:23}  {:8}  {:18}  {:36}  {:31}  {:32}  {}"
TITLES = ("time (UTC)", "level", "type", "run", "mode", "component", "fields")
# Characters of a field in the table; JSON has them all.
SHOWN = 400

Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="A type of event, such as run_blocked, or a kind of alert, such as run_failed; may be "
        "given several times.",
    ),
]
Categories = Annotated[
    list[str] | None,
    typer.Option(
        "--category",
        help="data, risk, business, audit or performance; may be given several times.",
    ),
]


def events(
    types: Types = None,
    categories: Categories = None,
    mode: Annotated[str | None, typer.Option(help="Events of this mode only.")] = None,
    run: Annotated[str | None, typer.Option(help="Events of this Dagster run only.")] = None,
    since: Annotated[
        str | None, typer.Option(help="First time: 2024-06-01, 2024-06-01T08:00, 2h, 3d.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="End, not included.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show the last N; 0 shows all.")] = 100,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Show what happened, in order of time: the last 100 events that match all filters.

    Every run records its request, the configuration used, the hash of all data read, the verdict of
    every gate, what was blocked and why, its results, and the time of every step. Times are UTC; a
    span such as 2h or 3d counts back from now. --run takes the full Dagster id.

    Example: basis events --category audit --mode btc_basis --since 1d

    Example: basis events --type run_blocked --type data_rejected --since 2024-06-01 --format json
    """
    from basis_pipeline.operations.audit_log import log_directory, read_events

    damages: list[EventError] = []
    found = read_events(
        log_directory(settings_of(results_dir=results_dir)),
        types=types or (),
        categories=categories or (),
        mode=mode,
        run_id=run,
        since=since,
        until=until,
        limit=limit or None,
        damages=damages,
    )
    if form == "json":
        documents = [{**asdict(event), "at": event.at.isoformat()} for event in found]
        print("[" + ",\n ".join(map(json.dumps, documents)) + "]")
    else:
        print("\n".join([LINE.format(*TITLES), *map(_line, found)]))
    for damage in damages:
        screen.echo_error(damage)


def _line(event: "Event") -> str:
    return LINE.format(
        f"{event.at:%Y-%m-%d %H:%M:%S}.{event.at.microsecond // 1000:03}",
        event.level,
        event.type,
        event.run_id,
        event.mode,
        event.component,
        ", ".join(f"{name} {_short(value)}" for name, value in event.fields.items()),
    ).rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
