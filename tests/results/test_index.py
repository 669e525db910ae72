"""The index of runs: one row a run, whoever writes it and how often."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.index import RunIndex
from basis_pipeline.results.store import write_run
from tests.results.made_run import make_run


def test_a_run_is_recorded_once(tmp_path: Path) -> None:
    """Recording again adds nothing and keeps the first time."""
    run, index = make_run(), RunIndex(tmp_path / "runs.sqlite")
    directory = write_run(run, tmp_path / "run")
    assert index.add(run, directory, datetime(2025, 1, 1, tzinfo=UTC))
    assert not index.add(run, directory, datetime(2026, 1, 1, tzinfo=UTC))
    (record,) = index.runs()
    assert record.created_at == "2025-01-01T00:00:00.000+00:00"
    assert (record.run_id, record.mode, record.path) == (run.run_id, "eth_basis", str(directory))
    assert record.apy == run.summary["apy"]
    assert record.min_health_factor is None
    assert (record.rebalances, record.liquidations) == (1, 1)
    assert '"equity.parquet"' in record.files


def test_a_url_names_the_same_file(tmp_path: Path) -> None:
    """The form of BASIS_RESULTS_DB_URL and a path open one index, in WAL mode."""
    run = make_run()
    RunIndex(tmp_path / "deep" / "runs.sqlite").add(run, write_run(run, tmp_path / "run"))
    assert RunIndex(f"sqlite:///{tmp_path}/deep/runs.sqlite").get(run.run_id).mode == run.mode
    connection = sqlite3.connect(tmp_path / "deep" / "runs.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_runs_are_listed_by_mode_and_age(tmp_path: Path) -> None:
    """The latest run of a mode is the one recorded last."""
    index = RunIndex(tmp_path / "runs.sqlite")
    for day, (mode, capital) in enumerate((("a", 1.0), ("b", 2.0), ("a", 3.0)), start=1):
        run = make_run(mode=mode, capital=capital)
        index.add(run, write_run(run, tmp_path / run.run_id), datetime(2025, 1, day, tzinfo=UTC))
    assert [record.capital for record in index.runs()] == [1.0, 2.0, 3.0]
    assert [record.capital for record in index.runs("a")] == [1.0, 3.0]
    latest = index.latest("a")
    assert latest is not None
    assert latest.capital == 3.0
    assert index.latest("c") is None


def test_loading_is_verified(tmp_path: Path) -> None:
    """A recorded run that was changed, lost or never made is not served."""
    run, index = make_run(), RunIndex(tmp_path / "runs.sqlite")
    directory = write_run(run, tmp_path / "run")
    index.add(run, directory)
    assert index.load(run.run_id).summary == run.summary
    summary = directory / "summary.json"
    summary.write_bytes(summary.read_bytes() + b"\n")
    with pytest.raises(ResultsError, match=r"RS-003.*summary\.json"):
        index.load(run.run_id)
    directory.rename(tmp_path / "moved")
    with pytest.raises(ResultsError, match="RS-002"):
        index.verify(run.run_id)
    with pytest.raises(ResultsError, match=rf"RS-002.*available: {run.run_id} \(eth_basis\)"):
        index.get("0" * 16)


def test_a_moved_run_is_corrected(tmp_path: Path) -> None:
    """The record follows the directory that was written last; there is still one row."""
    run, index = make_run(), RunIndex(tmp_path / "runs.sqlite")
    index.add(run, write_run(run, tmp_path / "first"))
    assert index.add(run, write_run(run, tmp_path / "second"))
    assert [Path(record.path).name for record in index.runs()] == ["second"]


def test_many_writers_at_once(tmp_path: Path) -> None:
    """Concurrent runs of a sweep are all recorded."""
    index = RunIndex(tmp_path / "runs.sqlite")
    runs = [make_run(capital=float(capital)) for capital in range(1, 13)]
    places = [write_run(run, tmp_path / run.run_id) for run in runs]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda pair: index.add(*pair), zip(runs, places, strict=True)))
    assert all(added)
    assert {record.capital for record in index.runs()} == {run.identity.capital for run in runs}


def test_an_index_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file that is no database is RS-005, a parent that is a file RS-001."""
    (tmp_path / "text").write_text("this is no database, but long enough to be read as one" * 9)
    with pytest.raises(ResultsError, match="RS-005"):
        RunIndex(tmp_path / "text")
    with pytest.raises(ResultsError, match="RS-001"):
        RunIndex(tmp_path / "text" / "runs.sqlite")


def test_an_index_with_other_columns_is_damaged(tmp_path: Path) -> None:
    """RS-005: a file of another version is not written into, nor half read."""
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as connection:
        connection.execute("CREATE TABLE runs (run_id TEXT)")
    with pytest.raises(ResultsError, match="RS-005"):
        RunIndex(tmp_path / "runs.sqlite").runs()
