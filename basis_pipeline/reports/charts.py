"""Charts of performance: equity, attribution over time and in all, and what all charts share."""

import numpy as np

from basis_pipeline.reports.colours import css
from basis_pipeline.reports.drawing import (
    NO_HOVER,
    Chart,
    Key,
    Row,
    Trace,
    line,
    milliseconds,
    over_time,
    packed,
    plain,
)
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import BUCKETS, days
from basis_pipeline.results.definitions import COMPONENT_MEANING, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.results.tables import COMPONENTS

NET, APART = "Price legs netted", "Price legs apart"
HOURLY = (
    "Sampling: hourly marks, drawn as the lowest and the highest of each of "
    f"{BUCKETS} equal stretches where there are more."
)
DAILY = "Sampling: 00:00 UTC marks."
REPAIRED = Key("hours that rest on repaired data", "repaired", "area")
LIQUIDATED = Key("liquidation", "alarm", "line")


def marks_legend(run: RunView) -> tuple[Key, ...]:
    """Legend of what is marked on every time axis, where there is any."""
    return (
        *((REPAIRED,) if run.shades else ()),
        *((LIQUIDATED,) if run.liquidated_at else ()),
    )


def equity_chart(run: RunView) -> Chart:
    """Equity beside its benchmarks, and the drawdown from the running peak."""
    unit = f" {run.currency}"
    form = f",.{run.digits}f"
    traces = []
    keys = [Key("this run", "accent")]
    for place, (name, growth) in enumerate(run.benchmarks.items()):
        colour, dash = f"benchmark-{place % 2}", "dash" if place % 2 else "dot"
        values = run.benchmark_equity(growth)
        traces.append(
            line(name, run.stamps, values, colour, form=form, unit=unit, dash=dash, width=1.4)
        )
        keys.append(Key(f"the same money in {name}", colour, "dash"))
    equity = run.column("equity", "equity")
    traces.append(line("equity", run.stamps, equity, "accent", form=form, unit=unit, width=2.0))
    traces += _flow_marks(run, equity)
    down = -100.0 * run.column("equity", "drawdown")
    drawdown = line("drawdown", run.stamps, down, "bad", row=2, unit=" %", width=1.0)
    traces.append(drawdown | {"fill": "tozeroy", "fillcolor": css("bad-wash")})
    rows = [Row(f"Equity, {run.currency}", 3.0), Row("Drawdown, %", 1.2)]
    if any(trace.get("mode") == "markers" for trace in traces):
        keys.append(Key("deposit or withdrawal", "ink", "mark"))
    return Chart(
        key="equity",
        title="Equity and drawdown",
        meaning=(
            f"Equity after the trades of each mark, in {run.currency}; a benchmark has the same "
            "capital and the same flows. Drawdown: loss of the time-weighted growth from its "
            f"running peak. {HOURLY}"
        ),
        views={"": traces},
        layout=over_time(rows, run.stamps, run.shades, run.liquidated_at),
        legend=(*keys, *marks_legend(run)),
        height=420,
        said=(
            f"Equity goes from {run.money(run.result.identity.capital)} to "
            f"{run.money(float(equity[-1]))} {run.currency}; the deepest drawdown is "
            f"{percent(run.summary['max_drawdown'])}."
        ),
        wide=True,
    )


def _flow_marks(run: RunView, equity: Floats) -> list[Trace]:
    flow = run.column("equity", "flow")
    at = np.flatnonzero(flow)
    if not at.size:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "flow",
            "x": packed(milliseconds(run.stamps[at])),
            "y": packed(equity[at]),
            "customdata": [f"{'+' if f > 0 else ''}{run.money(float(f))}" for f in flow[at]],
            "marker": {"size": 9, "symbol": "diamond", "color": css("ink")},
            "hovertemplate": f"%{{customdata}} {run.currency}",
        }
    ]


def attribution_chart(run: RunView) -> Chart:
    """Cumulative components, stacked above and below zero, and their total."""
    shown = {NET: _netted(COMPONENTS), APART: COMPONENTS}
    views = {name: _stacked(run, parts) for name, parts in shown.items()}
    keys = [
        Key(
            name,
            name,
            "area",
            {"basis": NET, "spot_price": APART, "perp_price": APART}.get(name, ""),
        )
        for name in (*COMPONENTS[:5], "basis", *COMPONENTS[5:])
        if _moved(run, name)
    ]
    return Chart(
        key="attribution",
        title="Where the profit and loss came from, over time",
        meaning=(
            f"Profit and loss since the start by component, in {run.currency}: gains stacked above "
            "zero, losses below; the line is their sum, equity less capital and flows. "
            f"basis is spot_price + perp_price. {DAILY}"
        ),
        views=views,
        layout=over_time(
            [Row(f"Cumulative profit and loss, {run.currency}")],
            run.stamps,
            run.shades,
            run.liquidated_at,
        ),
        legend=(
            Key("total", "total"),
            *keys,
            *marks_legend(run),
        ),
        height=360,
        said="; ".join(
            f"{name} {run.money(run.summary['attribution'][name])}" for name in COMPONENTS
        ),
        wide=True,
    )


