"""Charts of risk: exposure and net delta, the loan, margins, basis and peg, beside their limits."""

from typing import Any

import numpy as np

from basis_pipeline.reports.charts import HOURLY, marks_legend
from basis_pipeline.reports.colours import nth
from basis_pipeline.reports.drawing import Chart, Key, Row, Trace, level, line, over_time
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.results.definitions import amount, percent
from basis_pipeline.results.metrics import Floats


def exposure_chart(run: RunView) -> Chart:
    """Gross and net exposure, and net delta with its band and its limit."""
    unit, form = f" {run.currency}", f",.{run.digits}f"
    traces = [
        line(name, run.stamps, run.column("risk", column), colour, form=form, unit=unit)
        for name, column, colour in (
            ("gross", "gross_exposure", "series-0"),
            ("net", "net_exposure", "series-1"),
        )
    ]
    delta = 100.0 * run.column("risk", "net_delta_ratio")
    traces.append(line("net delta", run.stamps, delta, "series-2", row=2, form=".3f", unit=" %"))
    limits, keys = _around_zero(run)
    return Chart(
        key="exposure",
        title="Exposure and net delta",
        meaning=(
            "Gross: all legs in the asset, long and short; net: long less short; in "
            f"{run.currency}. Net delta over equity, with the band that sets off a rebalance and "
            f"the limit of the gate. After the trades of each mark. {HOURLY}"
        ),
        views={"": [*traces, *limits]},
        layout=over_time(
            [Row(f"Exposure, {run.currency}"), Row("Net delta, % of equity")],
            run.stamps,
            run.shades,
            run.liquidated_at,
        ),
        legend=(
            Key("gross", "series-0"),
            Key("net", "series-1"),
            Key("net delta", "series-2"),
            *keys,
            *marks_legend(run),
        ),
        height=420,
        said=f"The largest net delta is {percent(run.summary['max_abs_delta'])} of equity.",
    )


def _around_zero(run: RunView) -> tuple[list[Trace], list[Key]]:
    """The band and the limit of net delta, above and below zero, in percent."""
    traces, keys = [], []
    for name, value, colour in (
        ("band", setting(run, "rebalance.delta_band"), "warn"),
        ("gate", setting(run, "gates.max_abs_delta"), "bad"),
    ):
        if value is not None:
            both = (100.0 * value, -100.0 * value)
            traces += [level(run.stamps, edge, colour, row=2) for edge in both]
            keys.append(Key(f"{name} ±{percent(value, 1)}", colour, "dash"))
    return traces, keys


def loan_chart(run: RunView) -> Chart:
    """Loan to value with its target, health factor with its floors, distance to liquidation."""
    rows = [Row("Loan to value, %"), Row("Health factor"), Row("Distance to liquidation, %")]
    ltv, factor = 100.0 * run.column("risk", "ltv"), run.column("risk", "health_factor")
    distance = 100.0 * run.column("risk", "liquidation_distance")
    traces = [
        line("loan to value", run.stamps, _finite(ltv), "series-0", form=".2f", unit=" %"),
        line("health factor", run.stamps, _finite(factor), "series-2", row=2, form=".4f"),
        line("distance", run.stamps, _finite(distance), "series-3", row=3, unit=" %"),
    ]
    keys: list[Key] = []
    target, band = setting(run, "staking.target_ltv"), setting(run, "rebalance.ltv_band")
    if target is not None and band is not None:
        traces += [level(run.stamps, 100.0 * (target + s * band), "warn") for s in (-1, 1)]
        keys.append(Key(f"target {percent(target, 0)} ± {percent(band, 1)}", "warn", "dash"))
    gate, floor = (
        setting(run, "gates.min_health_factor"),
        setting(run, "rebalance.health_factor_floor"),
    )
    for name, value, colour in (("rebalance", floor, "warn"), ("gate", gate, "bad")):
        if value is not None:
            traces.append(level(run.stamps, value, colour, row=2))
            keys.append(Key(f"{name} below {amount(value)}", colour, "dash"))
    traces.append(level(run.stamps, 1.0, "alarm", row=2, dash="solid"))
    traces.append(level(run.stamps, 0.0, "alarm", row=3, dash="solid"))
    keys.append(Key("liquidation at 1, at a distance of 0", "alarm"))
    lowest = run.summary["min_health_factor"]
    return Chart(
        key="loan",
        title="Loan to value, health factor and distance to liquidation",
        meaning=(
            "Loan to value: debt over collateral at the redemption rate, in percent. Health "
            "factor: liquidation threshold × collateral over debt. Distance: by how much the "
            f"redemption rate may fall before the lender liquidates, in percent. {HOURLY}"
        ),
        views={"": traces},
        layout=over_time(rows, run.stamps, run.shades, run.liquidated_at),
        legend=(*keys, *marks_legend(run)),
        height=460,
        said=f"The lowest health factor is {amount(lowest, 3)}.",
    )


