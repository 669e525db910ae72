"""The comparison of runs: a leaderboard with their gates, what differs, and its effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.banners import REPAIRED_LIMIT, Banner, stamp_of, with_status
from basis_pipeline.reports.chart import (
    DAILY,
    Chart,
    Row,
    bars,
    horizontal_bars,
    line,
    over_time,
    totals,
)
from basis_pipeline.reports.differences import differences
from basis_pipeline.reports.mixes import together
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.plot_theme import SERIES, nth
from basis_pipeline.reports.run_charts import NETTED
from basis_pipeline.reports.run_view import JudgedRun
from basis_pipeline.reports.sampling import days
from basis_pipeline.reports.table import Cells, Link, Table, Term
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import DASH, FIGURES, amount, percent
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status

RESULT = ("closed_equity", "total_return", "apy", "sharpe", "volatility", "max_drawdown")
RISK = (
    "carry_per_year", "cost_per_year", "min_health_factor", "min_margin_ratio", "max_abs_delta",
    "rebalances", "liquidations",
)  # fmt: skip
RANK_BY = "apy"
RANKS = tuple(n for n in (*RESULT, *RISK) if FIGURES[n].better and FIGURES[n].unit != "currency")
LENDING = "lending"  # the benchmark
PARTS = (*COMPONENTS, "pnl")
MARKS = {"alarm": "FAIL", "warn": "WARN", "good": "PASS"}
_TITLES = tuple(f">{name}" for name in (*COMPONENTS, "profit and loss"))
_PERCENT = {"ticksuffix": " %", "nticks": 5}


@dataclass(frozen=True)
class Entry(JudgedRun):
    """A run in a comparison, and the address of its tear sheet from the page."""

    link: str = ""

    @property
    def over_lending(self) -> float | None:
        """The run's return less that of plain lending in its share class; None without rates."""
        beside = self.result.summary["benchmarks"].get(LENDING)
        return None if beside is None else float(beside["excess_return"])

    @property
    def is_plain_lending(self) -> bool:
        """Whether the mode is what the others are compared with."""
        allocation = self.run.mode_config.get("allocation", {})
        return bool(allocation.get("lending") == 1.0)

    @property
    def shares(self) -> dict[str, float]:
        """The ten components and their sum as shares of the capital."""
        summary, capital = self.result.summary, self.result.identity.capital
        amounts = {**summary["attribution"], "pnl": summary["pnl"]}
        return {name: amounts[name] / capital for name in PARTS}


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
    rank_by: a figure of `RANKS`.
    reference: whether the others are compared with the first run, component by component.
    """
    names = names_of(entries)
    bounds = sorted({(e.result.identity.start, e.result.identity.end) for e in entries})
    windows = [f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}" for start, end in bounds]
    effect = [_difference_table(entries, names)]
    against = _benchmarks(entries, names)
    sections = [
        Section(
            "Leaderboard",
            [_leaderboard(entries, names, rank_by), _risk_table(entries, names, rank_by)],
            f"Ranked by {FIGURES[rank_by].label}. A run that failed a gate or was liquidated keeps "
            "its rank and is marked; do not rely on its figures. A dash means: not defined for "
            "the run.",
        ),
        Section("Growth", [_growth_chart(entries, names)]),
        *together([entry.run for entry in entries], names),
        Section("Components", [_parts_chart(entries, names), *_parts_tables(entries, names)]),
        *([Section("Effect of the differences", effect)] if reference else []),
        *([Section("Benchmarks", [against])] if against.rows else []),
        Section("What differs", _unequal(entries, names, reference=reference)),
    ]
    return Page(
        title="Runs compared" if reference else "Strategy modes compared",
        what=f"{len(entries)} runs, {'; '.join(windows)} UTC.",
        banners=[
            _against_lending(entries, names, "runs" if reference else "modes"),
            *_banners(entries, names),
        ],
        sections=sections,
        footer=(
            "Simulated on historical data; hours are in UTC. Every figure is computed from the "
            "runs' own tables."
        ),
    ).html(provenance)


def ranking(entries: Sequence[Entry], by: str) -> list[int]:
    """Return the places of the entries from best to worst; those without the figure come last."""
    better = FIGURES[by].better

    def key(place: int) -> tuple[bool, float]:
        value = entries[place].result.summary.get(by)
        return (value is None, -better * (value or 0.0))

    return sorted(range(len(entries)), key=key)


def names_of(entries: Sequence[Entry]) -> list[str]:
    """Return the mode of each run, followed by the run's name where a mode occurs twice."""
    modes = [entry.result.mode for entry in entries]
    return [
        f"{entry.result.mode} {entry.result.run_id[:8]}" if modes.count(mode) > 1 else mode
        for entry, mode in zip(entries, modes, strict=True)
    ]


