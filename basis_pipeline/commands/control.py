"""`basis halt`, `basis resume`, `basis control`: stop work, let it go on, and see who did."""

import getpass
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, settings_of
from basis_pipeline.errors import BasisError, CommandError

if TYPE_CHECKING:
    from basis_pipeline.operations.control.model import ControlState, Standing, Transition
    from basis_pipeline.settings import Settings

SHOWN = 20

Reason = Annotated[str, typer.Option(help="Why, in words; it is kept and audited.")]


def halt(
    reason: Reason,
    by: Annotated[str | None, typer.Option(help="Who; else the name you logged in with.")] = None,
    shutdown: Annotated[
        bool, typer.Option("--shutdown", help="Stop ingestion and reports too.")
    ] = False,
    results_dir: ResultsDir = None,
) -> None:
    """Stop work: backtests refuse, sensors and schedules request nothing, until basis resume.

    Reports, gates and health still run, and data can be ingested and looked at; after --shutdown
    only gates and health. A run that is going on ends before its next backtest.

    Example: basis halt --reason "funding of okx looks wrong"
    """
    from basis_pipeline.operations import control as emergency

    change = emergency.shutdown if shutdown else emergency.halt
    settings = settings_of(results_dir=results_dir)
    _changed(settings, change(settings, reason=reason, by=_name() if by is None else by))


def resume(
    by: Annotated[str, typer.Option(help="Who lets work go on.")],
    reason: Reason,
    results_dir: ResultsDir = None,
) -> None:
    """Let work go on after an alert, a halt or a shutdown, in spite of the breaches that stand.

    Failed gates are counted anew. Other breaches are accepted as they are: one that gets worse, or
    comes back after it was over, is a new one.

    Example: basis resume --by ann --reason "okx delivered the hours again"
    """
    from basis_pipeline.operations import control as emergency

    settings = settings_of(results_dir=results_dir)
    _changed(settings, emergency.resume(settings, reason=reason, by=by))


def control(form: Form = "table", results_dir: ResultsDir = None) -> None:
    """Show the state of emergency control, the breaches that stand and the last changes.

    Example: basis control --format json
    """
    from basis_pipeline.operations.control.state import read_state, standing, transitions

    settings = settings_of(results_dir=results_dir)
    state, breaches = read_state(settings), standing(settings)
    changes = transitions(settings, SHOWN)
    if form == "json":
        print(_document(state, breaches, changes))
        return
    screen.echo(f"Control: {state.told}")
    if breaches:
        rows = [
            [
                f"{entry.since:%Y-%m-%d %H:%M}",
                entry.breach.level.value,
                "yes" if entry.acknowledged else "no",
                entry.breach.told,
            ]
            for entry in breaches
        ]
        titles = ("since (UTC)", "demands", "accepted", "breach")
        screen.console().print(screen.table("Breaches that stand", titles, rows))
    if changes:
        told = [[f"{c.at:%Y-%m-%d %H:%M:%S}", c.previous, c.state, c.by, c.reason] for c in changes]
        heads = ("at (UTC)", "from", "to", "by", "why")
        screen.console().print(screen.table("Changes", heads, told))


def _name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        what = "nobody knows who you are: this account has no name"
        raise CommandError("API-001", what, action="name yourself with --by") from None


def _changed(settings: "Settings", made: "Transition | None") -> None:
    from basis_pipeline.operations.control import read_state

    state = read_state(settings)
    said = "Control" if made else "Nothing to change"
    screen.echo(f"{said}: {state.told}")
    if made:
        _show(settings, state)


def _show(settings: "Settings", state: "ControlState") -> None:
    """Bring the change to the UI, where there is one; the change stands without."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.results_dir / "dagster_home")
    if not (home / "dagster.yaml").exists():
        return
    from basis_pipeline.orchestration import control as ui
    from basis_pipeline.orchestration.instance import opened_instance

    try:
        with opened_instance(home) as instance:
            ui.show(instance, state)
    except BasisError as error:
        screen.echo_error(error)


def _document(
    state: "ControlState", breaches: "list[Standing]", changes: "list[Transition]"
) -> str:
    standing = [
        {**entry.breach.as_json(), "since": entry.since, "accepted": entry.acknowledged}
        for entry in breaches
    ]
    told = {
        "state": state.name,
        "since": state.since,
        "by": state.by,
        "reason": state.reason,
        "stops_work": state.stops_work,
        "resumed_at": state.resumed_at,
        "breaches": standing,
        "changes": [asdict(change) for change in changes],
    }
    return json.dumps(told, indent=2, default=lambda time: time.isoformat(), allow_nan=False)
