"""The page of a walk-forward: choices on train windows, and their results on the tests after."""

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.config.walk_forward import WalkForward
from basis_pipeline.reports.chart import Chart, Row, line, over_time
from basis_pipeline.reports.gate_tables import verdict_table
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.points import (
    SHOWN_FIGURES,
    explained,
    pair_charts,
    point_table,
    short,
)
from basis_pipeline.reports.study import FOOTER, key_term, study_banners, study_stamp, written
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, FIGURES, percent
from basis_pipeline.verdict import Verdict, count_of, tally

SHOWN = 10  # of the points of the whole window
WHOLE = (
    "The choice of someone who knew the whole window: it uses hindsight, so nobody could have made "
    "it. Only points that meet the constraints are listed. Of equal points the one in the middle "
    "of the grid is chosen; it links to its tear sheet."
)
LINES = {
    "out_of_sample": ("choices, out of sample", "accent", "solid"),
    "whole_window": ("best of the whole window, in hindsight", "series-1", "dash"),
}
PARTS = {"train": ("on train", "series-0"), "test": ("on the test after", "series-1")}


def walk_forward_html(
    points: pd.DataFrame,
    folds: pd.DataFrame,
    growth: pd.DataFrame,
    provenance: Provenance,
    *,
    plan: WalkForward,
    figures: Mapping[str, Any],
    facts: Sequence[tuple[str, str]],
    verdicts: Sequence[Verdict],
    inputs: Sequence[Verdict],
    links: Mapping[int, str],
) -> str:
    """Return one page over a finished walk-forward.

    Parameters
    ----------
    points, folds, growth: of `backtests.walk_forward.Walked`.
    figures: of `backtests.walk_forward.summary_of`.
    facts, verdicts, inputs, links: as `scenarios_html`.
    """
    label = FIGURES[plan.objective].label
    held = points[points["kept"] & points["value"].notna()].assign(window="")
    best = held.sort_values(["value", "index"], ascending=[False, True]).head(SHOWN)
    shown = tuple(dict.fromkeys((plan.objective, *SHOWN_FIGURES)))
    caption = f"Best points by {label}"
    pairs = pair_charts(held, list(explained(held, list(plan.keys), "value")), "value", label)
    followed = [growth_chart(growth), objective_chart(folds, label)] if len(growth) else []
    return Page(
        title=f"{plan.mode}: walk-forward",
        what=plan.description,
        stamp=study_stamp(verdicts),
        facts=facts,
        answer=_answer(plan, folds, growth, figures, verdicts),
        banners=study_banners(verdicts, inputs),
        headline=_headline(plan, figures),
        sections=[
            Section(
                "Folds",
                [*followed, fold_table(plan, folds)],
                "The verdict of a fold says whether its test meets the constraints.",
            ),
            Section(
                "Whole window",
                [point_table(best, list(plan.keys), links, caption, shown), *pairs],
                WHOLE,
            ),
            Section("Gates", [verdict_table(verdicts)]),
        ],
        footer=FOOTER,
    ).html(provenance)


