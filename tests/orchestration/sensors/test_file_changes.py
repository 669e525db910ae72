"""What is delivered is read once it stands still, with everything downstream that uses it."""

import dagster as dg

from basis_pipeline.operations.control import halt, resume
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.settings import load_settings
from basis_pipeline.verdict import Status
from tests.orchestration.conftest import FirstNight
from tests.orchestration.platform_alone import Platform, aged, stages
from tests.orchestration.test_refusals import (
    contents,
    recorded,
    spoil_price,
)

PERP = "market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_2024-01-01_2024-02-29.csv"
LONGER = (
    "market_data/derivatives/funding_rates/bybit_BTCUSDT_funding_rates_2024-01-01_2024-02-29.csv"
)
WORK = ("raw_files", "configuration", "batches", "backtest_requests")


def test_the_first_look_reads_everything_and_asks_for_every_mode(
    first_night: FirstNight, running: Platform
) -> None:
    """A batch of one run for the data, then one a mode; no file is asked for twice."""
    data, requests = first_night.data, first_night.requests
    assert data.tags["basis/cause"] == "first tick on the raw files"
    assert [request.partition_key for request in requests] == sorted(running.modes)
    assert {request.tags["basis/batch"] for request in requests} == {data.tags["basis/batch"]}
    assert running.look("raw_files") == []
    assert running.skipped["raw_files"].endswith("none changed")


def test_a_longer_file_runs_exactly_the_modes_that_read_it(running: Platform) -> None:
    """It is read again alone, with the datasets made of it; its mode has a new result."""
    before = running.results()
    lines = (running.place.data / LONGER).read_text().splitlines()
    changed = [lines[0], *(line.replace(",0.0001", ",0.0002") for line in lines[1:])]
    (running.place.data / LONGER).write_text("\n".join([*changed, changed[-1], ""]))
    aged(running.place.data)
    runs = running.settle()
    assert stages(runs) == ["data", "btc_basis", "pages"]
    assert runs[0].tags["basis/cause"].endswith("bybit_btcusdt_funding changed")
    read = {key.to_user_string() for key in runs[0].asset_selection or ()}
    assert {key for key in read if key.startswith("raw/")} == {"raw/bybit_btcusdt_funding"}
    after = running.results()
    assert after["pure_lending"] == before["pure_lending"]
    verdicts = running.verdict_runs("btc_basis")
    assert verdicts == {runs[1].run_id}


def test_a_vanished_file_stops_its_modes_and_touches_no_result(running: Platform) -> None:
    """It is rejected with its code, on every page; `test_two_days` has what ends that."""
    runs_kept, reports = (running.place.results / name for name in ("runs", "reports"))
    before, pages = recorded(runs_kept), contents(reports)
    (running.place.data / PERP).unlink()
    aged(running.place.data)
    runs = running.settle()
    assert stages(runs) == ["data", "btc_basis", "pages", "pages"]
    assert runs[1].status is dg.DagsterRunStatus.FAILURE
    gates = {g.name: g for g in all_gates(running.instance, running.place.defs)}
    blocking = gates["market/panel[btc_basis] inputs"]
    assert blocking.status is Status.FAIL
    assert "DATA-001" in blocking.message
    assert recorded(runs_kept) == before
    # Every page that shows a verdict on the mode or its data is written anew, its sheet included.
    written = {name for name, content in contents(reports).items() if content != pages[name]}
    assert written >= {"btc_basis.html", "comparison.html", "data_audit.html", "gates.html"}
    assert ">FAIL</span>" in (reports / "gates.html").read_text("utf-8")
    assert running.settle() == []  # the same broken file is not asked for again


def test_a_growing_file_is_left_alone(running: Platform) -> None:
    """Written just now, or longer at every look: nobody reads half a file."""
    file = running.place.data / LONGER
    for _ in range(3):
        with file.open("a") as growing:
            growing.write("half a li")
        assert running.look("raw_files") == []
        assert "waiting for" in running.skipped["raw_files"]
    assert running.look("raw_files") == []  # it stands still, but was written just now


def test_a_halt_stops_requests_and_forgets_nothing(running: Platform) -> None:
    """Every sensor says why; what came meanwhile, and what was to follow, comes after it."""
    settings = load_settings()
    (running.place.data / LONGER).write_text((running.place.data / LONGER).read_text() + "\n")
    aged(running.place.data)
    running.look("raw_files")
    (data,) = running.look("raw_files")
    running.execute(data, "raw_files")
    halt(settings, reason="funding looks wrong", by="ann")
    spoil_price(running.place.data / PERP)
    aged(running.place.data)
    assert running.settle(*WORK) == []
    for sensor in WORK:
        assert "HALT" in running.skipped[sensor]
        assert "funding looks wrong" in running.skipped[sensor]
    resume(settings, reason="it was right", by="ben")
    assert sorted(stages(running.settle(*WORK))) == ["btc_basis", "btc_basis", "data"]
