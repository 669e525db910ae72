"""The archive: a run accepted is recorded once, in order; a start repairs what differs."""

import json
import math
import shutil
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.runs import document, latest, rows_of, run, runs, verify
from basis_pipeline.results.database.tables import DAILY_PERFORMANCE, GATE_VERDICTS
from basis_pipeline.results.store import RunResult, write_run, write_verdicts
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status, Verdict
from tests.results.made_run import CAPITAL, make_run


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """An archive on a new database that has not been opened yet."""
    return Archive(tmp_path / "results", database_url, wait_seconds=0.2)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Archive:
    """One on SQLite, where it does not matter which database it is."""
    return Archive(tmp_path / "results", f"sqlite:///{tmp_path}/runs.sqlite", wait_seconds=0.2)


def kept(archive: Archive, capital: float = CAPITAL, mode: str = "eth_basis") -> RunResult:
    """Keep a short run."""
    made = make_run(mode, hours=48, capital=capital)
    archive.keep(made)
    return made


def verdict(check: str, status: Status, at: datetime | None = None) -> Verdict:
    """A verdict on a backtest."""
    place = {"asset": "backtest/run", "phase": 3, "evaluated_at": at, "run_id": "abc"}
    return Verdict(check=check, severity="ERROR", status=status, evidence={"limit": 1e-9}, **place)


def test_a_run_is_recorded_with_its_rows(archive: Archive) -> None:
    """One row per trade, position and midnight; recording it again changes nothing."""
    made = make_run()
    assert archive.keep(made) is None
    (record,) = runs(archive.engine)
    assert (record.run_id, record.number, record.mode) == (made.run_id, 1, "eth_basis")
    assert (record.apy, record.min_health_factor) == (made.summary["apy"], None)
    assert (record.start, record.end) == (made.identity.start, made.identity.end)
    assert record.created_at.tzinfo is UTC
    verify(record)
    tables = document(archive.engine, made.run_id)
    assert [(row["sequence"], row["kind"], row["notional"]) for row in tables["trades"]] == [
        (0, "trade", 37_500.0),
        (2, "trade", -2_500.0),
        (3, "liquidation", 1_000.0),
    ]
    assert tables["trades"][1]["at"] == datetime(2024, 7, 6, tzinfo=UTC)
    positions = {row["position"]: row["quantity"] for row in tables["positions"]}
    assert positions["bybit:Perp:ETHUSDT"] == -12.5
    assert positions["wallet:BaseToken:USDT"] == made.summary["final_equity"]
    assert archive.keep(made) is None
    assert document(archive.engine, made.run_id) == tables


def test_days_add_up_to_the_run(on_sqlite: Archive) -> None:
    """Equity is that of 00:00; components, flows and returns between midnights telescope."""
    made = make_run()
    on_sqlite.keep(made)
    days = rows_of(on_sqlite.engine, DAILY_PERFORMANCE, [made.run_id])
    assert [days[0]["day"], days[-1]["day"], len(days)] == [date(2024, 6, 1), date(2024, 8, 10), 71]
    for before, after in pairwise(days):
        gained = math.fsum(after[name] for name in COMPONENTS)
        assert after["equity"] - before["equity"] == pytest.approx(gained, rel=1e-9)
    assert days[0]["daily_return"] is None
    grown = math.prod(1.0 + day["daily_return"] for day in days[1:])
    assert grown - 1.0 == pytest.approx(made.summary["total_return"], rel=1e-12)
    for name in COMPONENTS:
        total = math.fsum(day[name] for day in days)
        assert total == pytest.approx(made.summary["attribution"][name], rel=1e-9)


def test_results_that_were_moved_are_found_again(on_sqlite: Archive, tmp_path: Path) -> None:
    """The rows follow the directories, with the numbers they had."""
    for capital in (1.0, 2.0):
        kept(on_sqlite, capital)
    before = [(r.number, r.run_id) for r in runs(on_sqlite.engine)]
    moved = on_sqlite.directory.rename(tmp_path / "moved to %20 another place")
    there = Archive(moved, f"sqlite:///{tmp_path}/runs.sqlite")
    assert sorted(there.start().added) == sorted(run_id for _, run_id in before)
    assert [(r.number, r.run_id) for r in runs(there.engine)] == before
    assert {Path(r.path).parent for r in runs(there.engine)} == {there.runs}
    assert there.start().problems == []


