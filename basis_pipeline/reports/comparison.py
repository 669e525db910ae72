"""Runs side by side: a leaderboard that hides no failed gate, what differs, and its effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.banners import REPAIRED_LIMIT, Banner, stamp_of, with_status
from basis_pipeline.reports.chart import DAILY, Chart, Row, horizontal_bars, line, over_time
from basis_pipeline.reports.differences import (
    configuration_differences,
    data_differences,
    run_differences,
)
from basis_pipeline.reports.page import Provenance, render, write_page
from basis_pipeline.reports.performance_charts import NETTED
from basis_pipeline.reports.plot_theme import SERIES, css, nth
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import days
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import FIGURES, amount, percent
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status, Verdict

SHOWN = (
    "total_return",
    "apy",
    "sharpe",
    "volatility",
    "max_drawdown",
    "carry_per_year",
    "cost_per_year",
    "min_health_factor",
    "min_margin_ratio",
    "max_abs_delta",
    "rebalances",
    "liquidations",
)
RANK_BY = "apy"
RANKS = tuple(name for name in SHOWN if FIGURES[name].better)


@dataclass(frozen=True)
class Entry:
    """A run in a comparison: its verdicts, and the address of its tear sheet from the page."""

    result: RunResult
    verdicts: Sequence[Verdict] = ()
    link: str = ""

    @cached_property
    def run(self) -> RunView:
        """The run as the pages look at it."""
        return RunView(self.result)


def write_comparison(
    page: Path,
    entries: Sequence[Entry],
    provenance: Provenance,
    *,
    rank_by: str = RANK_BY,
    reference: bool = False,
) -> Path:
    """Write the page of several runs; RS-001 when it cannot be written."""
    html = comparison_html(entries, provenance, rank_by=rank_by, reference=reference)
    return write_page(page, html)


def comparison_html(
    entries: Sequence[Entry],
    provenance: Provenance,
    *,
    rank_by: str = RANK_BY,
    reference: bool = False,
) -> str:
    """Return one page over several runs.

    Parameters
    ----------
    rank_by: a figure of `RANKS`; the reader may choose another.
    reference: whether the first run is the one that the others are compared with, component by
        component.
    """
    names = names_of(entries)
    results = [entry.result for entry in entries]
    ranked = ranking(entries, rank_by)
    charts = [_growth_chart(entries, names), _parts_chart(entries, names)]
    if reference:
        charts.append(_difference_chart(entries, names))
    return render(
        "comparison.html.j2",
        charts,
        provenance,
        title="Runs compared" if reference else "Strategy modes compared",
        windows=_windows(results),
        banners=_banners(entries, names),
        count=len(entries),
        names=names,
        figures=[(name, FIGURES[name]) for name in SHOWN],
        ranks=[(name, FIGURES[name]) for name in RANKS],
        rank_by=rank_by,
        rows=[_row(entries[place], names[place], rank) for rank, place in enumerate(ranked, 1)],
        benchmarks=_benchmarks(entries, names),
        components=COMPONENTS,
        parts_rows=[_parts(entry, name) for entry, name in zip(entries, names, strict=True)],
        changes=_changes(entries, names) if reference else [],
        reference=names[0] if reference else "",
        differences=[
            ("Configuration", configuration_differences(results)),
            ("Data", data_differences(results)),
            ("Code, window and capital", run_differences(results)),
        ],
        amount=amount,
        percent=percent,
    )


def ranking(entries: Sequence[Entry], by: str) -> list[int]:
    """Places of the entries from best to worst; what has no such figure comes last."""
    better = FIGURES[by].better

    def key(place: int) -> tuple[bool, float]:
        value = entries[place].result.summary.get(by)
        return (value is None, -better * (value or 0.0))

    return sorted(range(len(entries)), key=key)


def names_of(entries: Sequence[Entry]) -> list[str]:
    """The mode of each run; with the run's own name where a mode comes twice."""
    modes = [entry.result.mode for entry in entries]
    return [
        f"{entry.result.mode} {entry.result.run_id[:8]}" if modes.count(mode) > 1 else mode
        for entry, mode in zip(entries, modes, strict=True)
    ]


