"""Charts of what the run did: carry against cost, funding, costs by kind, events on a time line."""

import numpy as np

from basis_pipeline.reports.charts import DAILY, marks_legend
from basis_pipeline.reports.colours import css, nth
from basis_pipeline.reports.drawing import (
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
from basis_pipeline.reports.run_view import REASONS, RunView
from basis_pipeline.reports.sampling import days, shaded
from basis_pipeline.results.definitions import percent
from basis_pipeline.results.metrics import Stamps, months
from basis_pipeline.results.summary import floats, stamps
from basis_pipeline.results.tables import GROUPS


def carry_chart(run: RunView) -> Chart:
    """What each month carried and what it cost."""
    rows = months(run.stamps.copy())
    names = [month.name for month in rows]
    frame = run.result.frames["attribution"]
    sums = {
        group: [
            float(frame[list(parts)].iloc[month.first : month.last].to_numpy().sum())
            for month in rows
        ]
        for group, parts in GROUPS.items()
    }
    hover = f"%{{y:,.{run.digits}f}} {run.currency}"
    traces: list[Trace] = [
        {
            "type": "bar",
            "name": group,
            "x": names,
            "y": sums[group],
            "marker": {"color": css(group)},
            "hovertemplate": hover,
        }
        for group in ("carry", "costs")
    ]
    net = np.array(sums["carry"]) + np.array(sums["costs"])
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "carry less costs",
            "x": names,
            "y": net.tolist(),
            "marker": {"color": css("ink"), "size": 9, "symbol": "diamond"},
            "hovertemplate": hover,
        }
    )
    layout = plain()
    layout["xaxis"] |= {"type": "category", "tickangle": 0, "nticks": 7}
    layout |= {"barmode": "relative", "bargap": 0.3, "hovermode": "x unified"}
    layout["margin"] |= {"t": 8}
    groups = run.summary["groups"]
    return Chart(
        key="carry",
        title=f"Carry against cost, {run.currency} a month",
        meaning=(
            "Carry: lending + borrowing + staking + rewards + funding. Costs: execution, gas and "
            f"liquidation. In {run.currency}, summed over calendar months (UTC)."
        ),
        views={"": traces},
        layout=layout,
        legend=(
            Key("carry", "carry", "area"),
            Key("costs", "costs", "area"),
            Key("carry less costs", "ink", "mark"),
        ),
        height=300,
        said=f"Carry of {run.money(groups['carry'])}, costs of {run.money(groups['costs'])}.",
    )


def funding_chart(run: RunView) -> Chart:
    """Funding received so far by venue."""
    events, at = run.events_of("funding"), days(run.stamps)
    traces, keys = [], []
    for place, venue in enumerate(sorted(events["venue"].unique())):
        own = events[events["venue"] == venue]
        paid = np.cumsum(own["amount"].to_numpy(dtype=np.float64))
        settled = np.searchsorted(stamps(own), run.stamps[at], side="right")
        values = np.concatenate([[0.0], paid])[settled]
        unit, form = f" {run.currency}", f",.{run.digits}f"
        traces.append(
            line(venue, run.stamps[at], values, nth(place), form=form, unit=unit, thin=False)
        )
        keys.append(Key(venue, nth(place)))
    return Chart(
        key="funding",
        title=f"Funding received by venue, {run.currency}",
        meaning=(
            "Funding settled since the start on the position held before each settlement; a short "
            f"receives a positive rate. In {run.currency}. {DAILY}"
        ),
        views={"": traces},
        layout=over_time([Row("Cumulative")], run.stamps, run.shades, run.liquidated_at),
        legend=(*keys, *marks_legend(run)),
        height=300,
        said=", ".join(f"{own.venue} {run.money(own.received)}" for own in run.funding_by_venue),
    )


