"""`basis halt`, `basis resume`, `basis control`: stop work, resume it, and show who did so."""

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, settings_of
from basis_pipeline.errors import BasisError, CommandError

if TYPE_CHECKING:
    from basis_pipeline.operations.control.model import ControlState, Transition
    from basis_pipeline.settings import Settings

SHOWN = 20

Reason = Annotated[str, typer.Option(help="Why; it is stored and audited.")]


def halt(
    reason: Reason,
    by: Annotated[str | None, typer.Option(help="Who; else your login name.")] = None,
    shutdown: Annotated[
        bool, typer.Option("--shutdown", help="Stop ingestion and reports too.")
    ] = False,
    results_dir: ResultsDir = None,
) -> None:
    """Stop work: backtests are blocked, sensors and schedules request nothing, until basis resume.

    Reports, gates, health and ingestion continue; after --shutdown only gates and health. A run in
    progress ends before its next backtest.

    Example: basis halt --reason "funding of okx looks wrong"
    """
    from basis_pipeline.operations import control as emergency

    change = emergency.shutdown if shutdown else emergency.halt
    settings = settings_of(results_dir=results_dir)
    is_changed = change(settings, reason=reason, by=_login() if by is None else by)
    _show_change(settings, is_changed=is_changed)


def resume(
    by: Annotated[str, typer.Option(help="Who resumes work.")],
    reason: Reason,
    results_dir: ResultsDir = None,
) -> None:
    """Resume work after an alert, a halt or a shutdown, and accept every open breach.

    Failed gates are counted from zero again. A breach that worsens, or returns after it was over,
    is a new one.

    Example: basis resume --by ann --reason "okx delivered the hours again"
    """
    from basis_pipeline.operations import control as emergency

    settings = settings_of(results_dir=results_dir)
    _show_change(settings, is_changed=emergency.resume(settings, reason=reason, by=by))


def control(form: Form = "table", results_dir: ResultsDir = None) -> None:
    """Show the state of emergency control, the open breaches and the last changes.

    Example: basis control --format json
    """
    from basis_pipeline.operations.control.state import read_state, transitions

    settings = settings_of(results_dir=results_dir)
    state = read_state(settings)
    changes = [] if state.confirmed_at else transitions(settings, SHOWN)
    if form == "json":
        print(_document(state, changes))
        return
    screen.echo(f"Control: {state.description}")
    if state.breaches:
        breaches = [
            [
                f"{breach.since:%Y-%m-%d %H:%M}",
                breach.level.value,
                "yes" if breach.accepted else "no",
                breach.description,
            ]
            for breach in state.breaches
        ]
        columns = ["since (UTC)", "requires", "accepted", "breach"]
        screen.console().print(screen.table("Open breaches", columns, breaches))
    if changes:
        rows = [[f"{c.at:%Y-%m-%d %H:%M:%S}", c.previous, c.state, c.by, c.reason] for c in changes]
        columns = ["at (UTC)", "from", "to", "by", "reason"]
        screen.console().print(screen.table("Changes", columns, rows))


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        what = "this account has no login name"
        raise CommandError("API-001", what, action="name yourself with --by") from None


def _show_change(settings: "Settings", *, is_changed: bool) -> None:
    from basis_pipeline.operations.control import read_state

    state = read_state(settings)
    screen.echo(f"{'Control' if is_changed else 'Nothing to change'}: {state.description}")
    if is_changed:
        _show_in_ui(settings, state)


def _show_in_ui(settings: "Settings", state: "ControlState") -> None:
    """Show the change in the UI, if there is an instance; the change holds without it."""
    from basis_pipeline.settings import existing_dagster_home

    home = existing_dagster_home(settings)
    if home is None:
        return
    from basis_pipeline.orchestration.control import show
    from basis_pipeline.orchestration.instance import opened_instance

    try:
        with opened_instance(home) as instance:
            show(instance, state)
    except BasisError as error:
        screen.echo_error(error)


def _document(state: "ControlState", changes: "list[Transition]") -> str:
    from pydantic_core import to_json

    document = {"state": state.name, **asdict(state), "description": state.description}
    document |= {"stops_work": state.stops_work, "changes": changes}
    return to_json(document, indent=2, inf_nan_mode="null").decode()
