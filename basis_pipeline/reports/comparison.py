"""Runs side by side: a leaderboard that hides no failed gate, what differs, and what that did."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from basis_pipeline.reports.colours import css, nth
from basis_pipeline.reports.differences import (
    configuration_differences,
    data_differences,
    run_differences,
)
from basis_pipeline.reports.drawing import Chart, Key, Row, Trace, line, over_time, plain
from basis_pipeline.reports.page import render
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import days
from basis_pipeline.reports.verdicts import (
    REPAIRED_LIMIT,
    Banner,
    stamp_of,
)
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import FIGURES, amount, percent
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status, Verdict, worst

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
    gates: tuple[Verdict, ...] = ()
    link: str = ""

    @cached_property
    def run(self) -> RunView:
        """The run as the pages look at it."""
        return RunView(self.result)


def comparison_html(
    entries: Sequence[Entry], *, rank_by: str = RANK_BY, reference: bool = False
) -> str:
    """One page over several runs.

    Parameters
    ----------
    rank_by: a figure of `RANKS`; the reader may choose another.
    reference: whether the first run is what the others are held against, component by component.
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
    """Which runs failed a gate, were liquidated, rest on repaired data or were never judged."""
    pairs = list(zip(entries, names, strict=True))
    failed = [
        f"{name} ({', '.join(g.check for g in entry.gates if g.status is Status.FAIL)})"
        for entry, name in pairs
        if worst(entry.gates) is Status.FAIL
    ]
    found = [
        Banner("alarm", f"{len(failed)} of {len(names)} failed a gate", ", ".join(failed)),
        _told("alarm", "Liquidated", [n for e, n in pairs if e.run.liquidated_at]),
        _told(
            "warn",
            "More than a tenth of the hours rest on repaired data",
            [
                f"{name} ({percent(entry.run.repaired_share, 1)})"
                for entry, name in pairs
                if entry.run.repaired_share > REPAIRED_LIMIT
            ],
        ),
        _told("warn", "Not judged by any gate", [n for e, n in pairs if not e.gates]),
    ]
    return [banner for banner in found if banner.text]


def _told(level: str, title: str, names: Sequence[str]) -> Banner:
    return Banner(level, title, ", ".join(names))


