"""Rows of a sweep are single runs; batches have the same bytes however they were computed."""

import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from basis_pipeline.backtests import sweep as sweeping
from basis_pipeline.backtests.fan_out import in_threads, run_figures
from basis_pipeline.backtests.ingest import Feeds
from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.backtests.probes import probes
from basis_pipeline.backtests.scenario_report import write_report
from basis_pipeline.backtests.scenarios import Study, study_of
from basis_pipeline.backtests.sweep import (
    Progress,
    batches,
    identity_of,
    run_point,
    sweep,
    table_of,
)
from basis_pipeline.config.points import columns, coordinates, size
from basis_pipeline.config.scenario import CAPITAL
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import parameter_record
from basis_pipeline.errors import BasisError, ConfigError, ResultsError
from basis_pipeline.market.window import parse_window
from basis_pipeline.reports.page import Provenance
from basis_pipeline.results.origin import Origin
from basis_pipeline.settings import project_root
from tests.backtests.studies import RANDOM, keys_of, made_set, span, study_over
from tests.backtests.trees import CONFIGS, MODES, Tree

SHOCKED = {
    "calm": [],
    "crash": [
        {"shock": "price_gap", "at": 100, "size": -0.25},
        {"shock": "lst_depeg", "at": 100, "size": 0.04, "recovery_hours": 200},
        {"shock": "gas_spike", "at": 90, "hours": 48, "size": 4.0},
    ],
}


OUTAGE_ELSEWHERE = {"shock": "venue_outage", "at": 1, "hours": 2, "venue": "deribit"}


def rows_of(study: Study, indices: list[int], threads: int = 1) -> list[dict[str, Any]]:
    """Return the rows of some points."""
    found = np.array(indices)
    table = table_of(study, found, *run_figures(study, found, threads))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def same(counted: Any, found: Any) -> bool:
    """Say whether a row's figure is the summary's, to the bit; None stands for undefined."""
    if found is None:
        return not math.isfinite(counted)
    return bool(counted == found)


def assert_row_is_run(study: Study, row: dict[str, Any]) -> None:
    """Check that every figure of a row is the single run's, and its status the run's error."""
    if row["status"]:
        with pytest.raises(BasisError) as rejected:
            run_point(study, row["index"])
        assert rejected.value.code == row["status"]
        return
    summary = run_point(study, row["index"]).result.summary
    found = {**summary, **summary["attribution"], **summary["groups"]}
    figures = [name for name in sweeping.FIGURES if name != "status"]
    assert len(figures) > 35
    wrong = [name for name in figures if not same(row[name], found[name])]
    assert not wrong, {name: (row[name], found[name]) for name in wrong}
    assert row["capital"] == found["capital"]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_is_the_single_run_to_the_bit(sample: Tree, mode: str) -> None:
    """Random points of every mode, shocked and calm: the validated path gives the same numbers."""
    scenarios = made_set(sampling=RANDOM, keys=keys_of(mode), markets=SHOCKED)
    study = study_over(sample, mode, scenarios)
    chosen = np.random.default_rng(len(mode)).choice(size(scenarios), 4, replace=False).tolist()
    for row in rows_of(study, chosen):
        assert_row_is_run(study, row)


def test_the_sheet_of_a_point_shows_its_gates(sample: Tree, tmp_path: Path) -> None:
    """A single point is judged as every run is."""
    study = study_over(sample, "pure_lending", made_set())
    rows = pd.DataFrame(rows_of(study, [0]))
    write_report(study, tmp_path, rows, [], Origin.of(tmp_path), Provenance.now())
    sheet = (tmp_path / "sheet-0.html").read_text("utf-8")
    assert "NOT JUDGED" not in sheet
    assert "closed_form" in sheet


def test_a_row_of_a_window_and_a_path_is_the_single_run(sample: Tree) -> None:
    """Replayed windows that begin at any hour, and paths drawn from history."""
    scenarios = made_set(
        keys={"hedge.ratio": {"values": [0.9, 1.0]}},
        windows={
            "early": {"start": "2024-01-20T05:00", "end": "2024-02-20"},
            "late": {"start": "2024-03-01", "end": "2024-03-31T13:00"},
        },
        bootstrap={"paths": 3, "mean_block_hours": 48, "seed": 3},
    )
    study = study_over(sample, "usdt_market_neutral", scenarios)
    rows = rows_of(study, list(range(size(scenarios))))
    assert len({row["final_equity"] for row in rows}) == size(scenarios) == 12
    for row in rows:
        assert_row_is_run(study, row)


def test_a_row_against_the_lending_rate_is_the_single_run(sample: Tree) -> None:
    """A point run by itself needs the rates that the figures of its row are measured against."""
    lending = {"metrics.risk_free": "lending"}
    study = study_over(sample, "btc_basis", made_set(), **lending)
    (row,), (usual,) = (
        rows_of(study, [0]),
        rows_of(study_over(sample, "btc_basis", made_set()), [0]),
    )
    assert row["sharpe"] != usual["sharpe"]
    assert_row_is_run(study, row)