def test_pruning_a_copy_of_the_results_leaves_the_original(tmp_path: Path) -> None:
    """The rows of a copy name the directories it was copied from; these are not removed."""
    original = Archive(tmp_path / "results", f"sqlite:///{tmp_path}/results/runs.sqlite")
    made = kept(original)
    shutil.copytree(original.directory, tmp_path / "copy")
    copy = Archive(tmp_path / "copy", f"sqlite:///{tmp_path}/copy/runs.sqlite")
    copy.remove([made.run_id])
    assert runs(copy.engine) == []
    assert list(copy.runs.iterdir()) == []
    (record,) = runs(original.engine)
    verify(record)


def test_runs_are_found_by_mode_age_and_beginning(archive: Archive) -> None:
    """Listed in the order recorded; the latest of a mode is the one recorded last."""
    for mode, capital in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        kept(archive, capital, mode)
    engine = archive.engine
    assert [r.capital for r in runs(engine)] == [1.0, 2.0, 3.0]
    assert [r.capital for r in runs(engine, mode="a")] == [1.0, 3.0]
    assert [r.capital for r in runs(engine, limit=2)] == [2.0, 3.0]
    second, last = runs(engine)[1:]
    assert [r.capital for r in runs(engine, since=second.created_at)] == [2.0, 3.0]
    assert latest(engine, "a") == last
    assert latest(engine, "c") is None
    assert run(engine, second.run_id[:9]) == second
    with pytest.raises(ResultsError, match=rf"RS-002.*{second.run_id} \(b\)"):
        run(engine, "nothing")
    with pytest.raises(ResultsError, match=r"RS-002.*3 runs|RS-002.*not recorded"):
        run(engine, "")


def test_verdicts_replace_those_before(archive: Archive) -> None:
    """A row a gate, those of the file; a file that was renewed by a killed process is read too."""
    made, at = make_run(hours=48), datetime(2025, 1, 1, tzinfo=UTC)
    given = [verdict("reconciliation", Status.PASS, at), verdict("targets", Status.WARN)]
    assert archive.keep(made, given) is None
    assert archive.judge(made.run_id, [given[0], verdict("targets", Status.FAIL, at)]) is None
    rows = rows_of(archive.engine, GATE_VERDICTS, [made.run_id])
    assert [(row["check_name"], row["status"], row["evaluated_at"]) for row in rows] == [
        ("reconciliation", "PASS", at),
        ("targets", "FAIL", at),
    ]
    assert json.loads(rows[0]["evidence"]) == {"limit": 1e-9}
    write_verdicts(archive.runs / made.run_id, given)
    assert archive.start().added == [made.run_id]
    rows = rows_of(archive.engine, GATE_VERDICTS, [made.run_id])
    assert [row["status"] for row in rows] == ["PASS", "WARN"]
    with pytest.raises(ResultsError, match="RS-002"):
        archive.judge("0" * 16, given)


def test_a_run_the_database_does_not_take_stops_no_other(archive: Archive) -> None:
    """The others are recorded; it is reported at every start, with the reason."""
    names = []
    for capital in (1.0, 2.0, 3.0):
        made = make_run(hours=48, capital=capital)
        if capital == 2.0:
            del made.summary["rebalances"]
        names.append(write_run(made, archive.runs / made.run_id).name)
    archive.accept(names)
    assert archive.drain() == 3
    assert [r.capital for r in runs(archive.engine)] == [1.0, 3.0]
    assert archive.waiting() == []
    for _ in range(2):
        (error,) = archive.start().unreadable
        assert error.code == "RS-004"
        assert names[1] in error.what


def test_files_without_rows_are_recorded_at_a_start(on_sqlite: Archive) -> None:
    """A run whose writer was killed before its entry was accepted; damaged ones are reported."""
    made, broken = make_run(hours=48, capital=1.0), make_run(hours=48, capital=2.0)
    for run_ in (made, broken):
        write_run(run_, on_sqlite.runs / run_.run_id)
    (on_sqlite.runs / broken.run_id / "equity.parquet").unlink()
    (on_sqlite.runs / "notes").mkdir()
    done = on_sqlite.start()
    assert done.added == [made.run_id]
    assert [error.code for error in done.unreadable] == ["RS-003", "RS-002"]
    assert [r.run_id for r in runs(on_sqlite.engine)] == [made.run_id]
    assert on_sqlite.start().added == []