def _row(entry: Entry, name: str, rank: int) -> dict[str, Any]:
    """A line of the leaderboard."""
    summary, capital = entry.result.summary, entry.result.identity.capital
    word, level = stamp_of(entry.run, entry.gates)
    failed = [gate.check for gate in entry.gates if gate.status is Status.FAIL]
    warned = [gate.check for gate in entry.gates if gate.status is Status.WARN]
    return {
        "rank": rank,
        "name": name,
        "link": entry.link,
        "currency": entry.run.currency,
        "word": word,
        "level": level,
        "mark": {"alarm": "FAIL", "warn": "WARN", "good": "PASS"}[level],
        "telling": [*failed, *warned],
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
    """Components of every further run less those of the first, as shares of each one's capital."""
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
    traces: list[Trace] = []
    keys = []
    for place, (entry, name) in enumerate(zip(entries, names, strict=True)):
        run = entry.run
        at = days(run.stamps)
        dash = "solid" if place < 8 else "dash"
        for row, values in enumerate((run.growth - 1.0, -metrics.drawdown(run.growth)), start=1):
            trace = line(
                name,
                run.stamps[at],
                100.0 * values[at],
                nth(place),
                row=row,
                unit=" %",
                dash=dash,
                thin=False,
                width=1.8 if row == 1 else 1.1,
            )
            traces.append(trace)
        keys.append(Key(name, nth(place), "line" if dash == "solid" else "dash"))
    longest = max((entry.run.stamps for entry in entries), key=lambda stamps: stamps[-1])
    earliest = min(entry.run.stamps[0] for entry in entries)
    rows = [Row("Return since the start, %", 2.4), Row("Drawdown, %", 1.0)]
    said = "; ".join(
        f"{name} {percent(entry.result.summary['total_return'])}"
        for entry, name in zip(entries, names, strict=True)
    )
    return Chart(
        key="growth",
        title="Growth and drawdown",
        meaning=(
            "Time-weighted return since the start, before entry costs, each run in its share "
            "class's own currency with flows removed; drawdown from its running peak. Unit: "
            "percent. Sampling: 00:00 UTC marks."
        ),
        views={"": traces},
        layout=over_time(rows, np.array([earliest, longest[-1]])),
        legend=tuple(keys),
        height=460,
        said=said,
        wide=True,
    )


def _parts_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """Components of every run as percent of its capital, the price legs netted."""
    shares = [dict(zip((*COMPONENTS, "pnl"), _shares(entry), strict=True)) for entry in entries]
    for own in shares:
        own["basis"] = own["spot_price"] + own["perp_price"]
    shown = [
        name
        for name in (*COMPONENTS[:5], "basis", *COMPONENTS[7:])
        if any(own[name] != 0.0 for own in shares)
    ]
    traces = [
        _bars(name, list(names), [100.0 * own[name] for own in shares], name) for name in shown
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "profit and loss",
            "x": [100.0 * own["pnl"] for own in shares],
            "y": list(names),
            "marker": {
                "symbol": "diamond",
                "size": 11,
                "color": css("total"),
                "line": {"color": css("paper"), "width": 1.5},
            },
            "hovertemplate": "%{x:.3f} %",
        }
    )
    return Chart(
        key="parts",
        title="Where each run's profit and loss came from, % of capital",
        meaning=(
            "Profit and loss by component over the whole run, as a share of the capital: gains to "
            "the right of zero, losses to the left; the diamond is their sum. basis is "
            "spot_price + perp_price. Unit: percent of capital."
        ),
        views={"": traces},
        layout=_bar_layout("relative"),
        legend=(
            *(Key(name, name, "area") for name in shown),
            Key("profit and loss", "total", "mark"),
        ),
        height=90 + 38 * len(names),
        said="; ".join(
            f"{name} {percent(own['pnl'])}" for name, own in zip(names, shares, strict=True)
        ),
        wide=True,
    )


def _difference_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """What the differences did: each component of the further runs less that of the first."""
    first = _shares(entries[0])
    labels = [*COMPONENTS, "profit and loss"]
    traces = []
    for place, (entry, name) in enumerate(zip(entries[1:], names[1:], strict=True), start=1):
        gaps = [100.0 * (own - held) for own, held in zip(_shares(entry), first, strict=True)]
        traces.append(_bars(name, labels, gaps, nth(place)))
    return Chart(
        key="change",
        title=f"What the differences did, against {names[0]}",
        meaning=(
            f"Each component as a share of the run's capital, less that of {names[0]}. Unit: "
            "percentage points of capital, over the whole run."
        ),
        views={"": traces},
        layout=_bar_layout("group"),
        legend=tuple(Key(name, nth(i), "area") for i, name in enumerate(names[1:], start=1)),
        height=110 + len(labels) * (16 + 10 * len(traces)),
        said="The table below has the same differences.",
        wide=True,
    )


def _bars(name: str, labels: list[str], values: list[float], colour: str) -> Trace:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": values,
        "y": labels,
        "marker": {"color": css(colour)},
        "hovertemplate": "%{x:.3f} %",
    }


def _bar_layout(barmode: str) -> dict[str, Any]:
    layout = plain()
    layout["xaxis"] |= {"showgrid": True, "gridcolor": css("line"), "zeroline": True, "nticks": 8}
    layout["xaxis"] |= {"zerolinecolor": css("soft"), "ticksuffix": " %"}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "type": "category", "dtick": 1}
    layout |= {"barmode": barmode, "bargap": 0.35, "hovermode": "y unified"}
    layout["margin"] |= {"t": 8}
    return layout
