"""Walk-forward: windows, choices and gates on made rows; then the whole of it on sample data."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from basis_pipeline.backtests.probes import checked_slices
from basis_pipeline.backtests.scenario_checks import broken, scenario_checks, worst
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import sweep
from basis_pipeline.backtests.walk_forward import (
    NONE,
    Walked,
    choose,
    degradation,
    edges,
    folds_of,
    grid_steps,
    growth_of,
    out_of_sample,
    scenario_set,
    summary_of,
    walk,
    walk_forward_checks,
    write_walk,
)
from basis_pipeline.config.loading import validate
from basis_pipeline.config.scenario import Constraints
from basis_pipeline.config.walk_forward import WalkForward, load_walk_forward
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.window import parse_window
from basis_pipeline.results.overfitting import sharpe_ratio
from basis_pipeline.settings import project_root
from tests.backtests.studies import made_set, span, study_over
from tests.backtests.trees import SHIPPED, Tree

FREE = {"max_liquidations": None, "max_drawdown": None, "min_health_factor": None}
FREE["min_margin_ratio"] = None


def plan_of(**parts: Any) -> WalkForward:
    """Return a plan as read from its file."""
    plain = {
        "mode": "btc_basis",
        "description": "made up",
        "keys": {
            "allocation.spot": span(0.4, 0.6, steps=3),
            "rebalance.drift_band": span(0.01, 0.04, steps=3, scale="log"),
        },
        "train_days": 40,
        "test_days": 30,
        "step_days": 5,
        "blocks": 4,
        "objective": "sharpe",
        "constraints": FREE,
        "limits": {"max_degradation": 0.5, "min_deflated_sharpe": 0.9, "max_overfitting": 0.5},
    }
    return validate(TypeAdapter(WalkForward), {**plain, **parts}, "made up")


def row(**figures: Any) -> dict[str, Any]:
    """Return a sound row of a sweep."""
    plain: dict[str, Any] = {"index": 0, "window": "", "market": "", "path": -1, "status": ""}
    plain |= {"total_return": 0.01, "max_drawdown": 0.01, "liquidations": 0}
    return {**plain, "min_health_factor": np.nan, "min_margin_ratio": np.nan, **figures}


def test_folds_follow_one_another_and_never_overlap_in_time() -> None:
    """A test begins where its train ends, and no test reaches over the window's end."""
    window = parse_window("2024-01-01T05:00", "2024-03-26T05:00")
    folds = folds_of(plan_of(), window)
    assert len(folds) == 4  # 85 days: trains begin on day 0, 5, 10, 15
    assert folds[0].train.start == window.start
    assert folds[-1].test.end == window.end
    for fold in folds:
        assert fold.train.end == fold.test.start
        assert fold.train.end - fold.train.start == pd.Timedelta(days=40)
        assert fold.test.end - fold.test.start == pd.Timedelta(days=30)
    steps = {later.train.start - fold.train.start for fold, later in pairwise(folds)}
    assert steps == {pd.Timedelta(days=5)}


def test_a_window_without_a_fold_is_rejected() -> None:
    """One hour short of a train and a test."""
    with pytest.raises(ConfigError, match="CONFIG-011"):
        folds_of(plan_of(), parse_window("2024-01-01T01:00", "2024-03-11"))


def test_the_best_that_keeps_the_constraints_is_chosen() -> None:
    """Neither the better one that breaks them, nor one whose objective is not defined."""
    values = np.array([3.0, np.nan, 2.0, 1.0])
    steps = np.zeros((4, 1))
    assert choose(values, np.array([False, True, True, True]), steps) == 2
    assert choose(values, np.array([False, True, False, False]), steps) == NONE


def test_of_equals_the_middle_of_the_grid_is_chosen() -> None:
    """A key that changes nothing is not chosen at its edge."""
    keys = plan_of().keys
    assert choose(np.ones(9), np.ones(9, dtype=bool), grid_steps(keys)) == 4


def test_edges_of_the_grid_are_named_unless_they_are_natural() -> None:
    """Points of a 3 × 3 grid: the corner, the middle, and an end beyond which nothing is."""
    plan = plan_of()
    assert edges(plan, 0) == ["allocation.spot", "rebalance.drift_band"]
    assert edges(plan, 4) == []
    assert edges(plan, 7) == ["allocation.spot"]
    assert edges(plan_of(natural_edges={"allocation.spot": [0.6]}), 7) == []
    named = plan_of(keys={"staking.lst": {"values": ["weETH", "wstETH"]}})
    assert edges(named, 0) == []


