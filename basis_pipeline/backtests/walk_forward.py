"""Walk-forward: choose a point on a train window, evaluate it on the test window after it.

A walk-forward is a sweep over a grid, crossed with the train and test windows of every fold and
with the whole window. Every window starts with an entry and pays its costs, which weigh more on a
short test than on a long train. The chosen point is the choice on the whole window; how much of its
result is luck follows from its deflated Sharpe ratio and the probability of overfitting among all
points (`results.overfitting`). Deflation treats the spread of the points as luck: over a grid whose
points really differ it is too strict rather than too lenient.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.backtests import scenario_checks
from basis_pipeline.backtests.probes import values_of
from basis_pipeline.backtests.scenario_checks import CheckTable, broken, reconciles, verdict
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import read_rows
from basis_pipeline.config.points import Indices
from basis_pipeline.config.scenario import Axis, Choice, Replay, Sampling, ScenarioSet
from basis_pipeline.config.walk_forward import WalkForward
from basis_pipeline.engine.model import Floats
from basis_pipeline.engine.sweep import simulate_scenarios
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.window import Window
from basis_pipeline.results.metrics import DAYS_PER_YEAR, annual_yield
from basis_pipeline.results.overfitting import deflated_sharpe, overfitting_probability
from basis_pipeline.results.summary import finite
from basis_pipeline.verdict import Verdict, against, count_of

WHOLE = "whole"
NONE = -1  # the choice where no point keeps the constraints
CHECKS: CheckTable = {
    "reconciliation": scenario_checks.CHECKS["reconciliation"],
    "choice_in_every_fold": (
        "ERROR",
        "on every train window at least one point keeps the constraints",
    ),
    "constraints_kept_on_test": (
        "ERROR",
        "the point chosen on train keeps the constraints on the following test",
    ),
    "degradation": (
        "ERROR",
        "the objective falls from train to test by at most the share limits.max_degradation",
    ),
    "inside_the_grid": ("WARN", "the chosen point is not on the edge of the grid"),
    "deflated_sharpe": (
        "WARN",
        "the chosen point's Sharpe ratio exceeds what the best of as many trials reaches by luck",
    ),
    "overfitting_probability": (
        "WARN",
        "the best point in one half of the time is seldom below the median in the other",
    ),
}
NAMED = {
    "degradation": "the fall of the objective from train to test, as a share of it,",
    "deflated_sharpe": "the deflated Sharpe ratio",
    "overfitting_probability": "the probability of overfitting",
}
SUMMARY, FOLDS, GROWTH = "walk_forward.json", "folds.parquet", "growth.parquet"


@dataclass(frozen=True, slots=True)
class Fold:
    """A window to choose on, and the one right after it to test the choice."""

    train: Window
    test: Window


@dataclass(frozen=True, slots=True)
class Walked:
    """A finished walk-forward.

    Parameters
    ----------
    points: rows of the grid over the whole window, with `value` and `kept`: the objective, and
        whether the constraints are kept.
    folds: one row per fold: its windows, its choice and the choice's figures on both.
    chosen: the row of `points` chosen on the whole window; -1 when none keeps the constraints.
    returns: daily, of every point over the whole window, (days, points).
    growth: of one unit since the first test, by the 00:00 UTC that ends each day: `out_of_sample`,
        the choices on their tests one after the other, and `whole_window`, the chosen point.
    unsound: rows of all windows for which a single run would be rejected.
    """

    plan: WalkForward
    points: pd.DataFrame
    folds: pd.DataFrame
    chosen: int
    returns: Floats
    growth: pd.DataFrame
    unsound: pd.DataFrame


def folds_of(plan: WalkForward, window: Window) -> list[Fold]:
    """Return the folds that fit into a window, the first train at its start.

    Raises
    ------
    ConfigError: CONFIG-011 when none fits.
    """
    train, test = pd.Timedelta(days=plan.train_days), pd.Timedelta(days=plan.test_days)
    start, folds = window.start, []
    while start + train + test <= window.end:
        split = start + train
        folds.append(Fold(Window(start, split), Window(split, split + test)))
        start += pd.Timedelta(days=plan.step_days)
    if not folds:
        raise ConfigError(
            "CONFIG-011",
            f"the window {window} is shorter than {plan.train_days} days of train and "
            f"{plan.test_days} of test",
            where=f"walk-forward plan {plan.mode}",
            action="give a longer window, or shorten the plan",
        )
    return folds


def scenario_set(plan: WalkForward, window: Window) -> ScenarioSet:
    """Return the sweep of a walk-forward: its grid over the whole window and all folds' windows."""
    windows = {WHOLE: window}
    for number, fold in enumerate(folds_of(plan, window)):
        windows |= {f"train_{number:03d}": fold.train, f"test_{number:03d}": fold.test}
    return ScenarioSet(
        name=f"walk_forward_{plan.mode}",
        description=plan.description,
        sampling=Sampling(method="grid"),
        keys=plan.keys,
        windows={
            name: Replay(start=span.start.isoformat(), end=span.end.isoformat())
            for name, span in windows.items()
        },
    )


