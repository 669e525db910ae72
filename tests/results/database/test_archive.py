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
from basis_pipeline.results.database.runs import latest, rows_of, run, runs, verify
from basis_pipeline.results.database.tables import (
    DAILY_PERFORMANCE,
    GATE_VERDICTS,
    METADATA,
    POSITIONS,
    TRADES,
)
from basis_pipeline.results.store import RunResult, write_run, write_verdicts
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status, Verdict
from tests.results.made_run import CAPITAL, make_run


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """An archive on a new database that nobody has opened yet."""
    return Archive(tmp_path / "results", database_url, wait_seconds=0.2)


def kept(archive: Archive, **identity: object) -> RunResult:
    """A run that is kept."""
    made = make_run(**identity)
    archive.keep(made)
    return made


def contents(archive: Archive) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with writing(archive.engine) as connection:
        return {
            name: [tuple(row) for row in connection.execute(table.select())]
            for name, table in METADATA.tables.items()
        }


def verdict(check: str, status: Status, at: datetime | None = None) -> Verdict:
    """A verdict on a backtest."""
    place = {"asset": "backtest/run", "phase": 3, "evaluated_at": at, "run_id": "abc"}
    return Verdict(check=check, severity="ERROR", status=status, evidence={"limit": 1e-9}, **place)


def test_a_run_is_recorded_with_its_rows(archive: Archive) -> None:
    """One row a trade, a position and a midnight; sums over the days are the run's own."""
    made = make_run()
    assert archive.keep(made) is None
    (record,) = runs(archive.engine)
    assert (record.run_id, record.number, record.mode) == (made.run_id, 1, "eth_basis")
    assert (record.apy, record.min_health_factor) == (made.summary["apy"], None)
    assert (record.start, record.end) == (made.identity.start, made.identity.end)
    assert record.created_at.tzinfo is UTC
    verify(record)
    trades = rows_of(archive.engine, TRADES, [made.run_id])
    assert [(row["sequence"], row["kind"], row["notional"]) for row in trades] == [
        (0, "trade", 37_500.0),
        (2, "trade", -2_500.0),
        (3, "liquidation", 1_000.0),
    ]
    assert trades[1]["at"] == datetime(2024, 7, 6, tzinfo=UTC)
    positions = {row["position"]: row for row in rows_of(archive.engine, POSITIONS, [made.run_id])}
    assert positions["bybit:Perp:ETHUSDT"]["quantity"] == -12.5
    assert positions["wallet:BaseToken:USDT"]["quantity"] == made.summary["final_equity"]


def test_days_add_up_to_the_run(archive: Archive) -> None:
    """Equity is that of 00:00; components, flows and returns between midnights telescope."""
    made = kept(archive)
    days = rows_of(archive.engine, DAILY_PERFORMANCE, [made.run_id])
    assert [days[0]["day"], days[-1]["day"], len(days)] == [date(2024, 6, 1), date(2024, 8, 10), 71]
    for before, after in pairwise(days):
        gained = math.fsum(after[name] for name in COMPONENTS)
        assert after["equity"] - before["equity"] == pytest.approx(gained, rel=1e-9)
    assert days[0]["daily_return"] is None
    grown = math.prod(1.0 + day["daily_return"] for day in days[1:]) * days[0]["equity"] / CAPITAL
    assert grown - 1.0 == pytest.approx(made.summary["total_return"], rel=1e-12)
    for name in COMPONENTS:
        total = math.fsum(day[name] for day in days)
        assert total == pytest.approx(made.summary["attribution"][name], rel=1e-9)


def test_recording_again_changes_nothing(archive: Archive) -> None:
    """Number, time and every row stay as they were."""
    made = kept(archive)
    before = contents(archive)
    assert archive.keep(made) is None
    assert contents(archive) == before


def test_results_that_were_moved_are_found_again(archive: Archive, database_url: str) -> None:
    """The rows follow the directories, with the numbers they had."""
    for capital in (1.0, 2.0):
        kept(archive, capital=capital)
    before = [(r.number, r.run_id) for r in runs(archive.engine)]
    moved = archive.directory.rename(archive.directory.with_name("moved to %20 another place"))
    there = Archive(moved, database_url)
    assert sorted(there.start().added) == sorted(run_id for _, run_id in before)
    assert [(r.number, r.run_id) for r in runs(there.engine)] == before
    assert {Path(r.path).parent for r in runs(there.engine)} == {there.runs}
    assert there.start().problems == []


def test_runs_are_found_by_mode_age_and_beginning(archive: Archive) -> None:
    """Listed in the order recorded; the latest of a mode is the one recorded last."""
    for mode, capital in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        kept(archive, mode=mode, capital=capital)
    engine = archive.engine
    assert [r.capital for r in runs(engine)] == [1.0, 2.0, 3.0]
    assert [r.capital for r in runs(engine, mode="a")] == [1.0, 3.0]
    assert [r.capital for r in runs(engine, limit=2)] == [2.0, 3.0]
    second = runs(engine)[1]
    assert [r.capital for r in runs(engine, since=second.created_at)] == [2.0, 3.0]
    found = latest(engine, "a")
    assert found is not None
    assert found.capital == 3.0
    assert latest(engine, "c") is None
    assert run(engine, second.run_id[:9]) == second
    with pytest.raises(ResultsError, match=rf"RS-002.*{second.run_id} \(b\)"):
        run(engine, "nothing")
    with pytest.raises(ResultsError, match=r"RS-002.*3 runs|RS-002.*not recorded"):
        run(engine, "")


