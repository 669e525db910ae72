"""Charts of risk with limits: exposure and net delta, the loan, margins, basis and peg."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from basis_pipeline.reports.chart import HOURLY, Chart, Row, level, line, over_run
from basis_pipeline.reports.plot_theme import nth
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.results.definitions import amount, percent


def risk_charts(run: RunView) -> list[Chart]:
    """Return the charts whose measures apply to the run."""
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


def exposure_chart(run: RunView) -> Chart:
    """Draw gross and net exposure, and net delta with its band and its limit."""
    money: dict[str, Any] = {"form": f",.{run.digits}f", "unit": f" {run.currency}"}
    traces = [
        line("gross", run.stamps, run.column("risk", "gross_exposure"), "series-0", **money),
        line("net", run.stamps, run.column("risk", "net_exposure"), "series-1", **money),
    ]
    delta = 100.0 * run.column("risk", "net_delta_ratio")
    traces.append(line("net delta", run.stamps, delta, "series-2", row=2, form=".3f", unit=" %"))
    bands = {"band": ("rebalance.delta_band", "warn"), "gate": ("gates.max_abs_delta", "bad")}
    for name, (key, colour) in bands.items():
        if (value := setting(run, key)) is not None:
            label = f"{name} ±{percent(value, 1)}"
            edges = (100.0 * value, -100.0 * value)
            traces += [level(label, run.stamps, edge, colour, row=2) for edge in edges]
    rows = [Row(f"Exposure, {run.currency}"), Row("Net delta, % of equity")]
    return Chart(
        "exposure",
        "Exposure and net delta",
        "Gross: all legs in the asset, long and short; net: long less short; in "
        f"{run.currency}. Net delta over equity, with the band that triggers a rebalance and "
        f"the limit of the gate. After the trades of each hour. {HOURLY}",
        over_run(run, traces, rows),
        height=440,
    )


def loan_chart(run: RunView) -> Chart:
    """Draw loan to value with its target, health factor and distance to liquidation."""
    measures: Sequence[tuple[str, str, float, str, dict[str, Any]]] = (
        ("loan to value", "ltv", 100.0, "series-0", {"unit": " %"}),
        ("health factor", "health_factor", 1.0, "series-2", {"form": ".4f"}),
        ("distance", "liquidation_distance", 100.0, "series-3", {"unit": " %"}),
    )
    traces = [
        line(name, run.stamps, scale * run.column("risk", column), colour, row=row, **options)
        for row, (name, column, scale, colour, options) in enumerate(measures, start=1)
    ]
    target, band = setting(run, "staking.target_ltv"), setting(run, "rebalance.ltv_band")
    if target is not None and band is not None:
        label = f"target {percent(target, 0)} ± {percent(band, 1)}"
        edges = (100.0 * (target + band), 100.0 * (target - band))
        traces += [level(label, run.stamps, edge, "warn") for edge in edges]
    floors = {
        "rebalance below": ("rebalance.health_factor_floor", "warn"),
        "gate below": ("gates.min_health_factor", "bad"),
    }
    traces += _floors(run, floors, row=2)
    certain = "liquidation at 1, at a distance of 0"
    traces.append(level(certain, run.stamps, 1.0, "alarm", row=2, dash="solid"))
    traces.append(level(certain, run.stamps, 0.0, "alarm", row=3, dash="solid"))
    rows = [Row("Loan to value, %"), Row("Health factor"), Row("Distance to liquidation, %")]
    return Chart(
        "loan",
        "Loan to value, health factor and distance to liquidation",
        "Loan to value: debt over collateral at the redemption rate, in percent. Health "
        "factor: liquidation threshold × collateral over debt. Distance: by how much the "
        f"redemption rate may fall before the lender liquidates, in percent. {HOURLY}",
        over_run(run, traces, rows),
        height=500,
    )


def margin_chart(run: RunView) -> Chart:
    """Draw the margin ratio of every venue, with the bounds of rebalancing and the floors."""
    ratios = run.risk_by_venue("margin_ratio")
    traces = [
        line(venue, run.stamps, ratio, nth(place), form=".3f")
        for place, (venue, ratio) in enumerate(ratios.items())
    ]
    bounds = {
        "rebalance below": ("rebalance.margin_ratio.min", "warn"),
        "rebalance above": ("rebalance.margin_ratio.max", "warn"),
        "gate below": ("gates.min_margin_ratio", "bad"),
    }
    traces += _floors(run, bounds)
    venues = run.result.config.get("venues", {})
    floors = {venues[name]["perp_margin"]["maintenance"] for name in ratios if name in venues}
    for floor in sorted(floors):
        label = f"maintenance margin {amount(floor)}"
        traces.append(level(label, run.stamps, float(floor), "alarm", dash="solid"))
    return Chart(
        "margin",
        "Margin ratio by venue",
        "Venue equity over the notional of its perpetual, a plain ratio, after the trades of "
        f"each hour; the venue closes the position at its maintenance margin. {HOURLY}",
        over_run(run, traces, [Row("Margin ratio")]),
        height=440,
    )


def basis_chart(run: RunView) -> Chart:
    """Draw basis by venue and the staking token's peg, if the run has them."""
    traces = [
        line(venue, run.stamps, basis, nth(place), unit=" bp", width=1.0)
        for place, (venue, basis) in enumerate(run.risk_by_venue("basis_bp").items())
    ]
    rows = [Row("Basis, bp of spot")] if traces else []
    if run.is_measured("peg_deviation"):
        rows.append(Row("Peg deviation, bp"))
        peg, label = 1e4 * run.column("risk", "peg_deviation"), "market over redemption rate"
        traces.append(line(label, run.stamps, peg, "series-3", row=len(rows), unit=" bp"))
    return Chart(
        "basis",
        "Basis and peg" if len(rows) > 1 else rows[0].title.partition(",")[0],
        "Basis: perpetual over spot price less one; where no spot is held, over the mean of the "
        "perpetuals weighted by their legs. Peg: the staking token's market over its "
        f"redemption rate less one. Both in basis points. {HOURLY}",
        over_run(run, traces, rows),
        height=200 + 140 * len(rows),
    )


def setting(run: RunView, key: str) -> float | None:
    """Return a number of the mode's configuration; None where it is not set."""
    value: Any = run.mode_config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _floors(run: RunView, bounds: Mapping[str, tuple[str, str]], row: int = 1) -> list[go.Scatter]:
    """Return a line at each setting that the mode has: label → its key and colour."""
    return [
        level(f"{label} {amount(value)}", run.stamps, value, colour, row)
        for label, (key, colour) in bounds.items()
        if (value := setting(run, key)) is not None
    ]