def test_what_a_row_breaks_is_named() -> None:
    """Each constraint on its own side; what is not defined breaks nothing."""
    limits = Constraints(
        max_liquidations=0, max_drawdown=0.05, min_health_factor=1.1, min_margin_ratio=0.1
    )
    rows = pd.DataFrame(
        [
            row(),
            row(liquidations=1, max_drawdown=0.06),
            row(min_health_factor=1.05),
            row(min_margin_ratio=0.05),
            row(status="BT-004"),
            row(max_drawdown=0.05, min_health_factor=1.1, min_margin_ratio=0.1),
        ]
    )
    expected = ["", "max_liquidations,max_drawdown", "min_health_factor", "min_margin_ratio"]
    assert broken(rows, limits).tolist() == [*expected, "status", ""]


def test_gates_of_scenarios_fail_for_a_rejected_row_and_for_a_broken_limit() -> None:
    """Each of them by itself, its worst rows first."""
    limits = {**FREE, "max_drawdown": 0.05}
    stated, sound = made_set(limits=limits), [row(index=0), row(index=1, total_return=-0.5)]
    verdicts = scenario_checks(pd.DataFrame(sound), stated)
    assert [gate.passed for gate in verdicts] == [True, True]
    rejected = pd.DataFrame([*sound, row(index=2, status="BT-002")])
    assert [gate.passed for gate in scenario_checks(rejected, made_set())] == [False, True]
    assert worst(rejected, 2)["index"].tolist() == [2, 1]
    lost = pd.DataFrame([*sound, row(index=2, total_return=-0.2, max_drawdown=0.2)])
    found = scenario_checks(lost, stated)
    assert [gate.passed for gate in found] == [True, False]
    assert [row["index"] for row in found[1].rows] == [2]
    assert found[1].evidence["max_drawdown"] == 0.2
    assert found[1].evidence["limit_max_drawdown"] == 0.05


def test_a_grid_without_steps_and_an_unknown_natural_edge_are_rejected() -> None:
    """Where a walk-forward could not choose, its plan says so."""
    for parts in (
        {"keys": {"hedge.ratio": span(0.9, 1.0)}}, {"natural_edges": {"hedge.ratio": [1.0]}},
        {"blocks": 5}, {"objective": "luck"}, {"test_days": 29},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="CONFIG-005"):
            plan_of(**parts)


def test_every_mode_has_a_plan_that_fits_it() -> None:
    """Its grid breaks no rule of the mode, its folds fit the data's window."""
    for mode in SHIPPED.modes:
        plan = load_walk_forward(project_root() / "configs", SHIPPED, mode)
        scenarios = scenario_set(plan, parse_window("2024-05-13", "2025-03-01"))
        assert list(checked_slices(SHIPPED, mode, scenarios, None, {})), mode
        assert len(scenarios.windows or {}) == 1 + 2 * 6, mode