def test_a_changed_run_is_not_served(archive: Archive) -> None:
    """RS-003 for a changed file, RS-002 for a directory that is gone."""
    made = kept(archive)
    directory = archive.runs / made.run_id
    summary = directory / "summary.json"
    summary.write_bytes(summary.read_bytes() + b"\n")
    with pytest.raises(ResultsError, match=r"RS-003.*summary\.json"):
        verify(run(archive.engine, made.run_id))
    shutil.rmtree(directory)
    with pytest.raises(ResultsError, match="RS-002"):
        verify(run(archive.engine, made.run_id))


def test_verdicts_replace_those_before(archive: Archive) -> None:
    """A row a gate, those of the file; a file that was renewed by a killed process is read too."""
    made, at = make_run(), datetime(2025, 1, 1, tzinfo=UTC)
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
    """Those before and behind it are recorded; it is reported at every start, with the reason."""
    names = []
    for capital in (1.0, 2.0, 3.0):
        made = make_run(capital=capital)
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


def test_files_without_rows_are_recorded_at_a_start(archive: Archive) -> None:
    """A run whose writer was killed before its entry was accepted; damaged ones are reported."""
    made, broken = make_run(capital=1.0), make_run(capital=2.0)
    for run_ in (made, broken):
        write_run(run_, archive.runs / run_.run_id)
    (archive.runs / broken.run_id / "equity.parquet").unlink()
    (archive.runs / "notes").mkdir()
    found = archive.start()
    assert found.added == [made.run_id]
    assert [error.code for error in found.unreadable] == ["RS-003", "RS-002"]
    assert [r.run_id for r in runs(archive.engine)] == [made.run_id]
    assert archive.start().added == []


def test_rows_whose_files_are_gone_are_marked_until_they_return(archive: Archive) -> None:
    """They are reported at every start, never dropped, and serve as latest no more."""
    made = kept(archive)
    directory = archive.runs / made.run_id
    directory.rename(archive.runs / ".aside")
    for _ in range(2):
        found = archive.start()
        assert found.missing == [made.run_id]
        assert any(made.run_id in problem for problem in found.problems)
    assert [r.status for r in runs(archive.engine)] == ["missing"]
    assert latest(archive.engine, "eth_basis") is None
    (archive.runs / ".aside").rename(directory)
    assert archive.start().added == [made.run_id]
    assert [(r.status, r.number) for r in runs(archive.engine)] == [("recorded", 1)]


def test_a_lost_database_is_made_anew_from_the_files(archive: Archive, database_url: str) -> None:
    """Only the files are needed: another database gets every run."""
    for capital in (1.0, 2.0):
        kept(archive, capital=capital)
    before = {r.run_id: r.apy for r in runs(archive.engine)}
    with writing(archive.engine) as connection:
        for table in ("trades", "positions", "daily_performance", "gate_verdicts", "runs"):
            connection.execute(text(f"DELETE FROM {table}"))
    again = Archive(archive.runs.parent, database_url)
    assert sorted(again.start().added) == sorted(before)
    assert {r.run_id: r.apy for r in runs(again.engine)} == before


def test_a_forgotten_run_is_gone(archive: Archive) -> None:
    """Rows of every table and files; the others stay."""
    made, other = kept(archive, capital=1.0), kept(archive, capital=2.0)
    archive.judge(made.run_id, [verdict("targets", Status.PASS)])
    archive.forget([made.run_id])
    assert not (archive.runs / made.run_id).exists()
    assert [r.run_id for r in runs(archive.engine)] == [other.run_id]
    for table in (TRADES, POSITIONS, DAILY_PERFORMANCE, GATE_VERDICTS):
        assert rows_of(archive.engine, table, [made.run_id]) == []
    assert archive.start().added == []


def test_a_run_waits_while_the_database_is_held(archive: Archive) -> None:
    """RS-007 is returned, the run is accepted, and is recorded when the database is free again."""
    migrate(archive.engine)
    made = make_run()
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


def test_runs_are_accepted_while_the_server_is_down(tmp_path: Path, database_url: str) -> None:
    """RS-008 is returned; afterwards all are recorded in the order they were accepted."""
    results = tmp_path / "results"
    down = Archive(results, "postgresql://nobody@127.0.0.1:1/none")
    capitals = [3.0, 1.0, 2.0]
    for capital in capitals:
        waits = down.keep(make_run(capital=capital))
        assert waits is not None
        assert waits.code == "RS-008"
    up = Archive(results, database_url)
    assert up.start().drained == 3
    assert [r.capital for r in runs(up.engine)] == capitals


def test_a_full_queue_rejects_after_waiting(tmp_path: Path) -> None:
    """RS-009: the queue does not grow beyond its depth; the run is found by the next start."""
    results = tmp_path / "results"
    down = Archive(results, "postgresql://nobody@127.0.0.1:1/none", depth=2, wait_seconds=0.1)
    for capital in (1.0, 2.0):
        kept(down, capital=capital)
    rejected = make_run(capital=3.0)
    with pytest.raises(ResultsError, match=r"RS-009.*2 results wait"):
        down.keep(rejected)
    assert len(down.waiting()) == 2
    up = Archive(results, f"sqlite:///{tmp_path}/runs.sqlite")
    assert up.start().added == [rejected.run_id]
    assert [r.capital for r in runs(up.engine)] == [1.0, 2.0, 3.0]