def choose(values: Floats, kept: Floats, steps: Floats) -> int:
    """Return the point with the highest objective that keeps the constraints; -1 for none.

    Of equal points, the one nearest to the middle of the grid, then the first.

    Parameters
    ----------
    values: (points,); an undefined one is never chosen. kept: (points,), bool.
    steps: (points, keys), each key's position on its axis, from 0 to 1.
    """
    eligible = np.flatnonzero(kept & np.isfinite(values))
    if not len(eligible):
        return NONE
    best = eligible[values[eligible] == values[eligible].max()]
    off_centre = np.abs(steps[best] - 0.5).sum(axis=1)
    return int(best[np.argmin(off_centre)])


def grid_steps(keys: Mapping[str, Axis]) -> Floats:
    """Return the position of each point of a grid on each axis, (points, keys), from 0 to 1."""
    counts = [len(values_of(axis)) for axis in keys.values()]
    places = np.indices(counts).reshape(len(counts), -1).T
    steps: Floats = places / np.maximum(np.array(counts) - 1, 1)
    return steps


def edges(plan: WalkForward, chosen: int) -> list[str]:
    """List the keys whose chosen value is the lowest or highest of the axis.

    Natural edges, beyond which no value is valid, do not count; nor do axes that are not numbers.
    """
    keys = []
    counts = [len(values_of(axis)) for axis in plan.keys.values()]
    places = np.unravel_index(chosen, counts)
    for (key, axis), place in zip(plan.keys.items(), places, strict=True):
        values = values_of(axis)
        if isinstance(axis, Choice) and not all(type(v) in (int, float) for v in values):
            continue
        value = values[place]
        natural = any(np.isclose(value, end) for end in plan.natural_edges.get(key, ()))
        if len(values) > 1 and value in (min(values), max(values)) and not natural:
            keys.append(key)
    return keys


def daily_returns(study: Study, indices: Indices) -> Floats:
    """Compute the daily returns of points of one window, (days, points)."""
    columns: dict[int, Floats] = {}
    for prepared, rows, capitals, inside in study.groups(indices):
        _, returns = simulate_scenarios(
            prepared.hours,
            rows,
            prepared.venues,
            capitals,
            first_midnight=prepared.first_midnight,
        )
        columns |= dict(zip(inside.tolist(), returns, strict=True))
    return np.stack([columns[place] for place in range(len(indices))], axis=1)


