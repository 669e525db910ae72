"""Charts of what the run did: carry against cost, funding, costs by kind, events on a time line."""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.chart import (
    DAILY,
    Chart,
    Row,
    horizontal_bars,
    milliseconds,
    over_run,
)
from basis_pipeline.reports.plot_theme import css, figure, nth
from basis_pipeline.reports.run_view import REASONS, RunView
from basis_pipeline.reports.sampling import days, shaded
from basis_pipeline.results.definitions import percent
from basis_pipeline.results.metrics import Stamps
from basis_pipeline.results.summary import floats, stamps

EVENT_LANES = {"liquidation": ("Liquidation", "alarm"), "flow": ("Deposit or withdrawal", "ink")}


def carry_chart(run: RunView) -> Chart:
    """Draw what each month carried and what it cost."""
    months = run.summary["months"]
    names = [row["month"] for row in months]
    sums = {group: np.array([row[group] for row in months]) for group in ("carry", "costs")}
    hover = f"%{{y:,.{run.digits}f}} {run.currency}"
    traces: list[Any] = [
        go.Bar(name=group, x=names, y=own, marker={"color": css(group)}, hovertemplate=hover)
        for group, own in sums.items()
    ]
    traces.append(
        go.Scatter(
            mode="markers",
            name="carry less costs",
            x=names,
            y=sums["carry"] + sums["costs"],
            marker={"color": css("ink"), "size": 9, "symbol": "diamond"},
            hovertemplate=hover,
        )
    )
    carry, costs = (run.money(run.summary["groups"][group]) for group in sums)
    return Chart(
        key="carry",
        title=f"Carry against cost, {run.currency} a month",
        meaning=(
            "Carry: lending + borrowing + staking + rewards + funding. Costs: execution, gas and "
            f"liquidation. In {run.currency}, summed over calendar months (UTC)."
        ),
        views={
            "": figure(
                traces,
                xaxis={"type": "category", "nticks": 7},
                barmode="relative",
                bargap=0.3,
                hovermode="x unified",
            )
        },
        height=300,
        description=f"Carry of {carry}, costs of {costs}.",
    )


def funding_chart(run: RunView) -> Chart:
    """Draw the funding received so far by venue."""
    events, at = run.events_of("funding"), days(run.stamps)
    times = milliseconds(run.stamps[at])
    traces = []
    for place, venue in enumerate(sorted(events["venue"].unique())):
        own = events[events["venue"] == venue]
        received = np.concatenate([[0.0], np.cumsum(floats(own, "amount"))])
        traces.append(
            go.Scatter(
                mode="lines",
                name=venue,
                x=times,
                y=received[np.searchsorted(stamps(own), run.stamps[at], side="right")],
                line={"color": css(nth(place))},
                hovertemplate=f"%{{y:,.{run.digits}f}} {run.currency}",
            )
        )
    return Chart(
        key="funding",
        title=f"Funding received by venue, {run.currency}",
        meaning=(
            "Funding settled since the start on the position held before each settlement; a short "
            f"receives a positive rate. In {run.currency}. {DAILY}"
        ),
        views={"": over_run(run, traces, [Row("Cumulative")])},
        height=300,
        description=", ".join(
            f"{own.venue} {run.money(own.received)}" for own in run.funding_by_venue
        ),
    )


def costs_chart(run: RunView) -> Chart:
    """Draw execution and gas by kind of event."""
    lines = run.costs_by_kind
    traces = [
        go.Bar(
            orientation="h",
            name=name,
            y=[cost.kind for cost in lines],
            x=[getattr(cost, name) for cost in lines],
            marker={"color": css(colour)},
            hovertemplate=f"%{{x:,.{run.digits}f}} {run.currency}",
        )
        for name, colour in (("execution", "execution_cost"), ("gas", "gas"))
    ]
    return Chart(
        key="costs",
        title=f"Costs by kind, {run.currency}",
        meaning=(
            "Fees and slippage of trades, and gas of transactions, by what was done; in "
            f"{run.currency}, over the whole run."
        ),
        views={"": horizontal_bars(traces, barmode="stack")},
        height=90 + 34 * len(lines),
        description=", ".join(f"{cost.kind} {run.money(cost.total)}" for cost in lines),
    )


def timeline_chart(run: RunView) -> Chart | None:
    """Draw what happened when: a lane for each kind of event and each repaired dataset.

    None where nothing happened.
    """
    traces = [*_event_lanes(run), *_repaired_lanes(run)]
    if not traces:
        return None
    lanes = len(traces)
    axis = {"type": "category", "range": [lanes - 0.5, -0.5], "dtick": 1, "nticks": lanes}
    view = over_run(run, traces, [Row("", axis=axis)])
    return Chart(
        key="timeline",
        title="Events on the time line",
        meaning=(
            "Rebalances by what triggered them, liquidations, deposits and withdrawals, each at "
            "its hour; stretches of repaired data by dataset. Gaps too short to be seen are closed."
        ),
        views={"": view.update_layout(hovermode="closest", annotations=[], margin={"t": 8})},
        height=70 + 32 * lanes,
        description=(
            f"{run.summary['rebalances']} rebalances, {run.summary['liquidations']} liquidations, "
            f"{percent(run.repaired_share)} of the hours rest on repaired data."
        ),
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
        texts = [f"Weights restored: {name}"] * len(part)
        lanes.append(_lane(f"Rebalance: {name}", nth(place), stamps(part), texts))
    return lanes


def _lane(label: str, colour: str, when: Stamps, texts: list[str]) -> go.Scatter:
    thick = {"width": 4 if colour == "alarm" else 2, "color": css(colour)}
    return go.Scatter(
        mode="markers",
        x=milliseconds(when),
        y=[label] * when.size,
        text=texts,
        marker={"symbol": "line-ns", "size": 13, "line": thick},
        hovertemplate="%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra>%{y}</extra>",
    )


def _repaired_lanes(run: RunView) -> list[go.Scatter]:
    lanes = []
    for name, flags in run.repaired_by_dataset.items():
        if flags.any():
            ends = np.array(shaded(flags, run.stamps)) / 1e6
            times = np.column_stack([ends, np.full(len(ends), np.nan)]).ravel()
            lanes.append(
                go.Scatter(
                    mode="lines",
                    x=times,
                    y=[f"Repaired: {name}"] * times.size,
                    line={"width": 12, "color": css("repaired")},
                    connectgaps=False,
                    text=f"{int(flags.sum())} hours in all",
                    hovertemplate="%{x|%Y-%m-%d %H:%M} UTC<br>%{text}<extra>%{y}</extra>",
                )
            )
    return lanes
