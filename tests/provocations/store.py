"""Failures of the results store."""

from pathlib import Path

from basis_pipeline.results.database.connection import connect
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.runs import run
from basis_pipeline.results.store import read_run, write_run
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


PROVOCATIONS = {
    "RS-001": in_the_way,
    "RS-002": no_such_run,
    "RS-003": edited,
    "RS-004": foreign_column,
    "RS-005": no_database,
    "RS-006": endless_link,
}