def _terms(plan: WalkForward, points: int) -> dict[str, Term]:
    splits = comb(plan.blocks, plan.blocks // 2)
    return {
        "out_of_sample_apy": Term(
            "Out-of-sample APY",
            "APY of the tests one after the other, each on the point that its train window chose "
            "and each with its own entry cost.",
        ),
        "degradation": Term(
            "Degradation",
            "How much of the mean objective on train is lost on the tests: 0 % nothing, 100 % all "
            "of it, below 0 % where the tests were better.",
        ),
        "deflated_sharpe": Term(
            "Deflated Sharpe ratio",
            "Probability that the true Sharpe ratio of the point that the whole window chooses is "
            f"above 0, given that it is the best of {points:,} and given the length, skew and "
            "kurtosis of its daily returns (Bailey and López de Prado, 2014).",
        ),
        "overfitting_probability": Term(
            "Probability of overfitting",
            "How often the point that is best in one half of the time is below the median in the "
            f"other half, over the {splits:,} ways to halve {plan.blocks} blocks of time (Bailey, "
            "Borwein, López de Prado and Zhu, 2017). 50 % is chance.",
        ),
    }


def _headline(plan: WalkForward, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the four figures of a walk-forward, each with its limit."""
    limits = plan.limits
    beside = {
        "out_of_sample_apy": f"best of the whole window {percent(figures['chosen_apy'])}",
        "degradation": f"at most {percent(limits.max_degradation, 0)}",
        "deflated_sharpe": f"at least {percent(limits.min_deflated_sharpe, 0)}",
        "overfitting_probability": f"at most {percent(limits.max_overfitting, 0)}",
    }
    texts = {name: percent(figures[name], 1) for name in beside}
    texts["out_of_sample_apy"] = percent(figures["out_of_sample_apy"])
    if (figures["degradation"] or 0.0) < 0.0:  # a gain, not to be read as a loss
        texts["degradation"] = f"none ({texts['degradation']})"
    return [
        {
            "name": name,
            "term": term,
            "text": texts[name],
            "unit": "",
            "beside": beside[name],
        }
        for name, term in _terms(plan, figures["points"]).items()
    ]


def _answer(
    plan: WalkForward,
    folds: pd.DataFrame,
    growth: pd.DataFrame,
    figures: Mapping[str, Any],
    verdicts: Sequence[Verdict],
) -> list[str]:
    """State the results of the choices, what was lost on the tests, and how much of it is luck."""
    label, made = FIGURES[plan.objective].label, folds[folds["chosen"] >= 0]
    number = count_of(len(folds), "fold")
    spans = f"{plan.train_days} days to choose on, the {plan.test_days} days after to test it"
    sentences = [f"{number}: {spans}."]
    if len(made) < len(folds):
        missing = len(folds) - len(made)
        sentences.append(f"On {missing} of them no point meets the constraints: no choice is made.")
    if len(growth):
        ends = {name: growth[name].dropna() for name in LINES}
        earned = [
            f"{what} {percent(float(ends[name].iloc[-1]) - 1.0)}"
            for name, what in (
                ("out_of_sample", "the choices earned"),
                ("whole_window", "the best of the whole window, in hindsight,"),
            )
            if len(ends[name])
        ]
        days = f"From {growth.index[0]:%Y-%m-%d} to {growth.index[-1]:%Y-%m-%d}"
        sentences.append(f"{days} {', '.join(earned)}.")
        points = count_of(len(made.drop_duplicates(list(plan.keys))), "point")
        chosen = f"{count_of(len(made), 'choice')} of {points}"
        sentences.append(f"{chosen}: fewer points mean steadier choices.")
    sentences += [*_in_words(plan, figures, label), f"Gates: {tally(verdicts)}."]
    return sentences


def _in_words(plan: WalkForward, figures: Mapping[str, Any], label: str) -> list[str]:
    found, limits = [], plan.limits
    lost, luck = figures["degradation"], figures["overfitting_probability"]
    if lost is not None:
        before, after = (written(plan.objective, figures[f"{p}_objective"]) for p in PARTS)
        change = f"{percent(lost, 1)} of it is lost" if lost > 0 else "nothing of it is lost"
        found.append(f"The mean {label} is {before} on train and {after} on the tests: {change}.")
    if (sharpe := figures["deflated_sharpe"]) is not None:
        outcome = "meets" if sharpe >= limits.min_deflated_sharpe else "is below"
        found.append(
            f"Allowing for the {figures['points']:,} points tried, the Sharpe ratio of the best is "
            f"above 0 with a probability of {percent(sharpe, 1)}, which {outcome} the limit of "
            f"{percent(limits.min_deflated_sharpe, 0)}."
        )
    if luck is not None:
        better = "better than chance" if luck < 0.5 else "no better than chance"
        found.append(
            f"The best point of one half of the time is below the median in the other half in "
            f"{percent(luck, 1)} of the splits: choosing on the past is {better} here."
        )
    return found


def fold_table(plan: WalkForward, folds: pd.DataFrame) -> Table:
    """List the folds: windows, the point chosen, its objective on both, the figures of the test."""
    label, rows = FIGURES[plan.objective].label, []
    on_test = ("total_return", "apy", "max_drawdown")
    for number, fold in enumerate(folds.to_dict("records"), start=1):
        start, split, end = (
            f"{fold[at]:%Y-%m-%d}" for at in ("train_start", "test_start", "test_end")
        )
        windows = (f"{start} to {split}", f"{split} to {end}")
        if fold["chosen"] < 0:
            blank = [DASH] * (len(plan.keys) + 2 + len(on_test))
            rows.append((str(number), *windows, "N/A", *blank))
            continue
        figures = [written(plan.objective, fold[f"{part}_value"]) for part in PARTS]
        figures += [written(name, fold[f"test_{name}"]) for name in on_test]
        kept = "PASS" if fold["test_kept"] else "FAIL"
        chosen = (short(fold[key]) for key in plan.keys)
        rows.append((str(number), *windows, kept, *figures, *chosen))
    objective = FIGURES[plan.objective].description
    titles: Cells = (
        "fold",
        "train, UTC",
        "test, UTC",
        "verdict",
        *(Term(f">{label} {name}", objective) for name, _ in PARTS.values()),
        *(Term(f">{FIGURES[n].label} of the test", FIGURES[n].description) for n in on_test),
        *(key_term(key, ">") for key in plan.keys),
    )
    return Table(titles, rows, "Folds")


def growth_chart(growth: pd.DataFrame) -> Chart:
    """Draw the tests one after the other, with the point that the whole window chooses."""
    stamps = pd.DatetimeIndex(growth.index).as_unit("ns").asi8
    traces = [
        line(name, stamps, 100.0 * (growth[column].to_numpy() - 1.0), colour, unit=" %", dash=dash)
        for column, (name, colour, dash) in LINES.items()
    ]
    return Chart(
        "growth",
        "Out of sample against the best of the whole window",
        "Return since the first test began, at the 00:00 UTC that ends each day. Each test is on "
        "the point that its train window chose, with its own entry cost; the best of the whole "
        "window was entered once, before. Where tests overlap a day counts once, for the earlier "
        "one. A fold without a choice is left out.",
        over_time(traces, [Row("Return, %")], stamps),
        height=340,
        wide=True,
    )


def objective_chart(folds: pd.DataFrame, label: str) -> Chart:
    """Draw the objective of every fold's choice, on train and on test."""
    bars = [
        go.Bar(
            name=name,
            x=[str(number) for number in range(1, len(folds) + 1)],
            text=[f"{start:%Y-%m-%d}" for start in folds[f"{part}_start"]],
            textposition="none",
            y=folds[f"{part}_value"].astype(float).to_numpy(),
            marker={"color": css(colour)},
            hovertemplate=f"{name}, from %{{text}}: %{{y:.3g}}<extra></extra>",
        )
        for part, (name, colour) in PARTS.items()
    ]
    axes = {"xaxis": {"type": "category", "title": {"text": "fold"}}}
    return Chart(
        "folds",
        "Train and test",
        "The objective of the point chosen on each train window, there and on the test after it.",
        figure(bars, barmode="group", yaxis={"title": {"text": label}}, **axes),
        wide=True,
    )
