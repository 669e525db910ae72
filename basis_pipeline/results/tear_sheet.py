"""The tear sheet of one run: a page that needs nothing beside itself."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from basis_pipeline.results.plots import attribution_plot_png, equity_plot_png
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS

PAGES = Environment(
    loader=PackageLoader("basis_pipeline.results"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
DASH = "–"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate's verdict as a page shows it: PASS, WARN, FAIL or SKIP; value and limit as text."""

    name: str
    verdict: str
    value: str = ""
    limit: str = ""
    note: str = ""


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash where it is not defined."""
    return DASH if share is None else f"{100.0 * share:.{digits}f} %"


def amount(value: float | None, digits: int = 2) -> str:
    """A number with thousands set apart; a dash where it is not defined."""
    return DASH if value is None else f"{value:,.{digits}f}"


def inline(png: bytes) -> str:
    """A PNG as base64 text, for a page or for markdown."""
    return base64.b64encode(png).decode("ascii")


def tear_sheet_html(result: RunResult, gates: Sequence[GateVerdict] = ()) -> str:
    """One page: figures, gate verdicts, equity and drawdown, attribution, months, benchmarks."""
    summary, identity, currency = result.summary, result.identity, share_class(result)
    return PAGES.get_template("tear_sheet.html.j2").render(
        mode=result.mode,
        run_id=result.run_id,
        start=f"{identity.start:%Y-%m-%d %H:%M}",
        end=f"{identity.end:%Y-%m-%d %H:%M}",
        capital=amount(identity.capital),
        currency=currency,
        figures=(_performance(summary), _risk(summary), _activity(summary)),
        sampling=summary["sampling"],
        gates=gates,
        equity_png=inline(equity_plot_png(result.frames["equity"], currency=currency)),
        attribution_png=inline(
            attribution_plot_png(result.frames["attribution"], currency=currency)
        ),
        attribution=[(name, amount(summary["attribution"][name])) for name in COMPONENTS],
        months=[_month(row) for row in summary["months"]],
        benchmarks=[_benchmark(name, row) for name, row in summary["benchmarks"].items()],
        identity=identity,
    )


def share_class(result: RunResult) -> str:
    """Currency of a run's amounts, where its configuration names one."""
    return str(result.summary.get("share_class", ""))


Row = tuple[str, str, str]


def _performance(summary: dict[str, Any]) -> list[Row]:
    return [
        ("Final equity", amount(summary["final_equity"]), ""),
        ("Net flows", amount(summary["net_flows"]), "deposits less withdrawals"),
        ("Return", percent(summary["total_return"]), "time-weighted, flows removed"),
        ("APR", percent(summary["apr"]), "return / years"),
        ("APY", percent(summary["apy"]), "(1 + return)^(1 / years) − 1"),
        ("Carry a year", percent(summary["carry_per_year"]), "share of average equity"),
        ("Funding a year", percent(summary["funding_per_year"]), "share of average equity"),
    ]


def _risk(summary: dict[str, Any]) -> list[Row]:
    rate = f"against {percent(summary['risk_free_rate'])}"
    return [
        ("Volatility", percent(summary["volatility"]), "a year"),
        ("Sharpe", amount(summary["sharpe"]), rate),
        ("Sortino", amount(summary["sortino"]), rate),
        ("Max drawdown", percent(summary["max_drawdown"]), "from the running peak, hourly"),
        ("Calmar", amount(summary["calmar"]), "APY / max drawdown"),
        ("Min health factor", amount(summary["min_health_factor"], 3), ""),
        ("Min margin ratio", amount(summary["min_margin_ratio"], 3), "venue equity / notional"),
        ("Max net delta", percent(summary["max_abs_delta"]), "share of equity"),
    ]


def _activity(summary: dict[str, Any]) -> list[Row]:
    return [
        ("Total cost", amount(summary["total_cost"]), "execution and gas"),
        ("Cost a year", percent(summary["cost_per_year"]), "share of average equity"),
        ("Turnover", f"{amount(summary['turnover'])} ×", "of average equity"),
        ("Trades", amount(summary["trades"], 0), ""),
        ("Rebalances", amount(summary["rebalances"], 0), ""),
        ("Liquidations", amount(summary["liquidations"], 0), ""),
        ("Largest residual", f"{summary['max_abs_residual']:.1e}", "share of equity"),
    ]


def _month(row: dict[str, Any]) -> dict[str, str]:
    groups = {name: amount(row[name]) for name in ("carry", "basis", "costs")}
    return {"month": row["month"], "return": percent(row["return"]), **groups}


def _benchmark(name: str, row: dict[str, float | None]) -> dict[str, str]:
    shares = ("total_return", "apy", "excess_apy", "tracking_error")
    return {
        "name": name,
        **{key: percent(row[key]) for key in shares},
        "correlation": amount(row["correlation"]),
    }