def _windows(results: Sequence[RunResult]) -> list[str]:
    bounds = {(result.identity.start, result.identity.end) for result in results}
    return [f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}" for start, end in sorted(bounds)]


def _banners(entries: Sequence[Entry], names: Sequence[str]) -> list[Banner]:
    """Say which runs failed a gate, were liquidated, rest on repaired data or were not judged."""
    pairs = list(zip(entries, names, strict=True))
    failed = [
        f"{name} ({', '.join(verdict.check for verdict in failing)})"
        for entry, name in pairs
        if (failing := with_status(entry.verdicts, Status.FAIL))
    ]
    repaired = [
        f"{name} ({percent(entry.run.repaired_share, 1)})"
        for entry, name in pairs
        if entry.run.repaired_share > REPAIRED_LIMIT
    ]
    lists = (
        ("alarm", f"{len(failed)} of {len(names)} failed a gate", failed),
        ("alarm", "Liquidated", [name for entry, name in pairs if entry.run.liquidated_at]),
        ("warn", "More than a tenth of the hours rest on repaired data", repaired),
        ("warn", "Not judged by any gate", [n for entry, n in pairs if not entry.verdicts]),
    )
    return [Banner(level, title, ", ".join(runs)) for level, title, runs in lists if runs]


def _row(entry: Entry, name: str, rank: int) -> dict[str, Any]:
    """A line of the leaderboard."""
    summary, capital = entry.result.summary, entry.result.identity.capital
    word, level = stamp_of(entry.run, entry.verdicts)
    failed, warned = (
        [verdict.check for verdict in with_status(entry.verdicts, status)]
        for status in (Status.FAIL, Status.WARN)
    )
    return {
        "rank": rank,
        "name": name,
        "link": entry.link,
        "currency": entry.run.currency,
        "word": word,
        "level": level,
        "mark": {"alarm": "FAIL", "warn": "WARN", "good": "PASS"}[level],
        "checks": [*failed, *warned],
        "repaired": percent(entry.run.repaired_share, 1),
        "cells": [
            (figure, summary.get(figure), FIGURES[figure].written(summary.get(figure), capital))
            for figure in SHOWN
        ],
    }


def _benchmarks(entries: Sequence[Entry], names: Sequence[str]) -> list[dict[str, Any]]:
    """Every run against each of its benchmarks."""
    return [
        {
            "name": name,
            "benchmark": benchmark,
            "cells": [
                percent(entry.result.summary["apy"]),
                percent(row["apy"]),
                percent(row["excess_return"]),
                percent(row["excess_apy"]),
                percent(row["tracking_error"]),
                amount(row["correlation"]),
            ],
        }
        for entry, name in zip(entries, names, strict=True)
        for benchmark, row in entry.result.summary["benchmarks"].items()
    ]


def _parts(entry: Entry, name: str) -> dict[str, Any]:
    """Profit and loss of a run by component: amount, and share of the capital."""
    run, capital = entry.run, entry.result.identity.capital
    parts = {**run.summary["attribution"], "pnl": run.summary["pnl"]}
    return {
        "name": name,
        "currency": run.currency,
        "cells": [
            (part, run.money(value), percent(value / capital, 3)) for part, value in parts.items()
        ],
    }


