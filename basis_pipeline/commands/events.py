"""`basis events`: what happened, when and in which run, from the event log."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, settings_of

if TYPE_CHECKING:
    from basis_pipeline.errors import EventError
    from basis_pipeline.operations.events.model import Event

LINE = "{:23}  {:8}  {:18}  {:36}  {:31}  {:32}  {}"
TITLES = ("time (UTC)", "level", "type", "run", "mode", "component", "what it says")
TOLD = 400  # characters of a field in the table; JSON has them all

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="A type, as run_refused; may be given several times."),
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
    mode: Annotated[str | None, typer.Option(help="What belongs to this mode.")] = None,
    run: Annotated[str | None, typer.Option(help="What belongs to this Dagster run.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From here on: 2024-06-01, 2024-06-01T08:00, 2h, 3d.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to here, without it.")] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Only the last so many; 0 shows all, as they are read.")
    ] = 100,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Show what happened, in order of time: the last 100 events that fit everything asked for.

    Every run leaves a trail: what was asked for, the configuration used, the hash of all data read,
    the verdict of every gate, what was refused and why, its results, the time of every step. Times
    are UTC; a span as 2h or 3d counts back from now. A run is named by its Dagster id, in full.

    Example: basis events --category audit --mode btc_basis --since 1d

    Example: basis events --type run_refused --type data_refused --since 2024-06-01 --format json
    """
    from basis_pipeline.operations.events.model import DIRECTORY
    from basis_pipeline.operations.events.query import query

    damages: list[EventError] = []
    found = query(
        settings_of(results_dir=results_dir).results_dir / DIRECTORY,
        types=types or (),
        categories=categories or (),
        mode=mode,
        run_id=run,
        since=since,
        until=until,
        limit=limit or None,
        damages=damages,
    )
    lines = _document(found) if form == "json" else _lines(found)
    for line in lines:
        print(line)
    for damage in damages:
        screen.echo_error(damage)


def _lines(found: "Iterable[Event]") -> Iterable[str]:
    told = (
        LINE.format(
            f"{event.at:%Y-%m-%d %H:%M:%S}.{event.at.microsecond // 1000:03}",
            event.level,
            event.type,
            event.run_id,
            event.mode,
            event.component,
            ", ".join(f"{name} {_short(value)}" for name, value in event.fields.items()),
        ).rstrip()
        for event in found
    )
    return chain([LINE.format(*TITLES)], told)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= TOLD else f"{text[:TOLD]}…"


def _document(found: "Iterable[Event]") -> Iterable[str]:
    """A JSON list, an event a line: it can be read while it is written."""
    opening = "["
    for event in found:
        yield f"{opening}{json.dumps({**asdict(event), 'at': event.at.isoformat()})}"
        opening = ","
    yield "]" if opening == "," else "[]"