def walk(plan: WalkForward, study: Study, out: Path) -> Walked:
    """Make and test the choices, from the rows of the finished sweep in `out`."""
    rows = read_rows(study, out).to_pandas()
    rows["value"] = rows[plan.objective]
    rows["kept"] = broken(rows, plan.constraints) == ""
    by_window = {str(name): part.reset_index(drop=True) for name, part in rows.groupby("window")}
    steps, points = grid_steps(plan.keys), by_window[WHOLE]
    folds = [
        _fold_row(plan, number, fold, by_window, steps)
        for number, fold in enumerate(folds_of(plan, study.window))
    ]
    chosen = choose(points["value"].to_numpy(), points["kept"].to_numpy(), steps)
    returns = daily_returns(study, points["index"].to_numpy())
    tests = []
    for number, fold in enumerate(folds):
        if fold["chosen"] != NONE:
            name = f"test_{number:03d}"
            index = by_window[name]["index"].to_numpy()[[fold["chosen"]]]
            tests.append(_by_day(daily_returns(study, index)[:, 0], study.windows[name]))
    whole = returns[:, chosen] if chosen != NONE else np.full(len(returns), np.nan)
    return Walked(
        plan=plan,
        points=points,
        folds=pd.DataFrame(folds),
        chosen=chosen,
        returns=returns,
        growth=growth_of(tests, _by_day(whole, study.window)),
        unsound=rows[rows["status"] != ""],
    )


def _by_day(returns: Floats, window: Window) -> pd.Series:
    """Label daily returns with the 00:00 UTC that ends each day."""
    ends = window.hours[1:]
    return pd.Series(returns, ends[ends.hour == 0])


def growth_of(tests: Sequence[pd.Series], whole: pd.Series) -> pd.DataFrame:
    """Return the growth since the first test (`Walked.growth`); a shared day counts once."""
    if not tests:
        return pd.DataFrame(columns=["out_of_sample", "whole_window"])
    joined = pd.concat(tests)
    joined = joined[~joined.index.duplicated()].sort_index()
    begin = joined.index[0] - pd.Timedelta(days=1)
    beside = whole.loc[joined.index[0] : joined.index[-1]]
    columns = {"out_of_sample": joined, "whole_window": beside}
    grown = pd.DataFrame({name: (1.0 + one).cumprod() for name, one in columns.items()})
    return pd.concat([pd.DataFrame(dict.fromkeys(columns, 1.0), [begin]), grown])


def _fold_row(
    plan: WalkForward,
    number: int,
    fold: Fold,
    by_window: Mapping[str, pd.DataFrame],
    steps: Floats,
) -> dict[str, Any]:
    train, test = (by_window[f"{part}_{number:03d}"] for part in ("train", "test"))
    chosen = choose(train["value"].to_numpy(), train["kept"].to_numpy(), steps)
    row: dict[str, Any] = {
        "train_start": fold.train.start,
        "test_start": fold.test.start,
        "test_end": fold.test.end,
        "chosen": chosen,
    }
    taken = ("value", "apy", "total_return", "max_drawdown", "liquidations", "kept")
    for name, part in (("train", train), ("test", test)):
        for figure in taken:
            row[f"{name}_{figure}"] = part[figure].iloc[chosen] if chosen != NONE else None
    return row | {key: train[key].iloc[chosen] if chosen != NONE else None for key in plan.keys}


def degradation(walked: Walked) -> float:
    """Return the mean loss of the objective from train to test, as a share of its mean on train.

    Below 0 when tests were better. NaN when no fold has a choice.
    """
    made = walked.folds[walked.folds["chosen"] != NONE]
    train, test = (made[f"{part}_value"].astype(float).mean() for part in ("train", "test"))
    return float((train - test) / abs(train)) if train != 0.0 else np.nan


def out_of_sample(walked: Walked) -> float:
    """Return the APY of the tests in sequence, entry costs included; NaN without a choice."""
    made = walked.folds[walked.folds["chosen"] != NONE]
    if made.empty:
        return np.nan
    grown = float(np.prod(1.0 + made["test_total_return"].astype(float)))
    return annual_yield(grown - 1.0, len(made) * walked.plan.test_days / DAYS_PER_YEAR)


