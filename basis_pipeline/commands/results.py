"""`basis results`: list, show, back up, restore and prune recorded runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic_core import to_json

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, open_settings, settings_of
from basis_pipeline.errors import CommandError, EventError, ResultsError
from basis_pipeline.verdict import DATASET, Status, count_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from basis_pipeline.results.database.archive import Archive
    from basis_pipeline.results.database.runs import RunRecord
    from basis_pipeline.settings import Settings

HELP = """Recorded runs: list and show them; back them up, restore and prune them.

A run is named by its identity or by a unique beginning of it. Runs are kept as files in the results
directory, and as rows in the database of BASIS_RESULTS_DB_URL. `basis report compare` compares
runs.
"""
SHOWN = {
    "positions": ("position", ">quantity", ">lowest", ">highest"),
    "gate_verdicts": ("asset", "check_name", "status", "message"),
}
LIST = ("run", "recorded", "mode", *screen.HEADLINES, "status")
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of its name.")]
Mode = Annotated[str | None, typer.Option(help="Runs of this mode only.")]

results = typer.Typer(help=HELP, no_args_is_help=True)


@results.command("list")
def list_runs(
    mode: Mode = None,
    since: Annotated[
        str | None, typer.Option(help="Recorded at or after: 2024-06-01, 2h, 3d.")
    ] = None,
    status: Annotated[
        Literal["recorded", "missing"] | None,
        typer.Option(help="recorded, or missing: the files of the run are gone."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show the last N; 0 shows all.")] = 100,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """List the last recorded runs, in the order they were recorded.

    Example: basis results list --mode btc_basis --since 7d
    """
    from basis_pipeline.results.database.archive import unrecorded
    from basis_pipeline.results.database.migration import existing
    from basis_pipeline.results.database.runs import runs

    settings, records = settings_of(results_dir=results_dir), []
    from_then = _time(since, "--since") if since else None
    if engine := existing(settings.results_db_url):
        records = runs(engine, mode=mode, since=from_then, status=status, limit=limit or None)
    if form == "json":
        _print([record._asdict() for record in records])
        return
    _show(records)
    waiting = unrecorded(settings.results_dir)
    more = f"; {count_of(waiting, 'run')} to be recorded" if waiting else ""
    screen.echo(count_of(len(records), "run") + more)


@results.command()
def show(run: Run, form: Form = "table", results_dir: ResultsDir = None) -> None:
    """Show one run: its inputs, figures and gates, and where its files are."""
    engine = _require_database(settings_of(results_dir=results_dir))
    from basis_pipeline.results.database.runs import document
    from basis_pipeline.results.database.runs import run as recorded

    record = recorded(engine, run)
    tables = document(engine, record.run_id)
    if form == "json":
        _print(tables)
        return
    for name, value in record._asdict().items():
        screen.echo(f"  {name:20}{_cell(value)}")
    days, trades = tables["daily_performance"], tables["trades"]
    screen.echo(f"  {'rows':20}{len(days)} days, {len(trades)} trades and liquidations")
    for table, columns in SHOWN.items():
        shown = [row for row in tables[table] if not _is_passed_input(row)]
        rows = [[_cell(row[name.lstrip(">")]) for name in columns] for row in shown]
        screen.console().print(screen.table("", columns, rows))


@results.command()
def backup(
    keep: Annotated[
        int | None, typer.Option(min=1, help="Number of backups to keep, this one included.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory; default: backups/ in the results directory.")
    ] = None,
    results_dir: ResultsDir = None,
) -> None:
    """Write every recorded run, rows and files, to one file, and verify it by reading it back.

    It can be restored into a database of the same kind: SQLite, or PostgreSQL by pg_dump and
    pg_restore.
    """
    settings = settings_of(results_dir=results_dir)
    _require_database(settings)
    from basis_pipeline.operations.upkeep import back_up

    screen.echo(f"Backup: {back_up(settings, out, keep)}")


@results.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup that basis results backup has made.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what the results directory holds.")
    ] = False,
    results_dir: ResultsDir = None,
) -> None:
    """Restore a backup; every file is checked against its hash before anything is changed.

    The results directory and database must be empty, unless --overwrite is given. After a kill, the
    next command that writes completes the restore, or leaves everything as it was.
    """
    settings = settings_of(results_dir=results_dir)
    from basis_pipeline.operations.audit_log import EventType, emit
    from basis_pipeline.operations.upkeep import COMPONENT
    from basis_pipeline.results.database.backup import restore as restored

    records = restored(file, _archive(settings), overwrite=overwrite)
    event = {"backup": str(file), "runs": len(records)}
    emit(settings, EventType.RESULTS_RESTORED, COMPONENT, **event)
    screen.echo(f"{count_of(len(records), 'run')} restored into {settings.results_dir}")


@results.command()
def prune(
    keep: Annotated[
        int | None, typer.Option(min=1, help="Number of newest runs to keep of every mode.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only runs recorded before: 30d, 2024-06-01.")
    ] = None,
    mode: Mode = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; otherwise they are only listed.")
    ] = False,
    results_dir: ResultsDir = None,
) -> None:
    """Remove old runs, their rows and files; without --yes only list them.

    The latest run of a mode always stays. The audit log records what is removed.

    Example: basis results prune --keep 10 --older-than 90d --yes
    """
    if keep is None and older_than is None:
        raise CommandError(
            "API-001", "no limit is given for the runs to remove", available="--keep, --older-than"
        )
    settings = open_settings("basis results prune", results_dir)
    before = _time(older_than, "--older-than") if older_than else None
    engine = _require_database(settings)
    from basis_pipeline.operations.upkeep import prune as pruned
    from basis_pipeline.results.database.runs import prunable, runs

    removable = prunable(runs(engine, mode=mode), keep=keep or 1, before=before)
    _show(removable)
    if not yes:
        screen.echo(f"{count_of(len(removable), 'run')} would be removed: add --yes")
        return
    pruned(settings, removable)
    screen.echo(f"{count_of(len(removable), 'run')} removed")


@results.command()
def drain(results_dir: ResultsDir = None) -> None:
    """Record the runs that are waiting, and compare the files with the rows.

    Every run does so when it starts; use this after the database was unreachable. Exit code 1 when
    something needs attention.
    """
    done = _archive(open_settings("basis results drain", results_dir)).start()
    added = count_of(len(done.added), "run")
    screen.echo(f"{added} recorded from files; entries of the queue recorded: {done.drained}")
    for problem in done.problems:
        screen.echo_error(problem)
    if done.problems:
        raise typer.Exit(1)


def _archive(settings: "Settings") -> "Archive":
    from basis_pipeline.results.database.archive import Archive

    return Archive(settings.results_dir, settings.results_db_url)


def _require_database(settings: "Settings") -> "Engine":
    from basis_pipeline.results.database.migration import existing

    if (engine := existing(settings.results_db_url)) is None:
        raise ResultsError(
            "RS-002",
            "nothing is recorded yet",
            where=str(settings.results_dir),
            action="run the pipeline first: basis run; files without rows: basis results drain",
        )
    return engine


def _time(text: str, where: str) -> datetime:
    from basis_pipeline.operations.audit_log.reading import parse_time

    try:
        return parse_time(text)
    except EventError as error:
        raise CommandError("API-001", error.what, where=where, available=error.available) from None


def _show(records: "Sequence[RunRecord]") -> None:
    rows = []
    for record in records:
        at, figures = _cell(record.created_at), screen.headlines(_summary(record))
        rows.append([record.run_id, at, record.mode, *figures, record.status])
    screen.console().print(screen.table("", LIST, rows))


def _summary(record: "RunRecord") -> dict[str, Any]:
    """Return a run's figures from its files, which also hold those of lending, or from its row."""
    from basis_pipeline.results.store import read_summary

    row = record._asdict()
    try:
        return row | read_summary(Path(record.path))
    except ResultsError:
        return row


def _is_passed_input(row: Mapping[str, Any]) -> bool:
    """Return whether a row is the verdict of a check that a dataset passed: many runs share it."""
    is_passed = row.get("status") in (Status.PASS.value, Status.NOT_APPLICABLE.value)
    return is_passed and str(row.get("asset", "")).startswith(DATASET)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1.0 else f"{value:,.2f}"
    return screen.DASH if value is None else str(value)


def _print(value: Any) -> None:
    print(to_json(value, indent=2).decode())
