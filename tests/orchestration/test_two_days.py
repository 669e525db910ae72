"""Two days of a platform that runs by itself, with everything that goes wrong in them.

Deliveries that are late, double, short and corrupt; a process killed in the middle of a run and
started again; a halt. Afterwards the audit trail has to explain every run.
"""

import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus, RunsFilter

from basis_pipeline.config import load_configs
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.control import read_state, resume
from basis_pipeline.operations.new_project import write_project
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.settings import load_settings
from tests.orchestration.conftest import SHIPPED, opened, place_at
from tests.orchestration.platform_alone import Platform, aged, stages
from tests.orchestration.test_refusals import cut_last_line, cut_short, recorded, spoil_price

KEPT = (
    "btc_usd",
    "lookup_tables",
    "gas_prices",
    "bybit_BTC",
    "binance_BTC",
    "okx_BTC",
    "aave/rates",
)
FUNDING = (
    "market_data/derivatives/funding_rates/bybit_BTCUSDT_funding_rates_2024-01-01_2024-02-29.csv"
)
PERP = "market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_2024-01-01_2024-02-29.csv"
MODES = ("btc_basis", "eth_basis", "pure_lending")
RUNNABLE = {"btc_basis", "pure_lending"}
PATIENCE_SECONDS = 240.0


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three modes, one of which has no data; a gate that fails twice in a row is a halt."""
    write_project(tmp_path / "project", load_configs(SHIPPED), SHIPPED, MODES, date(2024, 3, 1))
    configs = tmp_path / "project" / "configs"
    shutil.copytree(SHIPPED / "env", configs / "env")
    limits = configs / "control" / "limits.yaml"
    usual = "failed_gates_in_a_row: {alert: 1, halt: 3}"
    assert usual in limits.read_text()
    limits.write_text(limits.read_text().replace(usual, usual.replace("3", "2")))
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(configs))
    return configs


@pytest.fixture
def platform(
    tmp_path: Path, sample: Path, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """Return a small tree with the data of two of three modes; the third is rejected."""
    assert configs.is_dir()
    data = tmp_path / "data"
    for file in sample.rglob("*.*"):
        relative = str(file.relative_to(sample))
        if any(part in relative for part in KEPT):
            (data / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, data / relative)
    for name, value in {
        "DATA_DIR": data,
        "RESULTS_DIR": tmp_path / "results",
        "DATA_START_DATE": "2024-01-03",
        "DATA_END_DATE": "2024-02-20",
    }.items():
        monkeypatch.setenv(f"BASIS_{name}", str(value))
    for place in place_at(tmp_path, data, build_defs()):
        yield Platform(place)


@dataclass
class Diary:
    """What the platform did in which part of the two days."""

    platform: Platform

    def runs(self, *, status: DagsterRunStatus | None = None) -> list[dg.DagsterRun]:
        """Every run so far, in order."""
        wanted = RunsFilter(statuses=[status]) if status else None
        return self.platform.instance.get_runs(wanted, ascending=True)

    def quiet(self) -> None:
        """Nothing is requested, and every failure has been reported."""
        assert self.platform.settle() == []
        self.platform.look("alerts")


def strike(platform: Platform, day: int) -> None:
    """Run what the nightly schedule asks for at its hour: the data."""
    for asked in platform.clock("nightly", datetime(2024, 3, day, 2, tzinfo=UTC)):
        platform.execute(asked, "nightly")


def killed_while_it_runs(platform: Platform, mode: str) -> str:
    """Let another process do the work, kill it in the middle of a mode's run; that run."""
    place = platform.place
    panel = place.results / "warehouse" / "market" / "panel" / f"{mode}.parquet"
    before, deadline = panel.stat().st_mtime_ns, time.monotonic() + PATIENCE_SECONDS

    def work() -> None:
        with opened(place.results / "dagster_home") as instance:
            Platform(replace(place, instance=instance), dict(platform.cursors)).settle()

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    while panel.stat().st_mtime_ns == before and worker.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    worker.kill()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL, "it ended before the mode was run"
    started = RunsFilter(statuses=[DagsterRunStatus.STARTED], tags={"dagster/partition": mode})
    (running,) = platform.instance.get_runs(started)
    return running.run_id


def take_over(platform: Platform, dead: str) -> None:
    """Its process is missed at two looks, which fails it; the daemon retries what failed so."""
    for _ in range(2):
        run = platform.instance.get_run_by_id(dead)
        assert run is not None
        assert not run.is_finished
        platform.look("lost_runs")
    run = platform.instance.get_run_by_id(dead)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    again = dg.RunRequest(
        run_key=f"{run.tags['dagster/run_key']}/again",
        job_name=run.job_name,
        asset_selection=sorted(run.asset_selection or ()),
        partition_key=run.tags["dagster/partition"],
        tags={k: v for k, v in run.tags.items() if k.startswith("basis/")},
    )
    assert platform.execute(again, "batches").success