def test_what_a_single_run_rejects_is_a_status(sample: Tree) -> None:
    """A capital that the gas of entering uses up, and a withdrawal of everything."""
    poor = made_set(keys={CAPITAL: {"values": [1.0, 1e5]}})
    study = study_over(sample, "usdt_market_neutral", poor)
    assert [row["status"] for row in rows_of(study, [0, 1])] == ["BT-004", ""]
    assert_row_is_run(study, rows_of(study, [0])[0])
    flow = {"date": "2024-02-20T00:00:00Z", "amount": -2e5}
    emptied = study_over(sample, "pure_lending", made_set(), flows=[flow])
    (row,) = rows_of(emptied, [0])
    assert row["status"] == "CONFIG-012"
    assert_row_is_run(emptied, row)


@pytest.mark.parametrize("mode", MODES)
def test_direct_numbers_are_those_of_the_validated_slice(sample: Tree, mode: str) -> None:
    """Parameters and market of every point equal those of its own slice and panel, to the bit."""
    scenarios = made_set(sampling=RANDOM, keys=keys_of(mode))
    study, seen = study_over(sample, mode, scenarios), 0
    for prepared, rows, capitals, inside in study.groups(np.arange(size(scenarios))):
        for row, capital, index in list(zip(rows, capitals, inside, strict=True))[:5]:
            chosen = study.point(int(index))
            mode_slice = study.slice_of(chosen.overrides)
            assert row.tobytes() == parameter_record(parameters_of(mode_slice)).tobytes()
            assert capital == chosen.overrides[CAPITAL]
            seen += 1
        market = market_arrays(study.panel_of(mode_slice, chosen), mode_slice)
        for name, values in hour_coefficients(market)._asdict().items():
            assert values.tobytes() == getattr(prepared.hours, name).tobytes(), name
    assert seen >= 8


def test_any_order_and_any_number_of_threads_give_the_same_rows(sample: Tree) -> None:
    """A row depends on its point alone."""
    keys = keys_of("usdt_market_neutral")
    study = study_over(sample, "usdt_market_neutral", made_set(sampling=RANDOM, keys=keys))
    order = np.random.default_rng(1).permutation(24).tolist()
    straight = {row["index"]: repr(row) for row in rows_of(study, list(range(24)))}
    for threads in (1, 3):
        mixed = {row["index"]: repr(row) for row in rows_of(study, order, threads)}
        assert mixed == straight
    alone = study_over(sample, "usdt_market_neutral", made_set(sampling=RANDOM, keys=keys))
    assert repr(rows_of(alone, [23])[0]) == straight[23]


def files_of(out: Path) -> dict[str, bytes]:
    """Return every file of a sweep."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_a_finished_sweep_is_not_repeated(
    sample: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished batches are skipped, a missing or damaged one is run again, to the same bytes."""
    monkeypatch.setattr(sweeping, "BATCH", 16)
    keys = {"hedge.ratio": span(0.9, 1.0, steps=50)}
    study = study_over(sample, "btc_basis", made_set(keys=keys))
    found: list[Progress] = []
    sweep(study, tmp_path, run=in_threads(2), report=found.append)
    assert [progress.done for progress in found] == [0, 16, 32, 48, 50]
    first = files_of(tmp_path)
    assert len(first) == 1 + len(list(batches(study))) == 5
    again = sweep(study, tmp_path, run=in_threads(1))
    assert (again.resumed, again.done) == (50, 50)
    names = [name for name in first if name != sweeping.MANIFEST]
    (tmp_path / names[1]).unlink()
    (tmp_path / names[2]).write_bytes(first[names[2]][:100])
    assert sweep(study, tmp_path, run=in_threads(1)).resumed == 18
    assert files_of(tmp_path) == first
    table = pq.read_table(tmp_path / sweeping.BATCHES)
    assert sorted(table["index"].to_pylist()) == list(range(50))


def test_another_sweep_is_not_mixed_in(sample: Tree, tmp_path: Path) -> None:
    """A directory belongs to one set over one mode and its data."""
    first = study_over(sample, "btc_basis", made_set(keys={CAPITAL: {"values": [1e4, 1e5]}}))
    other = study_over(sample, "btc_basis", made_set(keys={CAPITAL: {"values": [1e4, 2e5]}}))
    sweep(first, tmp_path)
    before = files_of(tmp_path)
    assert identity_of(first) != identity_of(other)
    with pytest.raises(ResultsError, match="RS-013"):
        sweep(other, tmp_path)
    assert files_of(tmp_path) == before