def _against_lending(entries: Sequence[Entry], names: Sequence[str], noun: str) -> Banner:
    """Say which runs earned less than plain lending; those that are plain lending cannot."""
    pairs = list(zip(entries, names, strict=True))
    trailing = [
        f"{name} (by {percent(-entry.over_lending).replace(' %', ' points')})"
        for entry, name in pairs
        if entry.over_lending is not None and entry.over_lending < 0 and not entry.is_plain_lending
    ]
    unknown = [name for entry, name in pairs if entry.over_lending is None]
    without = f"Without lending rates: {', '.join(unknown)}." if unknown else ""
    if not trailing:
        return Banner(
            "note", f"None of the {noun} earned less than plain lending in its class", without
        )
    title = f"{len(trailing)} of {len(names)} {noun} earned less than plain lending in their class"
    return Banner("warn", title, " ".join(filter(None, (f"{', '.join(trailing)}.", without))))


def _banners(entries: Sequence[Entry], names: Sequence[str]) -> list[Banner]:
    """Name the runs that failed a gate, were liquidated, use repaired data or have no verdict."""
    pairs = list(zip(entries, names, strict=True))
    failed = [
        f"{name} ({', '.join(verdict.check for verdict in failing)})"
        for entry, name in pairs
        if (failing := with_status(entry.gates, Status.FAIL))
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
        ("warn", "Not judged by any gate", [n for entry, n in pairs if not entry.gates]),
    )
    return [Banner(level, title, ", ".join(runs)) for level, title, runs in lists if runs]


def _leaderboard(entries: Sequence[Entry], names: Sequence[str], rank_by: str) -> Table:
    shown = tuple(dict.fromkeys((*RESULT, rank_by)))
    ranked = _lending_rows(entries, rank_by, shown)
    for place in ranking(entries, rank_by):
        entry, summary = entries[place], entries[place].result.summary
        word, level = stamp_of(entry.run, entry.gates)
        checks = [v.check for v in with_status(entry.gates, Status.FAIL, Status.WARN)]
        figures = [entry.run.written(name, summary.get(name)) for name in shown]
        stamp = ": ".join(filter(None, (word, ", ".join(checks))))
        run = (Link(names[place], entry.link), entry.run.currency, MARKS[level], stamp)
        ranked.append((summary.get(rank_by), (*run, percent(entry.over_lending), *figures)))
    better = FIGURES[rank_by].better
    ranked.sort(key=lambda row: (row[0] is None, -better * (row[0] or 0.0)))
    rows: list[Cells] = [(str(rank), *cells) for rank, (_, cells) in enumerate(ranked, start=1)]
    over = Term(">Over lending", "Return less that of plain lending in the run's share class.")
    titles: Cells = ("#", "run", "currency", "verdict", "~gates", over, *_figure_titles(shown))
    return Table(titles, rows, "Leaderboard")


def _risk_table(entries: Sequence[Entry], names: Sequence[str], rank_by: str) -> Table:
    """Carry, cost and worst risk of the runs, in the order of the leaderboard."""
    rows: list[Cells] = []
    for place in ranking(entries, rank_by):
        run = entries[place].run
        figures = (run.written(name, run.summary.get(name)) for name in RISK)
        rows.append((names[place], *figures, percent(run.repaired_share, 1)))
    repaired = Term(">Repaired", "Share of the hours with an input that was repaired.")
    return Table(("run", *_figure_titles(RISK), repaired), rows, "Carry, cost and worst risk")


def _figure_titles(names: Sequence[str]) -> list[Term]:
    return [Term(f">{FIGURES[name].label}", FIGURES[name].description) for name in names]