def summary_of(walked: Walked) -> dict[str, Any]:
    """Return the figures of a walk-forward by name as JSON values, undefined ones as None."""
    plan, chosen = walked.plan, walked.chosen
    made = walked.folds[walked.folds["chosen"] != NONE]
    point = None if chosen == NONE else walked.points.iloc[chosen]
    figures = {
        "degradation": degradation(walked),
        "out_of_sample_apy": out_of_sample(walked),
        "train_objective": made["train_value"].astype(float).mean(),
        "test_objective": made["test_value"].astype(float).mean(),
        "chosen_objective": np.nan if point is None else point["value"],
        "chosen_apy": np.nan if point is None else point["apy"],
        "deflated_sharpe": np.nan if point is None else deflated_sharpe(walked.returns, chosen),
        "overfitting_probability": overfitting_probability(walked.returns, plan.blocks),
    }
    summary = {
        "mode": plan.mode,
        "objective": plan.objective,
        "points": len(walked.points),
        "folds": len(walked.folds),
        "folds_without_choice": len(walked.folds) - len(made),
        "chosen": None if point is None else {key: point[key] for key in plan.keys},
        "on_edge": [] if point is None else edges(plan, chosen),
        **figures,
    }
    return {name: finite(value) for name, value in summary.items()}


def write_walk(walked: Walked, out: Path) -> Sequence[Path]:
    """Write summary, folds and growth beside the sweep's batches; return the files."""
    text = json.dumps(summary_of(walked), indent=2, sort_keys=True) + "\n"
    (out / SUMMARY).write_text(text, "utf-8")
    walked.folds.to_parquet(out / FOLDS, index=False)
    walked.growth.rename_axis("timestamp").reset_index().to_parquet(out / GROWTH, index=False)
    return [out / SUMMARY, out / FOLDS, out / GROWTH]


def walk_forward_checks(walked: Walked) -> list[Verdict]:
    """Evaluate the gates of a walk-forward; a missing choice passes none of them."""
    plan, figures = walked.plan, summary_of(walked)
    made = walked.folds["chosen"] != NONE
    held = walked.folds["test_kept"].eq(True)
    limits, chosen = plan.limits, walked.chosen != NONE
    folds, unmade, broken = len(made), int((~made).sum()), int((~held & made).sum())
    on_edge = figures["on_edge"]
    place = "the choice lies inside the grid"
    if on_edge:
        place = f"the choice lies on the edge of the grid: {', '.join(on_edge)}"
    return [
        reconciles(walked.unsound),
        verdict(
            CHECKS,
            "choice_in_every_fold",
            bool(made.all()),
            f"{unmade} of {count_of(folds, 'fold')} without a choice",
            walked.folds[~made],
            measured=unmade,
            limit=0,
            unit="folds",
        ),
        verdict(
            CHECKS,
            "constraints_kept_on_test",
            bool(held[made].all() and made.any()),
            f"{broken} of {count_of(folds - unmade, 'choice')} broke the constraints on the test",
            walked.folds[made & ~held],
            measured=broken,
            limit=0,
            unit="folds",
        ),
        _compared("degradation", figures, limits.max_degradation, walked.folds),
        verdict(
            CHECKS,
            "inside_the_grid",
            chosen and not on_edge,
            place if chosen else "no point was chosen",
            evidence={"on_edge": ", ".join(on_edge) or "none"},
        ),
        _compared("deflated_sharpe", figures, limits.min_deflated_sharpe, floor=True),
        _compared("overfitting_probability", figures, limits.max_overfitting),
    ]


def _compared(
    name: str,
    figures: Mapping[str, Any],
    limit: float,
    rows: pd.DataFrame | None = None,
    *,
    floor: bool = False,
) -> Verdict:
    """Compare a figure with its limit; an undefined one fails. `rows` are shown on failure."""
    value, what = figures[name], NAMED[name]
    if value is None:
        return verdict(CHECKS, name, False, f"{what} is not defined", rows, limit=limit)
    passed = bool(value >= limit if floor else value <= limit)
    message = against(what, value, limit, floor=floor)
    offending = None if passed else rows
    return verdict(CHECKS, name, passed, message, offending, measured=value, limit=limit)