def stopped(command: list[str], kept: Path, stop: signal.Signals) -> tuple[int, bytes]:
    """Stop a sweep when it has finished a batch; return its exit code and stderr."""
    before = len(list(kept.glob("points-*.parquet")))
    running = subprocess.Popen(
        [sys.executable, "-m", "basis_pipeline", *command],
        cwd=project_root(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120.0
    while len(list(kept.glob("points-*.parquet"))) == before:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)  # leaves the processor to the sweep
    running.send_signal(stop)
    _, message = running.communicate()
    return running.returncode, message


def test_a_stopped_sweep_continues_to_the_same_bytes(sample: Tree, tmp_path: Path) -> None:
    """Interrupted, continued, killed and continued again, it writes the same files."""
    sampling = {"method": "sobol", "points": 24_000, "seed": 2}
    long = made_set(sampling=sampling, keys={"staking.target_ltv": span(0.3, 0.7)})
    window, load = parse_window("2024-01-05", "2024-02-05"), Feeds(CONFIGS, sample.root).datasets
    study = study_of(CONFIGS, "usdt_market_neutral", long, load, window)
    file, out = tmp_path / f"{long.name}.yaml", tmp_path / "out"
    file.write_text(long.model_dump_json())
    command = ["sweep", "usdt_market_neutral", "--scenarios", str(file), "--out", str(out)]
    command += ["--data-dir", str(sample.root), "--threads", "2"]
    command += ["--start", "2024-01-05", "--end", "2024-02-05"]
    kept = out / sweeping.BATCHES
    code, message = stopped(command, kept, signal.SIGINT)
    assert code == 130
    assert b"batches are kept" in message
    code, message = stopped(command, kept, signal.SIGKILL)
    assert (code, message) == (-signal.SIGKILL, b"")
    assert 2 <= len(list(kept.glob("points-*.parquet"))) < 6
    sweep(study, out)
    sweep(study, tmp_path / "whole")
    found, whole = files_of(out), files_of(tmp_path / "whole")
    partial = [name for name in found if Path(name).name.startswith(".")]
    assert len(partial) <= 1  # what the killed process was writing
    assert {name: text for name, text in found.items() if name not in partial} == whole


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"keys": {"staking.target_lvt": {"values": [0.5]}}}, "CONFIG-010"),
        ({"keys": {"staking.target_ltv": {"values": [0.5, 0.95]}}}, "CONFIG-006"),
        ({"keys": {"staking.target_ltv": span(0.3, 1.5, steps=3)}}, "CONFIG-005"),
        ({"keys": {CAPITAL: {"values": [0.0]}}}, "CONFIG-012"),
        ({"keys": {"spot.venue": {"values": ["bybit", "kraken"]}}}, "CONFIG-008"),
        ({"keys": {"hedge.ratio": span(0.0, 1.0, steps=11)}}, "CONFIG-006"),
        ({"windows": {"w": {"start": "2024-03-01", "end": "2024-02-01"}}}, "CONFIG-011"),
        ({"markets": {"m": [{"shock": "price_gap", "at": 99_999, "size": 0.1}]}}, "CONFIG-011"),
        ({"markets": {"m": [OUTAGE_ELSEWHERE]}}, "CONFIG-008"),
        (
            {"keys": {f"rebalance.{b}_band": span(1, 2, steps=10**6) for b in ("ltv", "delta")}},
            "CONFIG-MGR-005",
        ),
    ],
)
def test_a_bad_set_is_rejected_before_anything_is_read(parts: dict[str, Any], code: str) -> None:
    """One coded message names the set; no data directory is read."""
    scenarios = made_set(**parts)
    window, load = (
        parse_window("2024-01-05", "2024-03-05"),
        Feeds(CONFIGS, Path("/nowhere")).datasets,
    )
    with pytest.raises(ConfigError) as rejected:
        study_of(CONFIGS, "usdt_market_neutral", scenarios, load, window)
    assert rejected.value.code == code


def test_probes_are_few_and_include_every_corner() -> None:
    """Corners of related keys, both ends of all others, zero and the value above it."""
    keys = {
        "staking.target_ltv": span(0.0, 0.8, steps=5),
        "hedge.ratio": span(0.9, 1.0, steps=100),
        "rebalance.ltv_band": span(0.01, 0.02, steps=100),
    }
    found = list(probes(made_set(keys=keys)))
    assert len(found) == 3 * 2 + 1
    assert {probe["staking.target_ltv"] for probe in found} == {0.0, 0.2, 0.8}
    assert found[-1]["rebalance.ltv_band"] == 0.02


def test_columns_are_the_points(sample: Tree) -> None:
    """A batch's columns are the values of each point, on a grid and drawn at random."""
    for sampling in ({"method": "sobol", "points": 3000, "seed": 1}, {**RANDOM, "points": 3000}):
        scenarios = made_set(sampling=sampling, keys=keys_of("usdt_market_neutral"))
        indices = np.array([0, 2999, 1023, 1024, 7])
        *_, samples = coordinates(scenarios, indices)
        table = columns(scenarios, samples)
        study = study_over(sample, "usdt_market_neutral", scenarios)
        for place, index in enumerate(indices.tolist()):
            found = study.point(index).overrides
            assert found["hedge.ratio"] == table["hedge.ratio"][place]
            assert 0.8 <= found["hedge.ratio"] <= 1.0