def margin_chart(run: RunView) -> Chart:
    """Margin ratio of every venue, with the bounds of rebalancing and the floors."""
    traces, keys = [], []
    for place, (venue, ratio) in enumerate(run.risk_by_venue("margin_ratio").items()):
        traces.append(line(venue, run.stamps, _finite(ratio), nth(place), form=".3f"))
        keys.append(Key(venue, nth(place)))
    for name, key, colour in (
        ("rebalance below", "rebalance.margin_ratio.min", "warn"),
        ("rebalance above", "rebalance.margin_ratio.max", "warn"),
        ("gate below", "gates.min_margin_ratio", "bad"),
    ):
        value = setting(run, key)
        if value is not None:
            traces.append(level(run.stamps, value, colour))
            keys.append(Key(f"{name} {amount(value)}", colour, "dash"))
    for floor in sorted(set(maintenance(run).values())):
        traces.append(level(run.stamps, floor, "alarm", dash="solid"))
        keys.append(Key(f"maintenance margin {amount(floor)}", "alarm"))
    return Chart(
        key="margin",
        title="Margin ratio by venue",
        meaning=(
            "Venue equity over the notional of its perpetual, a plain ratio, after the trades of "
            f"each mark; the venue closes the position at its maintenance margin. {HOURLY}"
        ),
        views={"": traces},
        layout=over_time([Row("Margin ratio")], run.stamps, run.shades, run.liquidated_at),
        legend=(*keys, *marks_legend(run)),
        height=420,
        said=f"The lowest margin ratio is {amount(run.summary['min_margin_ratio'], 3)}.",
    )


def basis_chart(run: RunView) -> Chart:
    """Basis by venue and the staking token's peg, whichever the run has."""
    rows, traces, keys = [], [], []
    for place, (venue, basis) in enumerate(run.risk_by_venue("basis_bp").items()):
        traces.append(line(venue, run.stamps, basis, nth(place), form=".2f", unit=" bp", width=1.0))
        keys.append(Key(venue, nth(place)))
    if traces:
        rows.append(Row("Basis, bp of spot"))
    if run.is_measured("peg_deviation"):
        rows.append(Row("Peg deviation, bp"))
        peg = 1e4 * run.column("risk", "peg_deviation")
        traces.append(line("peg", run.stamps, peg, "series-3", row=len(rows), unit=" bp"))
        keys.append(Key("market over redemption rate", "series-3"))
    return Chart(
        key="basis",
        title="Basis and peg" if len(rows) > 1 else rows[0].title.partition(",")[0],
        meaning=(
            "Basis: perpetual over spot price less one. Peg: the staking token's market over its "
            f"redemption rate less one. Both in basis points. {HOURLY}"
        ),
        views={"": traces},
        layout=over_time(rows, run.stamps, run.shades, run.liquidated_at),
        legend=(*keys, *marks_legend(run)),
        height=180 + 140 * len(rows),
        said="Basis of each venue and deviation of the staking token from its peg.",
    )


def risk_charts(run: RunView) -> list[Chart]:
    """The charts whose measures apply to the run."""
    charts = []
    if run.column("risk", "gross_exposure").any():
        charts.append(exposure_chart(run))
    if run.is_measured("ltv"):
        charts.append(loan_chart(run))
    if run.is_measured("min_margin_ratio"):
        charts.append(margin_chart(run))
    if run.risk_by_venue("basis_bp") or run.is_measured("peg_deviation"):
        charts.append(basis_chart(run))
    return charts


def setting(run: RunView, key: str) -> float | None:
    """A number of the mode's configuration; None where it has none, or none is set."""
    found: Any = run.mode_config
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) else None


def maintenance(run: RunView) -> dict[str, float]:
    """Maintenance margin ratio of every hedge venue."""
    venues = run.result.config.get("venues", {})
    hedged = run.risk_by_venue("margin_ratio")
    return {
        name: float(venue["perp_margin"]["maintenance"])
        for name, venue in venues.items()
        if name in hedged and venue.get("perp_margin")
    }


def _finite(values: Floats) -> Floats:
    """Infinite ratios (no debt, no position) are left out of the picture."""
    shown: Floats = np.where(np.isfinite(values), values, np.nan)
    return shown