def costs_chart(run: RunView) -> Chart:
    """Execution and gas by kind of event."""
    lines = run.costs_by_kind
    kinds = [cost.kind for cost in lines]
    hover = f"%{{x:,.{run.digits}f}} {run.currency}"
    traces: list[Trace] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": kinds,
            "x": [getattr(cost, field) for cost in lines],
            "marker": {"color": css(colour)},
            "hovertemplate": hover,
        }
        for name, field, colour in (
            ("execution", "execution", "execution_cost"),
            ("gas", "gas", "gas"),
        )
    ]
    layout = plain()
    layout["xaxis"] |= {"showgrid": True, "gridcolor": css("line"), "nticks": 5}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "type": "category", "dtick": 1}
    layout |= {"barmode": "stack", "bargap": 0.35, "hovermode": "y unified"}
    layout["margin"] |= {"t": 8}
    return Chart(
        key="costs",
        title=f"Costs by kind, {run.currency}",
        meaning=(
            "Fees and slippage of trades, and gas of transactions, by what was done; in "
            f"{run.currency}, over the whole run."
        ),
        views={"": traces},
        layout=layout,
        legend=(Key("execution", "execution_cost", "area"), Key("gas", "gas", "area")),
        height=90 + 34 * len(lines),
        said=", ".join(f"{cost.kind} {run.money(cost.total)}" for cost in lines),
    )


def timeline_chart(run: RunView) -> Chart:
    """What happened when: a lane for each kind of event, and one for each repaired dataset."""
    traces: list[Trace] = []
    for label, colour, when, told in _lanes(run):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": packed(milliseconds(when)),
                "y": [label] * when.size,
                "text": told,
                "marker": {
                    "symbol": "line-ns",
                    "size": 13,
                    "line": {"width": 2 if colour != "alarm" else 4, "color": css(colour)},
                },
                "hovertemplate": "%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra>%{y}</extra>",
            }
        )
    for name, flags in run.repaired_by_dataset.items():
        if flags.any():
            traces.append(_repaired_lane(run, name))
    layout = over_time([Row("")], run.stamps, run.shades, run.liquidated_at)
    lanes = len(traces)
    layout["yaxis"] |= {"type": "category", "range": [lanes - 0.5, -0.5], "dtick": 1}
    layout["annotations"] = []
    layout["hovermode"] = "closest"
    layout["margin"] |= {"t": 8}
    return Chart(
        key="timeline",
        title="Events on the time line",
        meaning=(
            "Rebalances by what set them off, liquidations, deposits and withdrawals, each at its "
            "mark; stretches of repaired data by dataset. Gaps too short to be seen are closed."
        ),
        views={"": traces},
        layout=layout,
        legend=marks_legend(run),
        height=70 + 32 * max(lanes, 1),
        said=(
            f"{run.summary['rebalances']} rebalances, {run.summary['liquidations']} liquidations, "
            f"{percent(run.repaired_share)} of the hours rest on repaired data."
        ),
        wide=True,
    )


def _lanes(run: RunView) -> list[tuple[str, str, Stamps, list[str]]]:
    lanes = []
    for kind, colour in (("liquidation", "alarm"), ("flow", "ink")):
        events = run.events_of(kind)
        if len(events):
            places = events["venue"] + " " + events["instrument"]
            moved = floats(events, "notional")
            told = [
                f"{place} {run.money(float(value))} {run.currency}"
                for place, value in zip(places, moved, strict=True)
            ]
            label = {"liquidation": "Liquidation", "flow": "Deposit or withdrawal"}[kind]
            lanes.append((label, colour, stamps(events), told))
    rebalances = run.events_of("rebalance")
    for place, (reason, part) in enumerate(rebalances.groupby("reason", sort=True)):
        name = REASONS.get(str(reason), str(reason))
        told = [f"Weights restored: {name}"] * len(part)
        lanes.append((f"Rebalance: {name}", nth(place), stamps(part), told))
    return lanes


def _repaired_lane(run: RunView, name: str) -> Trace:
    flags = run.repaired_by_dataset[name]
    ends = shaded(flags, run.stamps)
    times: list[float | None] = []
    for first, last in ends:
        times += [first / 1e6, last / 1e6, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": times,
        "y": [f"Repaired: {name}"] * len(times),
        "line": {"width": 12, "color": css("repaired")},
        "connectgaps": False,
        "text": f"{int(flags.sum())} hours in all",
        "hovertemplate": "%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra>%{y}</extra>",
    }