def _lending_rows(
    entries: Sequence[Entry], rank_by: str, shown: Sequence[str]
) -> list[tuple[float | None, Cells]]:
    """Return plain lending of each share class among the runs: its figures, in their columns."""
    rows: dict[str, tuple[float | None, Cells]] = {}
    for run in (entry.run for entry in entries):
        growth = run.benchmarks.get(LENDING)
        if growth is None or run.currency in rows:
            continue
        found = {**run.figures_of(growth), "closed_equity": float(run.benchmark_equity(growth)[-1])}
        figures = (run.written(n, found[n]) if n in found else DASH for n in shown)
        name = Term("plain lending", f"The same money lent in {run.currency}: the benchmark.")
        cells: Cells = (name, run.currency, "N/A", "benchmark", percent(0.0), *figures)
        rows[run.currency] = (found.get(rank_by), cells)
    return list(rows.values())


def _parts_tables(entries: Sequence[Entry], names: Sequence[str]) -> list[Table]:
    """Profit and loss of the runs by component: amounts, and shares of the capital."""
    amounts, shares = [], []
    for entry, name in zip(entries, names, strict=True):
        capital = entry.result.identity.capital
        money = (entry.run.money(share * capital) for share in entry.shares.values())
        amounts.append((name, entry.run.currency, *money))
        shares.append((name, *(percent(share, 3) for share in entry.shares.values())))
    return [
        Table(("run", "currency", *_TITLES), amounts, "Profit and loss by component"),
        Table(("run", *_TITLES), shares, "Profit and loss by component, % of capital"),
    ]


def _difference_table(entries: Sequence[Entry], names: Sequence[str]) -> Table:
    first = entries[0].shares
    rows = []
    for entry, name in zip(entries[1:], names[1:], strict=True):
        changes = [own - first[part] for part, own in entry.shares.items()]
        rows.append((name, *(f"{'+' if c > 0 else ''}{percent(c, 3)}" for c in changes)))
    caption = f"Components less those of {names[0]}, in percentage points of capital"
    return Table(("run", *_TITLES), rows, caption)


def _benchmarks(entries: Sequence[Entry], names: Sequence[str]) -> Table:
    columns = ("apy", "excess_return", "excess_apy", "tracking_error")
    rows = [
        (name, benchmark, entry.run.written("apy", entry.result.summary["apy"]),
         *(entry.run.missing(c) if row[c] is None else percent(row[c]) for c in columns),
         amount(row["correlation"]))
        for entry, name in zip(entries, names, strict=True)
        for benchmark, row in entry.result.summary["benchmarks"].items()
    ]  # fmt: skip
    titles = (
        "run", "benchmark", ">APY of the run", ">APY of the benchmark", ">excess return",
        ">excess APY", ">tracking error", ">correlation",
    )  # fmt: skip
    return Table(titles, rows, "Each run against its benchmarks, over the same window")


def _unequal(entries: Sequence[Entry], names: Sequence[str], *, reference: bool) -> list[Table]:
    found = differences([entry.result for entry in entries])
    return [
        Table(
            ("what", *names),
            [(what, *values) for what, values in rows.items()],
            part.capitalize(),
            folded=not reference and len(rows) > 12,
            code=True,
        )
        for part, rows in found.items()
    ]


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
    return Chart(
        "growth",
        "Growth and drawdown",
        "Time-weighted return since the start, before entry costs, each run in its share "
        "class's own currency with flows removed; drawdown from its running peak. Unit: "
        f"percent. {DAILY}",
        over_time(traces, rows, np.array([first, last])),
        height=480,
        wide=True,
    )


def _parts_chart(entries: Sequence[Entry], names: Sequence[str]) -> Chart:
    """Draw the components of every run as percent of its capital, the price legs netted."""
    shares = [
        {**e.shares, "basis": e.shares["spot_price"] + e.shares["perp_price"]} for e in entries
    ]
    traces: list[Any] = [
        bars(name, names, [100.0 * own[name] for own in shares], name, "%{x:.3f} %")
        for name in NETTED
        if any(own[name] != 0.0 for own in shares)
    ]
    sums = [100.0 * own["pnl"] for own in shares]
    traces.append(totals("profit and loss", names, sums, "%{x:.3f} %"))
    return Chart(
        "parts",
        "Where each run's profit and loss came from, % of capital",
        "Profit and loss by component over the whole run, as a share of the capital: gains to "
        "the right of zero, losses to the left; the diamond is their sum. basis is "
        "spot_price + perp_price. Unit: percent of capital.",
        horizontal_bars(traces, barmode="relative", xaxis=_PERCENT),
        height=120 + 38 * len(names),
        wide=True,
    )