@pytest.fixture(scope="module")
def swept(sample: Tree, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """Sweep a plan over 75 days of the sample."""
    window = parse_window("2024-01-10", "2024-03-25")
    study = study_over(sample, "btc_basis", scenario_set(plan_of(), window), window=window)
    out = tmp_path_factory.mktemp("walk")
    sweep(study, out)
    return study, out


@pytest.fixture(scope="module")
def walked(swept: tuple[Study, Path]) -> Walked:
    """Walk forward over that sweep."""
    return walk(plan_of(), *swept)


def test_choices_are_made_on_train_and_evaluated_on_test(
    walked: Walked, swept: tuple[Study, Path]
) -> None:
    """Every fold's figures are rows of the sweep: its best train row, and that point's test row."""
    from basis_pipeline.backtests.sweep import read_rows

    rows = read_rows(*swept).to_pandas().set_index("window")
    assert len(walked.folds) == 2
    for number, fold in walked.folds.iterrows():
        train, test = rows.loc[f"train_{number:03d}"], rows.loc[f"test_{number:03d}"]
        assert fold["train_value"] == train["sharpe"].max()
        assert fold["test_value"] == test["sharpe"].iloc[fold["chosen"]]
        assert fold["allocation.spot"] == test["allocation.spot"].iloc[fold["chosen"]]
    assert walked.points["value"].iloc[walked.chosen] == rows.loc["whole"]["sharpe"].max()


def test_daily_returns_are_those_the_figures_were_counted_from(walked: Walked) -> None:
    """Their Sharpe ratio, annualised, is each row's own."""
    assert walked.returns.shape == (75, 9)
    expected = walked.points["sharpe"].to_numpy()
    np.testing.assert_allclose(sharpe_ratio(walked.returns) * np.sqrt(365), expected, rtol=1e-9)


def test_the_tests_are_stitched_and_the_whole_window_begins_with_them(walked: Walked) -> None:
    """Of overlapping tests the first counts whole; each day counts once."""
    grown, folds = walked.growth, walked.folds
    first, last = folds["test_start"].iloc[0], folds["test_end"].iloc[-1]
    assert (grown.index[0], grown.index[-1]) == (first, last)
    assert (grown.iloc[0] == 1.0).all()
    assert grown.index.is_unique
    one = grown["out_of_sample"].loc[folds["test_end"].iloc[0]] - 1.0
    assert one == pytest.approx(folds["test_total_return"].iloc[0], rel=1e-9)
    days = (last - first).days
    expected = np.prod(1.0 + walked.returns[-days:, walked.chosen])
    assert grown["whole_window"].iloc[-1] == pytest.approx(expected, rel=1e-12)
    assert growth_of([], pd.Series()).empty


def test_degradation_is_the_share_that_is_lost(walked: Walked) -> None:
    """Half of the objective lost on every fold; a fold without a choice does not count."""
    folds = walked.folds.assign(train_value=2.0, test_value=1.0, test_total_return=0.01)
    halved = replace(walked, folds=folds)
    assert degradation(halved) == pytest.approx(0.5)
    grown = 1.01 ** (365 / 30) - 1.0
    assert out_of_sample(halved) == pytest.approx(grown)
    none = replace(walked, folds=folds.assign(chosen=NONE))
    assert np.isnan(degradation(none))
    assert np.isnan(out_of_sample(none))


def test_each_gate_of_a_walk_forward_can_fail(walked: Walked) -> None:
    """A planted fault fails its own gate."""

    def failing(spoilt: Walked) -> set[str]:
        return {gate.check for gate in walk_forward_checks(spoilt) if not gate.passed}

    sound = failing(walked)
    middle = replace(walked, chosen=4)
    assert "inside_the_grid" not in failing(middle)
    assert "inside_the_grid" in failing(replace(walked, chosen=0))
    unsound = pd.DataFrame([row(status="BT-002")])
    assert failing(replace(walked, unsound=unsound)) - sound == {"reconciliation"}
    nothing = replace(walked, folds=walked.folds.assign(chosen=NONE), chosen=NONE)
    assert {"choice_in_every_fold", "constraints_kept_on_test", "degradation"} <= failing(nothing)
    assert {"inside_the_grid", "deflated_sharpe"} <= failing(nothing)
    lost = walked.folds.assign(train_value=2.0, test_value=0.5)
    assert "degradation" in failing(replace(walked, folds=lost))
    assert "degradation" not in failing(replace(walked, folds=lost.assign(test_value=1.5)))
    fallen = replace(walked, folds=walked.folds.assign(test_kept=False))
    assert "constraints_kept_on_test" in failing(fallen)
    noise = np.random.default_rng(0).normal(0.0, 0.01, walked.returns.shape)
    assert "deflated_sharpe" in failing(replace(walked, returns=noise))


def test_a_walk_forward_is_written_as_json_and_folds(walked: Walked, tmp_path: Path) -> None:
    """Figures that are not defined are null, not NaN; folds can be read back."""
    write_walk(replace(walked, chosen=NONE), tmp_path)
    summary = json.loads((tmp_path / "walk_forward.json").read_text())
    assert summary["chosen"] is None
    assert summary["deflated_sharpe"] is None
    assert summary["points"] == 9
    assert len(pd.read_parquet(tmp_path / "folds.parquet")) == summary["folds"] == 2
    grown = pd.read_parquet(tmp_path / "growth.parquet").set_index("timestamp")
    assert (grown.to_numpy() == walked.growth.to_numpy()).all()
    assert summary_of(walked)["chosen"].keys() == walked.plan.keys.keys()