def test_two_days_of_nightly_operation(platform: Platform, sample: Path) -> None:
    """Deliveries end in fresh verdicts or refusals, results survive, every run is explained."""
    diary, data, settings = Diary(platform), platform.place.data, load_settings()
    runs = platform.place.results / "runs"

    # The first evening: the platform is switched on.
    platform.begin(*sorted(RUNNABLE))
    diary.quiet()

    # Night 1: a perpetual's bars are late, and still being written when the clock strikes.
    with (data / PERP).open("a") as late:
        late.write("2024-02-29T23:0")
    strike(platform, 1)
    one = [platform.instance.get_runs(limit=1)[0], *platform.settle("batches", "pages")]
    assert "bybit_btcusdt_perp: still being written" in one[0].tags["basis/cause"]
    asked = {key.to_user_string() for key in one[0].asset_selection or ()}
    assert not asked & {"raw/bybit_btcusdt_perp", "dataset/bybit_btcusdt_perp"}
    assert {r.tags["dagster/partition"] for r in one[1:-1] if r.is_success} == RUNNABLE
    (data / PERP).write_text((sample / PERP).read_text() + "\n")
    aged(data)
    assert stages(platform.settle()) == ["data", "btc_basis", "pages"]
    diary.quiet()

    # Day 1: a file is delivered twice, another comes back shorter, then both are as they were.
    twice = data / FUNDING.replace("2024-02-29", "2024-02-29_2")
    shutil.copy(data / FUNDING, twice)
    aged(data)
    assert stages(platform.settle()) == ["data", "btc_basis", "pages"]
    kept = recorded(runs)
    cut_short(data / PERP)
    aged(data)
    short = platform.settle()
    assert stages(short) == ["data", "btc_basis", "pages", "pages"]
    assert [run.is_success for run in short] == [True, False, True, True]
    shutil.copy(sample / PERP, data / PERP)
    twice.unlink()
    aged(data)
    assert all(run.is_success for run in platform.settle())
    assert kept.items() <= recorded(runs).items()
    diary.quiet()

    # Night 2: the process is killed in the middle of a mode's run, and started again.
    strike(platform, 2)
    dead = killed_while_it_runs(platform, "btc_basis")
    assert kept.items() <= recorded(runs).items()
    take_over(platform, dead)
    two = platform.settle()
    assert stages(two) == ["eth_basis", "pure_lending", "pages"]
    assert [run.is_success for run in two] == [False, True, True]
    diary.quiet()

    # Day 2: corrupt deliveries in a row, until work is halted; a person resumes it.
    for spoil in (spoil_price, cut_last_line):
        shutil.copy(sample / PERP, data / PERP)
        spoil(data / PERP)
        aged(data)
        platform.settle()
    assert read_state(settings).stops_work
    shutil.copy(sample / PERP, data / PERP)
    aged(data)
    assert platform.clock("nightly", datetime(2024, 3, 3, 2, tzinfo=UTC)) == []
    assert "HALT" in platform.skipped["nightly"]
    diary.quiet()
    resume(settings, reason="the venue delivered again", by="ann")
    assert "btc_basis" in stages(platform.settle())
    diary.quiet()
    assert kept.items() <= recorded(runs).items()

    _explained(diary, dead)


def _explained(diary: Diary, dead: str) -> None:
    """Every run has a cause, and the trail tells what it was asked, read, gave, or was rejected."""
    trail: dict[str, list[Event]] = {}
    for event in read_events(diary.platform.place.results / DIRECTORY):
        trail.setdefault(event.run_id, []).append(event)
    runs = diary.runs()
    assert len(runs) > 25
    for run in runs:
        result = trail[run.run_id]
        kinds = [event.type for event in result]
        assert kinds.count("run_requested") == kinds.count("run_started") == 1, run.tags
        (requested,) = _of(result, "run_requested")
        assert requested.fields["tags"]["basis/cause"]
        assert run.is_finished
        if run.run_id == dead:
            assert "run_finished" not in kinds
        else:
            (finished,) = _of(result, "run_finished")
            expected = "succeeded" if run.is_success else "failed"
            assert finished.fields["outcome"] == expected
        _says_what_it_did(run, result, dead)
        is_bad = not run.is_success or any(
            e.fields["verdict"] == "FAIL" for e in _of(result, "gate_verdict")
        )
        assert kinds.count("alert") == int(is_bad), (run.tags, kinds)
    states = [
        e.type for events in trail.values() for e in events if e.type in ("halted", "resumed")
    ]
    assert states.count("halted") == 1
    changes = [e.fields["subject"] for e in _of(trail[""], "alert")]
    assert "HALT by the limits" in changes
    assert "NORMAL by ann" in changes


def _says_what_it_did(run: dg.DagsterRun, result: list[Event], dead: str) -> None:
    kinds = {event.type for event in result}
    if run.tags["basis/stage"] == "data":
        asked = {k.path[-1] for k in run.asset_selection or () if k.path[0] == "raw"}
        read = {e.fields["dataset"] for e in result if e.type in ("feed_read", "data_rejected")}
        assert asked <= read
    elif run.tags["basis/stage"] == "mode" and run.run_id != dead:
        assert "configuration_used" in kinds
        if run.is_success:
            assert {"data_read", "run_result", "gate_verdict"} <= kinds
        else:
            (rejected, *_) = _of(result, "run_blocked")
            assert rejected.fields["code"] in ("BT-001", "BT-005")


def _of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event.type == kind]
