"""Failures of the results store."""

from pathlib import Path

from sqlalchemy import text

from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import open_sweep
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backup, restore
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.runs import run
from basis_pipeline.results.store import read_run, write_run
from tests.backtests.studies import made_set
from tests.market.made_datasets import WINDOW, configs, make_datasets
from tests.results.made_run import make_run


def in_the_way(place: Path) -> None:
    """A file where the results directory should be."""
    (place / "results").write_text("in the way")
    write_run(make_run(), place / "results" / "run")


def edited(place: Path) -> None:
    """A table changed by hand."""
    directory = write_run(make_run(), place / "run")
    table = directory / "equity.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    read_run(directory)


def foreign_column(place: Path) -> None:
    """A run whose table has a column the store does not know."""
    run = make_run()
    run.frames["equity"] = run.frames["equity"].assign(guess=0.0)
    write_run(run, place / "run")


def no_such_run(place: Path) -> None:
    """A new database asked for a run."""
    engine = connect(f"sqlite:///{place}/runs.sqlite")
    migrate(engine)
    run(engine, "0" * 16)


def no_database(place: Path) -> None:
    """A text file under the database's name."""
    (place / "runs.sqlite").write_text("this is no database, but long enough to be read as one" * 9)
    migrate(connect(f"sqlite:///{place}/runs.sqlite"))


def endless_link(place: Path) -> None:
    """A summary that links to itself: what a broken disk or share may give."""
    directory = write_run(make_run(), place / "run")
    (directory / "summary.json").unlink()
    (directory / "summary.json").symlink_to("summary.json")
    read_run(directory)


def held_database(place: Path) -> None:
    """A writer that goes on for longer than is waited for."""
    url = f"sqlite:///{place}/runs.sqlite"
    with writing(connect(url)):
        writing(connect(url, busy_seconds=0.01)).__enter__()


def server_down(_: Path) -> None:
    """A port nobody listens on."""
    migrate(connect("postgresql://nobody@127.0.0.1:1/results"))


def full_queue(place: Path) -> None:
    """Two results for a queue of one."""
    url = f"sqlite:///{place}/runs.sqlite"
    archive = Archive(place / "results", url, depth=1, wait_seconds=0.0)
    for name in ("a", "b"):
        archive.accept([name])


def no_backup(place: Path) -> None:
    """Another file given as a backup."""
    (place / "notes.txt").write_text("not a backup")
    restore(place / "notes.txt", Archive(place / "results", f"sqlite:///{place}/runs.sqlite"))


def backup_over_results(place: Path) -> None:
    """A backup restored where its runs still are."""
    archive, made = Archive(place / "results", f"sqlite:///{place}/runs.sqlite"), make_run(hours=24)
    archive.keep(made)
    restore(backup(archive), archive)


def later_version(place: Path) -> None:
    """A database that a later version has been at."""
    engine = connect(f"sqlite:///{place}/runs.sqlite")
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))
    migrate(engine)


def directory_of_another_sweep(place: Path) -> None:
    """Two sets swept into one directory."""
    for capital in (1e4, 1e5):
        scenarios = made_set(keys={"capital": {"values": [capital]}})
        study = Study(configs(), "btc_basis", scenarios, WINDOW, 1e5, {}, make_datasets())
        open_sweep(study, place / "sweep")


PROVOCATIONS = {
    "RS-001": in_the_way,
    "RS-002": no_such_run,
    "RS-003": edited,
    "RS-004": foreign_column,
    "RS-005": no_database,
    "RS-006": endless_link,
    "RS-007": held_database,
    "RS-008": server_down,
    "RS-009": full_queue,
    "RS-010": no_backup,
    "RS-011": backup_over_results,
    "RS-012": later_version,
    "RS-013": directory_of_another_sweep,
}