def _netted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("basis" if n == "spot_price" else n for n in names if n != "perp_price")


def _moved(run: RunView, name: str) -> bool:
    return bool((run.cumulative[name] != 0.0).any())


def _stacked(run: RunView, names: tuple[str, ...]) -> list[Trace]:
    at = days(run.stamps)
    times = packed(milliseconds(run.stamps[at]))
    hover = f"%{{y:,.{run.digits}f}} {run.currency}"
    traces: list[Trace] = []
    for name in names:
        if not _moved(run, name):
            continue
        values = run.cumulative[name][at]
        common = {"type": "scatter", "mode": "lines", "x": times, "name": name}
        for sign, part in (("above", np.maximum(values, 0.0)), ("below", np.minimum(values, 0.0))):
            if (part != 0.0).any():
                traces.append(
                    {
                        **common,
                        "y": packed(part),
                        "stackgroup": sign,
                        "line": {"width": 0.5, "color": css(name)},
                        "fillcolor": css(name),
                        **NO_HOVER,
                    }
                )
        # What is read on hover is the component's own value, not its height in the stack.
        traces.append(
            {
                **common,
                "y": packed(values),
                "line": {"width": 0, "color": css(name)},
                "hovertemplate": f"<span style='color:{css(name)}'>■</span> {hover}",
            }
        )
    total = {"name": "total", "line": {"width": 2.2, "color": css("total")}}
    summed = packed(run.cumulative["total"][at])
    scatter = {"type": "scatter", "mode": "lines", "x": times, "y": summed, "hovertemplate": hover}
    return [*traces, {**scatter, **total}]


def waterfall_chart(run: RunView) -> Chart:
    """Every component from zero to the profit and loss."""
    parts = {**run.summary["attribution"]}
    parts["basis"] = parts["spot_price"] + parts["perp_price"]
    pnl = run.summary["pnl"]
    views = {
        name: [_fall(run, [n for n in names if parts[n] != 0.0], parts, pnl)]
        for name, names in {NET: _netted(COMPONENTS), APART: COMPONENTS}.items()
    }
    layout = plain()
    layout["xaxis"] |= {"showgrid": True, "gridcolor": css("line"), "zeroline": True, "nticks": 6}
    layout["xaxis"] |= {"zerolinecolor": css("soft"), "tickformat": "~s"}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "type": "category", "dtick": 1}
    layout["margin"] |= {"t": 8}
    layout["bargap"] = 0.35
    return Chart(
        key="waterfall",
        title=f"From zero to the profit and loss, {run.currency}",
        meaning=(
            f"Each component's profit and loss over the whole run, in {run.currency}, starting "
            "where the one before it ends; the last bar is their sum."
        ),
        views=views,
        layout=layout,
        legend=(),
        height=110 + 34 * sum(parts[name] != 0.0 for name in COMPONENTS),
        ranges={name: _with_room(bars) for name, (bars,) in views.items()},
        said=f"The components add up to {run.money(pnl)} {run.currency}.",
    )


def _with_room(bars: Trace) -> list[float]:
    """From the lowest to the highest end of any bar, with room for the amounts beside them."""
    ends = [start + length for start, length in zip(bars["base"], bars["x"], strict=True)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.3 * ((high - low) or 1.0)
    return [low - room, high + room]


def _fall(run: RunView, names: list[str], parts: dict[str, float], pnl: float) -> Trace:
    ends = np.cumsum([parts[name] for name in names])
    labels = [*names, "profit and loss"]
    values = [*(parts[name] for name in names), pnl]
    return {
        "type": "bar",
        "orientation": "h",
        "y": labels,
        "x": values,
        "base": [0.0, *ends[:-1].tolist(), 0.0] if names else [0.0],
        "marker": {"color": [css(name) for name in names] + [css("total")]},
        "text": [f"{'+' if value > 0 else ''}{run.money(value)}" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "constraintext": "none",
        "textfont": {"color": css("ink")},
        "customdata": [COMPONENT_MEANING.get(name, "Sum of the components.") for name in labels],
        "hovertemplate": f"%{{y}}: %{{text}} {run.currency}<br>%{{customdata}}<extra></extra>",
    }