def _changes(entries: Sequence[Entry], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the components of every further run less those of the first, as shares of capital."""
    first = _shares(entries[0])
    return [
        {
            "name": name,
            "cells": [
                f"{'+' if own > held else ''}{percent(own - held, 3)}"
                for own, held in zip(_shares(entry), first, strict=True)
            ],
        }
        for entry, name in zip(entries[1:], names[1:], strict=True)
    ]


def _shares(entry: Entry) -> list[float]:
    """The ten components and their sum as shares of the capital."""
    summary, capital = entry.result.summary, entry.result.identity.capital
    return [value / capital for value in (*summary["attribution"].values(), summary["pnl"])]


def _growth_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """Draw the return since the start of every run, and its drawdown."""
    traces: list[go.Scatter] = []
    for place, (entry, name) in enumerate(zip(entries, names, strict=True)):
        run = entry.run
        at = days(run.stamps)
        dash = "solid" if place < SERIES else "dash"
        for row, values in enumerate((run.growth - 1.0, -metrics.drawdown(run.growth)), start=1):
            style: dict[str, Any] = {"width": 1.8 if row == 1 else 1.1, "dash": dash, "unit": " %"}
            own = 100.0 * values[at]
            traces.append(line(name, run.stamps[at], own, nth(place), row=row, **style))
    first = min(entry.run.stamps[0] for entry in entries)
    last = max(entry.run.stamps[-1] for entry in entries)
    rows = [Row("Return since the start, %", 2.4), Row("Drawdown, %", 1.0)]
    totals = [percent(entry.result.summary["total_return"]) for entry in entries]
    return Chart(
        key="growth",
        title="Growth and drawdown",
        meaning=(
            "Time-weighted return since the start, before entry costs, each run in its share "
            "class's own currency with flows removed; drawdown from its running peak. Unit: "
            f"percent. {DAILY}"
        ),
        views={"": over_time(traces, rows, np.array([first, last]))},
        height=460,
        description="; ".join(f"{n} {text}" for n, text in zip(names, totals, strict=True)),
        wide=True,
    )


def _parts_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """Draw the components of every run as percent of its capital, the price legs netted."""
    shares = [dict(zip((*COMPONENTS, "pnl"), _shares(entry), strict=True)) for entry in entries]
    for own in shares:
        own["basis"] = own["spot_price"] + own["perp_price"]
    traces: list[Any] = [
        _bars(name, list(names), [100.0 * own[name] for own in shares], name)
        for name in NETTED
        if any(own[name] != 0.0 for own in shares)
    ]
    outline = {"color": css("paper"), "width": 1.5}
    traces.append(
        go.Scatter(
            mode="markers",
            name="profit and loss",
            x=[100.0 * own["pnl"] for own in shares],
            y=list(names),
            marker={"symbol": "diamond", "size": 11, "color": css("total"), "line": outline},
            hovertemplate="%{x:.3f} %",
        )
    )
    totals = [percent(own["pnl"]) for own in shares]
    return Chart(
        key="parts",
        title="Where each run's profit and loss came from, % of capital",
        meaning=(
            "Profit and loss by component over the whole run, as a share of the capital: gains to "
            "the right of zero, losses to the left; the diamond is their sum. basis is "
            "spot_price + perp_price. Unit: percent of capital."
        ),
        views={"": horizontal_bars(traces, barmode="relative", xaxis=_PERCENT)},
        height=90 + 38 * len(names),
        description="; ".join(f"{n} {text}" for n, text in zip(names, totals, strict=True)),
        wide=True,
    )


def _difference_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """Draw each component of the further runs less that of the first."""
    first = np.array(_shares(entries[0]))
    labels = [*COMPONENTS, "profit and loss"]
    traces = [
        _bars(name, labels, (100.0 * (np.array(_shares(entry)) - first)).tolist(), nth(place))
        for place, (entry, name) in enumerate(zip(entries[1:], names[1:], strict=True), start=1)
    ]
    return Chart(
        key="change",
        title=f"Effect of the differences, against {names[0]}",
        meaning=(
            f"Each run's component as a share of its capital, less that of {names[0]}. Unit: "
            "percentage points of capital."
        ),
        views={"": horizontal_bars(traces, barmode="group", xaxis=_PERCENT)},
        height=110 + len(labels) * (16 + 10 * len(traces)),
        description="The table below has the same differences.",
        wide=True,
    )


_PERCENT = {"ticksuffix": " %", "nticks": 5}


def _bars(name: str, labels: list[str], values: list[float], colour: str) -> go.Bar:
    look = {"marker": {"color": css(colour)}, "hovertemplate": "%{x:.3f} %"}
    return go.Bar(orientation="h", name=name, x=values, y=labels, **look)