def test_rows_whose_files_are_gone_are_marked_until_they_return(archive: Archive) -> None:
    """They are reported at every start, never deleted, and are not the latest any more."""
    made = kept(archive)
    directory, summary = archive.runs / made.run_id, archive.runs / made.run_id / "summary.json"
    intact = summary.read_bytes()
    summary.write_bytes(intact + b"\n")
    with pytest.raises(ResultsError, match=r"RS-003.*summary\.json"):
        verify(run(archive.engine, made.run_id))
    summary.write_bytes(intact)
    directory.rename(archive.runs / ".aside")
    for _ in range(2):
        done = archive.start()
        assert done.missing == [made.run_id]
        assert any(made.run_id in problem for problem in done.problems)
    (record,) = runs(archive.engine)
    assert record.status == "missing"
    with pytest.raises(ResultsError, match="RS-002"):
        verify(record)
    assert latest(archive.engine, "eth_basis") is None
    (archive.runs / ".aside").rename(directory)
    assert archive.start().added == [made.run_id]
    assert [(r.status, r.number) for r in runs(archive.engine)] == [("recorded", 1)]


def test_a_lost_database_is_made_anew_from_the_files(archive: Archive) -> None:
    """Only the files are needed; a removed run is gone from both."""
    forgotten, other = kept(archive, 1.0), kept(archive, 2.0)
    archive.judge(forgotten.run_id, [verdict("targets", Status.PASS)])
    before = {r.run_id: r.apy for r in runs(archive.engine)}
    with writing(archive.engine) as connection:
        for table in ("trades", "positions", "daily_performance", "gate_verdicts", "runs"):
            connection.execute(text(f"DELETE FROM {table}"))
    assert sorted(archive.start().added) == sorted(before)
    assert {r.run_id: r.apy for r in runs(archive.engine)} == before
    archive.remove([forgotten.run_id])
    assert not (archive.runs / forgotten.run_id).exists()
    assert [r.run_id for r in runs(archive.engine)] == [other.run_id]
    assert not any(document(archive.engine, forgotten.run_id).values())
    assert archive.start().added == []


def test_a_run_waits_while_the_database_is_held(archive: Archive) -> None:
    """RS-007 is returned, the run is accepted, and is recorded when the database is free again."""
    migrate(archive.engine)
    made = make_run(hours=48)
    with writing(connect(archive.engine.url.render_as_string(hide_password=False))) as holder:
        if archive.engine.dialect.name == "postgresql":
            holder.execute(text("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"))
        waits = archive.keep(made)
        assert waits is not None
        assert waits.code == "RS-007"
        assert [entry.run_id for entry in archive.waiting()] == [made.run_id]
    assert archive.start().drained == 1
    assert [r.run_id for r in runs(archive.engine)] == [made.run_id]
    assert archive.waiting() == []


def test_runs_wait_in_order_while_the_server_is_down_up_to_the_depth(
    tmp_path: Path, database_url: str
) -> None:
    """RS-008 is returned for those accepted, RS-009 raised for the one that finds no room."""
    down = Archive(
        tmp_path / "results", "postgresql://nobody@127.0.0.1:1/none", depth=2, wait_seconds=0.1
    )
    for capital in (3.0, 1.0):
        waits = down.keep(make_run(hours=48, capital=capital))
        assert waits is not None
        assert waits.code == "RS-008"
    rejected = make_run(hours=48, capital=2.0)
    with pytest.raises(ResultsError, match=r"RS-009.*2 results wait"):
        down.keep(rejected)
    assert len(down.waiting()) == 2
    up = Archive(tmp_path / "results", database_url)
    done = up.start()
    assert (done.drained, done.added) == (2, [rejected.run_id])
    assert [r.capital for r in runs(up.engine)] == [3.0, 1.0, 2.0]
