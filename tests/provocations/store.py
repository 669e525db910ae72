"""Failures of the results store."""

from pathlib import Path

from basis_pipeline.results.index import RunIndex
from basis_pipeline.results.store import read_run, write_run
from basis_pipeline.runs.scenarios import Study
from basis_pipeline.runs.sweep import open_sweep
from tests.market.made_datasets import WINDOW, configs, make_datasets
from tests.results.made_run import make_run
from tests.runs.studies import made_set


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


def no_database(place: Path) -> None:
    """A text file under the index's name."""
    (place / "runs.sqlite").write_text("this is no database, but long enough to be read as one" * 9)
    RunIndex(place / "runs.sqlite")


def endless_link(place: Path) -> None:
    """A summary that links to itself: what a broken disk or share may give."""
    directory = write_run(make_run(), place / "run")
    (directory / "summary.json").unlink()
    (directory / "summary.json").symlink_to("summary.json")
    read_run(directory)


def directory_of_another_sweep(place: Path) -> None:
    """Two sets swept into one directory."""
    for capital in (1e4, 1e5):
        scenarios = made_set(keys={"capital": {"values": [capital]}})
        study = Study(configs(), "btc_basis", scenarios, WINDOW, 1e5, {}, make_datasets())
        open_sweep(study, place / "sweep")


PROVOCATIONS = {
    "RS-001": in_the_way,
    "RS-002": lambda place: RunIndex(place / "runs.sqlite").get("0" * 16),
    "RS-003": edited,
    "RS-004": foreign_column,
    "RS-005": no_database,
    "RS-006": endless_link,
    "RS-007": directory_of_another_sweep,
}
