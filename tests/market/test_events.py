"""Rewards by their periods and costs by their days: aligned to a window, or rejected."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.window import parse_window
from tests.market.conftest import Catalogue, Put, rejection

EIGEN = "manual_sources/etherfi_distributions/eigen_distributions_raw.csv"
EIGEN_HEADER = (
    "staking_period_start,staking_period_end,eigen_earned,eth_restaked,eth_not_restaked,"
    "eigen_per_eeth_weekly"
)
EIGEN_ROWS = (
    "2024-08-15,2024-10-05,2478088,1480684,532110,0.205",
    "2024-10-06,2024-10-12,358681,1531605,474149,0.179",
    "2024-10-13,2024-10-19,358383,1518610,498538,0.178",
)


def test_eigen_is_the_total_over_all_units(put: Put, build: Callable[..., Dataset]) -> None:
    """Paid twelve days after each period; the file's own weekly rate is only compared."""
    put(EIGEN, [EIGEN_HEADER, *EIGEN_ROWS])
    dataset = build("eigen_rewards", parse_window("2024-09-01", "2024-10-24"))
    frame = dataset.frame
    expected = [2478088 / (1480684 + 532110), 358681 / (1531605 + 474149)]
    assert frame["tokens_per_unit"].tolist() == pytest.approx(expected)
    assert frame["timestamp"].dt.strftime("%m-%d").tolist() == ["10-17", "10-24"]
    assert frame["period_start"].dt.day.tolist() == [15, 6]
    (remark,) = [text for text in dataset.findings.remarks if "stated rate" in text]
    assert "1 of 3 periods" in remark
    assert "23.7%" in remark
    error = rejection(build, "eigen_rewards", parse_window("2024-09-01", "2025-03-01"))
    assert error.code == "DATA-010"


def test_a_missing_week_of_a_running_programme_is_a_gap(
    put: Put, build: Callable[..., Dataset]
) -> None:
    """What is earned is earned every day, so a lost row cannot pass for a pause."""
    later = "2024-10-20,2024-10-26,330000,1518610,498538,0.164"
    put(EIGEN, [EIGEN_HEADER, EIGEN_ROWS[0], EIGEN_ROWS[2], later])
    error = rejection(build, "eigen_rewards", parse_window("2024-09-01", "2024-10-26"))
    assert error.code == "DATA-013"
    assert "2024-10-06 00:00 … 2024-10-12 00:00" in error.what


def test_periods_that_overlap_are_rejected(put: Put, build: Callable[..., Dataset]) -> None:
    """A day paid by two periods is income that nobody received."""
    twice = "2024-10-12,2024-10-19,358383,1518610,498538,0.178"
    put(EIGEN, [EIGEN_HEADER, *EIGEN_ROWS[:2], twice])
    error = rejection(build, "eigen_rewards", parse_window("2024-09-01", "2024-10-20"))
    assert error.code == "DATA-006"
    assert "2024-10-12" in error.what


def test_too_few_rewards_are_rejected(put: Put, build: Callable[..., Dataset]) -> None:
    """Irregular feeds may require a minimum number of rows."""
    put(
        "manual_sources/etherfi_distributions/ethfi_topups_raw.csv",
        [
            "top_up_date,staking_period_start,staking_period_end,ethfi_per_eeth_distributed",
            "2024-10-18,2024-08-15,2024-10-05,0.248",
        ],
    )
    error = rejection(build, "ethfi_rewards", parse_window("2024-09-01", "2024-12-01"))
    assert error.code == "DATA-010"


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        ("2024-06-02T05:00", "2024-06-04T01:00", ""),
        ("2024-06-10", "2024-06-25", "DATA-012"),
        ("2024-06-19", "2024-09-01", "DATA-010"),
        ("2023-06-01", "2023-06-10", "DATA-012"),
        ("2024-06-04", "2024-06-06", "DATA-010"),
        ("2024-06-01", "2024-06-20", "DATA-013"),
    ],
)
def test_the_cost_table_covers_every_day_the_window_touches(
    start: str,
    end: str,
    code: str,
    tmp_path: Path,
    build: Callable[..., Dataset],
    catalogue: Catalogue,
) -> None:
    """One pair lacks one day; only a window with that day, or outside the table, is rejected."""
    pairs = catalogue["execution_costs"].required_keys
    days = {f"2024-06-{day:02d}": 5 for day in range(1, 21)}
    short = {day: bps for day, bps in days.items() if day != "2024-06-05"}
    table = {pair: {"10k": days, "100k": days, "1m": days} for pair in pairs}
    table["BTCUSDT-PERP"] = {"10k": days, "100k": days, "1m": short}
    path = tmp_path / "execution_costs/lookup_tables/execution_costs_lookup.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(table))
    window = parse_window(start, end)
    if code:
        assert rejection(build, "execution_costs", window).code == code
        return
    frame = build("execution_costs", window).frame
    assert sorted(frame["timestamp"].dt.day.unique()) == [2, 3, 4]
    assert len(frame) == 3 * 3 * len(pairs)
