"""Rewards by their periods and costs by their days: aligned to a window, or rejected."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.window import parse_window
from tests.market.conftest import rejection

Catalogue = dict[str, DatasetConfig]
Put = Callable[[str, list[str]], Path]


def test_eigen_is_a_weekly_rate_over_its_period(put: Put, build: Callable[..., Dataset]) -> None:
    """The first row covers 51 days; a week from Sunday to Saturday counts once, not 6/7."""
    put(
        "manual_sources/etherfi_distributions/eigen_distributions_raw.csv",
        [
            "staking_period_start,staking_period_end,eigen_per_eeth_weekly",
            "2024-08-15,2024-10-05,0.205",
            "2024-10-06,2024-10-12,0.179",
            "2024-10-13,2024-10-19,0.178",
        ],
    )
    frame = build("eigen_rewards", parse_window("2024-09-01", "2024-10-14")).frame
    assert frame["tokens_per_eeth"].tolist() == pytest.approx([0.205 * 51 / 7, 0.179])
    assert frame["timestamp"].dt.day.tolist() == [5, 12]
    assert frame["period_start"].dt.day.tolist() == [15, 6]
    error = rejection(build, "eigen_rewards", parse_window("2024-09-01", "2025-03-01"))
    assert error.code == "DATA-010"


def test_a_missing_week_of_a_running_programme_is_a_gap(
    put: Put, build: Callable[..., Dataset]
) -> None:
    """What is paid at a rate is paid every day, so a lost row cannot pass for a pause."""
    put(
        "manual_sources/etherfi_distributions/eigen_distributions_raw.csv",
        [
            "staking_period_start,staking_period_end,eigen_per_eeth_weekly",
            "2024-08-15,2024-10-05,0.205",
            "2024-10-13,2024-10-19,0.178",
            "2024-10-20,2024-10-26,0.167",
        ],
    )
    error = rejection(build, "eigen_rewards", parse_window("2024-09-01", "2024-10-26"))
    assert error.code == "DATA-013"
    assert "2024-10-06 00:00 … 2024-10-12 00:00" in error.what


def test_too_few_rewards_are_a_sliver(put: Put, build: Callable[..., Dataset]) -> None:
    """Where events are irregular, a minimum of rows is asked for."""
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
