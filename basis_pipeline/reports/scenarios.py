"""The page of a scenario set over one mode: a sweep, shocks, replays or drawn paths."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from basis_pipeline.config.scenario import ScenarioSet
from basis_pipeline.reports.banners import Banner
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.gate_tables import verdict_table
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.points import (
    RETURN,
    SPREAD,
    explained,
    frontier_chart,
    frontier_table,
    key_table,
    pair_charts,
    point_table,
    quantile_table,
    rejected_table,
    risk_of,
    sensitivity_chart,
    short,
    spread_chart,
)
from basis_pipeline.reports.stress import Stress, name_of
from basis_pipeline.reports.study import FOOTER, study_banners, study_stamp, written
from basis_pipeline.reports.table import Link, Table
from basis_pipeline.results.definitions import percent
from basis_pipeline.verdict import Verdict, count_of, tally

LINKED = "A link opens the full tear sheet of the same run, with all its tables."
SHOWN = 10  # of the best, and of the worst
FROM_POINTS = 10  # fewer are no distribution


def scenarios_html(
    rows: pd.DataFrame,
    provenance: Provenance,
    *,
    mode: str,
    scenarios: ScenarioSet,
    facts: Sequence[tuple[str, str]],
    verdicts: Sequence[Verdict],
    inputs: Sequence[Verdict],
    links: Mapping[int, str],
    stress: Stress | None = None,
) -> str:
    """Return one page over the rows of a scenario set.

    Parameters
    ----------
    rows: of `backtests.sweep.read_rows`.
    facts: label and value of what the study is: data, window, capital, identity.
    verdicts: of the study. inputs: of the datasets that it read.
    links: addresses of the full tear sheets of points, by index.
    stress: of a set with markets or windows.
    """
    sound = rows[rows["status"] == ""]
    keys = [key for key in scenarios.keys if key in rows]
    varied = len(sound) and (stress is None or len(rows) > len(stress.worst))
    found, stamp = study_banners(verdicts, inputs), study_stamp(verdicts)
    if stress is not None and stress.reaches_nothing:
        text = f"No shock of the set affects {mode}, so its gates have tested nothing."
        found.insert(0, Banner("alarm", "Nothing was stressed", text))
        stamp = ("NOTHING STRESSED", "alarm")
    sections = [
        *(_stress_sections(stress, links) if stress is not None else []),
        *(_point_sections(sound, keys, scenarios, links) if varied else []),
        *([Section("Rejected", [rejected_table(rows, keys)])] if len(sound) < len(rows) else []),
        Section("Gates", [verdict_table(verdicts)]),
    ]
    return Page(
        title=f"{mode}: {scenarios.name}",
        what=scenarios.description,
        stamp=stamp,
        facts=facts,
        answer=[*(stress.sentences() if stress else []), *_answer(rows, keys, verdicts)],
        banners=found,
        sections=sections,
        footer=FOOTER,
    ).html(provenance)


def _stress_sections(stress: Stress, links: Mapping[int, str]) -> list[Section]:
    """Return the shocks and replays, their effects on the mode, and the distance to the limits."""
    effect, limits = stress.effect_table(), stress.limit_table()
    # The name of a scenario links to its tear sheet.
    linked = {name_of(row): links.get(row["index"], "") for row in stress.worst}
    rows = [(Link(str(row[0]), linked[str(row[0])]), *row[1:]) for row in effect.rows]
    charts = [stress.chart()] if stress.drawn and not stress.reaches_nothing else []
    return [
        *([Section("Shocks", [stress.shock_table()])] if stress.scenarios.markets else []),
        *([Section("Replays", [stress.replay_table()])] if stress.scenarios.windows else []),
        Section("Effects", [replace(effect, rows=rows), *charts], LINKED),
        *([Section("Limits", [limits])] if stress.scenarios.limits is not None else []),
    ]


def _point_sections(
    rows: pd.DataFrame, keys: Sequence[str], scenarios: ScenarioSet, links: Mapping[int, str]
) -> list[Section]:
    """Return the sections over the points that were not rejected."""
    by_return = rows.sort_values([RETURN, "index"], ascending=[False, True])
    worst = by_return[::-1].head(SHOWN)
    shares, risk = explained(rows, keys), risk_of(rows)
    numeric = [key for key in shares if rows[key].dtype.kind == "f"]
    limit = getattr(scenarios.limits, risk, None)
    sections = [
        Section(
            "Best and worst",
            [
                point_table(by_return.head(SHOWN), keys, links, "Best points by return"),
                point_table(worst, keys, links, "Worst points by return"),
            ],
            LINKED,
        ),
        Section(
            "Return against risk",
            [frontier_chart(rows, risk, limit), frontier_table(rows, risk, keys, links)],
        ),
    ]
    if shares:
        sensitivity = [sensitivity_chart(rows, key) for key in numeric]
        sections.append(Section("Keys", [key_table(rows, shares), *sensitivity]))
    if pairs := pair_charts(rows, list(shares)):
        note = "Pairs of the keys that explain most of the return, by the median return."
        sections.append(Section("Pairs of keys", pairs, note))
    if len(rows) >= FROM_POINTS:
        spread: list[Chart | Table] = [
            *(spread_chart(rows, name) for name in SPREAD),
            quantile_table(rows),
        ]
        sections.append(Section("Spread", spread))
    return sections


def _answer(rows: pd.DataFrame, keys: Sequence[str], verdicts: Sequence[Verdict]) -> list[str]:
    """State the best and worst point, the keys that matter, what was rejected, and the gates."""
    sound, sentences = rows[rows["status"] == ""], []
    count = count_of(len(rows), "point")
    if sound.empty:
        sentences.append("Every point was rejected: there is no result.")
    else:
        ordered = sound.sort_values([RETURN, "index"], ascending=[False, True])
        best, worst = (ordered.iloc[at].to_dict() for at in (0, -1))
        sentences.append(
            f"Of {count} the best returned {_named(best, keys)}, the worst {_named(worst, keys)}; "
            f"the median return is {written(RETURN, sound[RETURN].median())}."
        )
    shares = list(explained(sound, keys).items()) if len(sound) else []
    if shares:
        parts = [f"{key} {percent(share, 0)}" for key, share in shares[:3]]
        sentences.append(f"Explained of the variance of the return: {', '.join(parts)}.")
    if rejected := len(rows) - len(sound):
        codes = rows.loc[rows["status"] != "", "status"].value_counts()
        named = ", ".join(f"{number:,} with {code}" for code, number in codes.items())
        sentences.append(f"{count_of(rejected, 'point')} rejected: {named}.")
    return [*sentences, f"Gates: {tally(verdicts)}."]


def _named(row: Mapping[Any, Any], keys: Sequence[str]) -> str:
    """Return the return of a point, its number and its keys."""
    values = ", ".join(f"{key} {short(row[key])}" for key in keys)
    point = f"point {row['index']}{': ' if values else ''}{values}"
    return f"{written(RETURN, row[RETURN])} ({point})"
