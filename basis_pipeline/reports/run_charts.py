"""Charts of a run: equity and benchmarks, attribution, carry and costs, funding, events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.chart import (
    DAILY,
    HOURLY,
    Chart,
    Row,
    horizontal_bars,
    line,
    milliseconds,
    over_run,
)
from basis_pipeline.reports.plot_theme import css, figure, nth
from basis_pipeline.reports.run_view import REASONS, RunView
from basis_pipeline.reports.sampling import days
from basis_pipeline.results.metrics import Stamps
from basis_pipeline.results.summary import floats, stamps
from basis_pipeline.results.tables import COMPONENTS

# The price legs of a hedged book are large and cancel: charts show their sum, the basis.
NETTED = (*COMPONENTS[:5], "basis", *COMPONENTS[7:])
EVENT_LANES = {"liquidation": ("Liquidation", "alarm"), "flow": ("Deposit or withdrawal", "ink")}


def run_charts(run: RunView) -> dict[str, Chart]:
    """Return the charts of a run that have something to show, by key."""
    charts = [equity_chart(run), attribution_chart(run), waterfall_chart(run), carry_chart(run)]
    if len(run.funding_by_venue):
        charts.append(funding_chart(run))
    if lanes := _event_lanes(run):
        charts.append(timeline_chart(run, lanes))
    return {chart.key: chart for chart in charts}


def equity_chart(run: RunView) -> Chart:
    """Draw equity with its benchmarks, and the drawdown from the running peak."""
    equity = run.column("equity", "equity")
    money: dict[str, Any] = {"form": f",.{run.digits}f", "unit": f" {run.currency}"}
    traces = []
    for place, (name, growth) in enumerate(run.benchmarks.items()):
        label, values = f"the same money in {name}", run.benchmark_equity(growth)
        look: dict[str, Any] = {"dash": "dash" if place % 2 else "dot", "width": 1.4}
        traces.append(line(label, run.stamps, values, f"benchmark-{place % 2}", **look, **money))
    traces.append(line("this run", run.stamps, equity, "accent", width=2.0, **money))
    flow = run.column("equity", "flow")
    if (at := np.flatnonzero(flow)).size:
        diamond = {"size": 9, "symbol": "diamond", "color": css("ink")}
        marks = go.Scatter(x=milliseconds(run.stamps[at]), y=equity[at], marker=diamond)
        marks.update(mode="markers", name="deposit or withdrawal")
        amounts = [signed(run, float(amount)) for amount in flow[at]]
        marks.update(customdata=amounts, hovertemplate=f"%{{customdata}} {run.currency}")
        traces.append(marks)
    down = -100.0 * run.column("equity", "drawdown")
    area: dict[str, Any] = {"fill": "tozeroy", "fillcolor": css("bad-wash"), "showlegend": False}
    traces.append(line("drawdown", run.stamps, down, "bad", row=2, unit=" %", width=1.0, **area))
    rows = [Row(f"Equity, {run.currency}", 3.0), Row("Drawdown, %", 1.2)]
    return Chart(
        "equity",
        "Equity and drawdown",
        f"Equity after the trades of each hour, in {run.currency}; a benchmark has the same "
        "capital and the same flows. Drawdown: loss of the time-weighted growth from its "
        f"running peak. {HOURLY}",
        over_run(run, traces, rows),
        height=440,
        wide=True,
    )


def signed(run: RunView, value: float) -> str:
    """Format an amount with its sign, also a plus."""
    return f"{'+' if value > 0.0 else ''}{run.money(value)}"


def attribution_chart(run: RunView) -> Chart:
    """Draw the cumulative components, stacked above and below zero, and their total."""
    at = days(run.stamps)
    times, hover = milliseconds(run.stamps[at]), f"%{{y:,.{run.digits}f}} {run.currency}"
    traces: list[Any] = [
        go.Bar(
            name=name,
            x=times,
            y=run.cumulative[name][at],
            marker={"color": css(name), "line": {"width": 0}},
            hovertemplate=hover,
        )
        for name in NETTED
        if run.cumulative[name].any()
    ]
    total = go.Scatter(x=times, y=run.cumulative["total"][at], mode="lines", name="total")
    traces.append(total.update(line={"width": 2.2, "color": css("total")}, hovertemplate=hover))
    drawn = over_run(run, traces, [Row(f"Cumulative profit and loss, {run.currency}")])
    return Chart(
        "attribution",
        "Where the profit and loss came from, over time",
        f"Profit and loss since the start by component, in {run.currency}: gains stacked above "
        "zero, losses below; the line is their sum, equity less capital and flows. "
        f"basis is spot_price + perp_price. {DAILY}",
        drawn.update_layout(barmode="relative", bargap=0.0),
        height=380,
        wide=True,
    )


def waterfall_chart(run: RunView) -> Chart:
    """Draw every component from zero to the profit and loss."""
    parts = {name: float(run.cumulative[name][-1]) for name in NETTED}
    names = [name for name in NETTED if parts[name] != 0.0]
    values = [*(parts[name] for name in names), float(run.summary["pnl"])]
    labels = [*names, "profit and loss"]
    steps = go.Waterfall(
        orientation="h",
        measure=[*("relative" for _ in names), "total"],
        x=values,
        y=[f"{name}  {signed(run, value)}" for name, value in zip(labels, values, strict=True)],
        increasing={"marker": {"color": css("good")}},
        decreasing={"marker": {"color": css("bad")}},
        totals={"marker": {"color": css("total")}},
        connector={"line": {"color": css("soft"), "width": 1}},
        hovertemplate=f"%{{y}} {run.currency}<extra></extra>",
        showlegend=False,
    )
    return Chart(
        "waterfall",
        f"From zero to the profit and loss, {run.currency}",
        f"Each component's profit and loss over the whole run, in {run.currency}, starting "
        "where the one before it ends; the last bar is their sum.",
        horizontal_bars([steps], xaxis={"tickformat": "~s"}, hovermode="closest"),
        height=110 + 34 * len(labels),
    )


def carry_chart(run: RunView) -> Chart:
    """Draw carry and costs by month."""
    months = run.summary["months"]
    names = [row["month"] for row in months]
    sums = {group: np.array([row[group] for row in months]) for group in ("carry", "costs")}
    hover = f"%{{y:,.{run.digits}f}} {run.currency}"
    traces: list[Any] = [
        go.Bar(name=group, x=names, y=own, marker={"color": css(group)}, hovertemplate=hover)
        for group, own in sums.items()
    ]
    diamond = {"color": css("ink"), "size": 9, "symbol": "diamond"}
    both = go.Scatter(x=names, y=sums["carry"] + sums["costs"], marker=diamond)
    traces.append(both.update(mode="markers", name="carry less costs", hovertemplate=hover))
    drawn = figure(traces, xaxis={"type": "category", "nticks": 7}, barmode="relative")
    return Chart(
        "carry",
        f"Carry against cost, {run.currency} a month",
        "Carry: lending + borrowing + staking + rewards + funding. Costs: execution, gas and "
        f"liquidation. In {run.currency}, summed over calendar months (UTC).",
        drawn.update_layout(bargap=0.3, hovermode="x unified"),
    )


def funding_chart(run: RunView) -> Chart:
    """Draw the cumulative funding by venue."""
    events, at = run.events_of("funding"), days(run.stamps)
    traces = []
    for place, (venue, own) in enumerate(events.groupby("venue", sort=True)):
        received = np.concatenate([[0.0], np.cumsum(floats(own, "amount"))])
        so_far = received[np.searchsorted(stamps(own), run.stamps[at], side="right")]
        options: dict[str, Any] = {"form": f",.{run.digits}f", "unit": f" {run.currency}"}
        traces.append(line(str(venue), run.stamps[at], so_far, nth(place), **options))
    return Chart(
        "funding",
        f"Funding by venue, {run.currency}",
        "Funding settled since the start on the position held before each settlement: a short "
        f"receives a positive rate and a long pays it. In {run.currency}. {DAILY}",
        over_run(run, traces, [Row("Cumulative")]),
    )


def timeline_chart(run: RunView, lanes: Sequence[go.Scatter]) -> Chart:
    """Draw the events over time, in one lane for each kind."""
    count = len(lanes)
    axis = {"type": "category", "range": [count - 0.5, -0.5], "dtick": 1, "nticks": count}
    drawn = over_run(run, lanes, [Row("", axis=axis)]).update_layout(hovermode="closest")
    return Chart(
        "timeline",
        "Events on the time line",
        "Rebalances by trigger, liquidations, deposits and withdrawals, each at its hour; "
        "stretches of repaired data are shaded.",
        drawn.update_layout(annotations=[], margin={"t": 8}, showlegend=False),
        height=70 + 32 * count,
        wide=True,
    )


def _event_lanes(run: RunView) -> list[go.Scatter]:
    lanes = []
    for kind, (label, colour) in EVENT_LANES.items():
        events = run.events_of(kind)
        if len(events):
            rows = zip(events["venue"], events["instrument"], events["notional"], strict=True)
            texts = [f"{v} {i} {run.money(float(n))} {run.currency}" for v, i, n in rows]
            lanes.append(_lane(label, colour, stamps(events), texts))
    reasons = run.events_of("rebalance").groupby("reason", sort=True)
    for place, (reason, part) in enumerate(reasons):
        name = REASONS.get(str(reason), str(reason))
        texts = [f"Triggered by: {name}"] * len(part)
        lanes.append(_lane(f"Rebalance: {name}", nth(place), stamps(part), texts))
    return lanes


def _lane(label: str, colour: str, when: Stamps, texts: list[str]) -> go.Scatter:
    stroke = {"width": 4 if colour == "alarm" else 2, "color": css(colour)}
    marks = go.Scatter(x=milliseconds(when), y=[label] * when.size, text=texts, mode="markers")
    hover = "%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra>%{y}</extra>"
    return marks.update(
        marker={"symbol": "line-ns", "size": 13, "line": stroke}, hovertemplate=hover
    )
