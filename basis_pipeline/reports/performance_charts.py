"""Charts of performance: equity beside its benchmarks, and where the profit and loss came from."""

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
from basis_pipeline.reports.plot_theme import css
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import days
from basis_pipeline.results.definitions import COMPONENT_MEANING, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.results.tables import COMPONENTS

NETTED = (*COMPONENTS[:5], "basis", *COMPONENTS[7:])
VIEWS = {"Price legs netted": NETTED, "Price legs apart": COMPONENTS}


def equity_chart(run: RunView) -> Chart:
    """Draw equity beside its benchmarks, and the drawdown from the running peak."""
    equity = run.column("equity", "equity")
    options: dict[str, Any] = {"form": f",.{run.digits}f", "unit": f" {run.currency}"}
    traces = [line("this run", run.stamps, equity, "accent", width=2.0, **options)]
    for place, (name, growth) in enumerate(run.benchmarks.items()):
        style = {"dash": "dash" if place % 2 else "dot", "width": 1.4, **options}
        label, values = f"the same money in {name}", run.benchmark_equity(growth)
        traces.insert(-1, line(label, run.stamps, values, f"benchmark-{place % 2}", **style))
    traces += _flow_marks(run, equity)
    down = -100.0 * run.column("equity", "drawdown")
    fill: dict[str, Any] = {"fill": "tozeroy", "fillcolor": css("bad-wash"), "showlegend": False}
    traces.append(line("drawdown", run.stamps, down, "bad", row=2, unit=" %", width=1.0, **fill))
    rows = [Row(f"Equity, {run.currency}", 3.0), Row("Drawdown, %", 1.2)]
    return Chart(
        key="equity",
        title="Equity and drawdown",
        meaning=(
            f"Equity after the trades of each hour, in {run.currency}; a benchmark has the same "
            "capital and the same flows. Drawdown: loss of the time-weighted growth from its "
            f"running peak. {HOURLY}"
        ),
        views={"": over_run(run, traces, rows)},
        height=420,
        description=(
            f"Equity goes from {run.money(run.result.identity.capital)} to "
            f"{run.money(float(equity[-1]))} {run.currency}; the deepest drawdown is "
            f"{percent(run.summary['max_drawdown'])}."
        ),
        wide=True,
    )


def _flow_marks(run: RunView, equity: Floats) -> list[go.Scatter]:
    flow = run.column("equity", "flow")
    at = np.flatnonzero(flow)
    if not at.size:
        return []
    amounts = [f"{'+' if f > 0 else ''}{run.money(float(f))}" for f in flow[at]]
    return [
        go.Scatter(
            mode="markers",
            name="deposit or withdrawal",
            x=milliseconds(run.stamps[at]),
            y=equity[at],
            customdata=amounts,
            marker={"size": 9, "symbol": "diamond", "color": css("ink")},
            hovertemplate=f"%{{customdata}} {run.currency}",
        )
    ]


def attribution_chart(run: RunView) -> Chart:
    """Draw the cumulative components, stacked above and below zero, and their total."""
    rows = [Row(f"Cumulative profit and loss, {run.currency}")]
    return Chart(
        key="attribution",
        title="Where the profit and loss came from, over time",
        meaning=(
            f"Profit and loss since the start by component, in {run.currency}: gains stacked above "
            "zero, losses below; the line is their sum, equity less capital and flows. "
            f"basis is spot_price + perp_price. {DAILY}"
        ),
        views={name: over_run(run, _stacked(run, parts), rows) for name, parts in VIEWS.items()},
        height=360,
        description="; ".join(
            f"{name} {run.money(run.summary['attribution'][name])}" for name in COMPONENTS
        ),
        wide=True,
    )


def _stacked(run: RunView, names: tuple[str, ...]) -> list[go.Scatter]:
    at = days(run.stamps)
    times = milliseconds(run.stamps[at])
    hover = f"%{{y:,.{run.digits}f}} {run.currency}"
    traces = []
    for name in names:
        if not run.cumulative[name].any():
            continue
        values = run.cumulative[name][at]
        for sign, part in (("above", np.maximum(values, 0.0)), ("below", np.minimum(values, 0.0))):
            if part.any():
                look = {"fillcolor": css(name), "line": {"width": 0.5, "color": css(name)}}
                stack = go.Scatter(x=times, y=part, name=name, stackgroup=sign, **look)
                traces.append(stack.update(mode="lines", hoverinfo="skip"))
        # What is read on hover is the component's own value, not its height in the stack.
        own = f"<span style='color:{css(name)}'>■</span> {hover}"
        invisible = {"width": 0, "color": css(name)}
        traces.append(
            go.Scatter(
                mode="lines", x=times, y=values, name=name, line=invisible, hovertemplate=own
            )
        )
    total = {"x": times, "y": run.cumulative["total"][at], "hovertemplate": hover}
    thick = {"width": 2.2, "color": css("total")}
    return [*traces, go.Scatter(mode="lines", name="total", line=thick, **total)]


def waterfall_chart(run: RunView) -> Chart:
    """Draw every component from zero to the profit and loss."""
    parts = {**run.summary["attribution"]}
    parts["basis"] = parts["spot_price"] + parts["perp_price"]
    moved = {view: [n for n in names if parts[n] != 0.0] for view, names in VIEWS.items()}
    return Chart(
        key="waterfall",
        title=f"From zero to the profit and loss, {run.currency}",
        meaning=(
            f"Each component's profit and loss over the whole run, in {run.currency}, starting "
            "where the one before it ends; the last bar is their sum."
        ),
        views={view: _waterfall(run, names, parts) for view, names in moved.items()},
        height=110 + 34 * max(map(len, moved.values())),
        description=f"The components add up to {run.money(run.summary['pnl'])} {run.currency}.",
    )


def _waterfall(run: RunView, names: list[str], parts: dict[str, float]) -> go.Figure:
    values = [*(parts[name] for name in names), run.summary["pnl"]]
    ends = np.cumsum(values[:-1]).tolist()
    starts = [0.0, *ends[:-1], 0.0] if names else [0.0]
    labels = [*names, "profit and loss"]
    reached = [start + length for start, length in zip(starts, values, strict=True)]
    low, high = min(0.0, *reached), max(0.0, *reached)
    room = 0.5 * ((high - low) or 1.0)  # for the amounts beside the bars
    bars = go.Bar(
        orientation="h",
        y=labels,
        x=values,
        base=starts,
        showlegend=False,
        marker={"color": [css(name) for name in names] + [css("total")]},
        text=[f"{'+' if value > 0 else ''}{run.money(value)}" for value in values],
        textposition="outside",
        cliponaxis=False,
        constraintext="none",
        textfont={"color": css("ink")},
        customdata=[COMPONENT_MEANING.get(name, "Sum of the components.") for name in labels],
        hovertemplate=f"%{{y}}: %{{text}} {run.currency}<br>%{{customdata}}<extra></extra>",
    )
    across = {"range": [low - room, high + room], "tickformat": "~s"}
    return horizontal_bars([bars], xaxis=across).update_layout(hovermode="closest")
