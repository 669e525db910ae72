"""What every figure on a page is: its label, unit, sampling and meaning, and how it is written."""

import math
from dataclasses import dataclass
from typing import Literal

from basis_pipeline.results.metrics import SAMPLING

DASH = "–"
Unit = Literal["percent", "currency", "ratio", "count", "share"]
UNITS: dict[Unit, str] = {
    "percent": "percent",
    "currency": "the share class's currency",
    "ratio": "a plain ratio",
    "count": "a count",
    "share": "share of equity",
}
RUN = "over the whole run"
HOURLY = "every hourly mark, after its trades"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash where it is not defined."""
    return DASH if share is None else f"{amount(100.0 * share, digits)} %"


def amount(value: float | None, digits: int = 2) -> str:
    """A number with thousands set apart; a dash where it is not defined."""
    return DASH if value is None else f"{value:z,.{digits}f}".replace("-", "−")


def digits_of(capital: float) -> int:
    """Decimals that show a ten-millionth of the capital, and never fewer than cents."""
    return max(2, 7 - math.floor(math.log10(capital)))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run's summary.

    better: 1 where more of it is better, −1 where less is, 0 where neither can be said.
    """

    label: str
    unit: Unit
    sampling: str
    meaning: str
    better: int = 0
    digits: int = 2

    @property
    def description(self) -> str:
        """Definition, unit and sampling in one sentence each."""
        return f"{self.meaning} Unit: {UNITS[self.unit]}. Sampling: {self.sampling}."

    def written(self, value: float | None, capital: float) -> str:
        """The value as people read it."""
        match self.unit:
            case "percent":
                return percent(value, self.digits)
            case "currency":
                return amount(value, digits_of(capital))
            case "count":
                return amount(value, 0)
            case "share":
                return DASH if value is None else f"{value:.1e}"
        return amount(value, self.digits)


FIGURES: dict[str, Figure] = {
    "total_return": Figure(
        "Return",
        "percent",
        RUN,
        "Growth of one unit of capital before entry costs, time-weighted: deposits and withdrawals "
        "do not count as performance.",
        1,
    ),
    "apr": Figure("APR", "percent", RUN, "Return divided by years of 365 days.", 1),
    "apy": Figure("APY", "percent", RUN, "(1 + return)^(1 / years) − 1, years of 365 days.", 1),
    "pnl": Figure(
        "Profit and loss",
        "currency",
        RUN,
        "Change of equity less flows; the sum of the ten components.",
        1,
    ),
    "final_equity": Figure(
        "Final equity", "currency", "the last mark", "What the book is worth at its marks."
    ),
    "net_flows": Figure("Net flows", "currency", RUN, "Deposits less withdrawals."),
    "carry_per_year": Figure(
        "Carry a year",
        "percent",
        RUN,
        "Lending, borrowing, staking, rewards and funding, over average equity and years.",
        1,
    ),
    "funding_per_year": Figure(
        "Funding a year", "percent", RUN, "Funding received over average equity and years.", 1
    ),
    "cost_per_year": Figure(
        "Cost a year", "percent", RUN, "Execution and gas over average equity and years.", -1
    ),
    "volatility": Figure(
        "Volatility", "percent", SAMPLING, "Standard deviation of daily returns.", -1
    ),
    "sharpe": Figure(
        "Sharpe",
        "ratio",
        SAMPLING,
        "Mean daily return above the stated rate, over its standard deviation.",
        1,
    ),
    "sortino": Figure(
        "Sortino",
        "ratio",
        SAMPLING,
        "Mean daily return above the stated rate, over the root mean square of the negative ones.",
        1,
    ),
    "max_drawdown": Figure(
        "Max drawdown", "percent", HOURLY, "Largest loss from the running peak.", -1
    ),
    "calmar": Figure("Calmar", "ratio", RUN, "APY over maximum drawdown.", 1),
    "min_health_factor": Figure(
        "Min health factor",
        "ratio",
        HOURLY,
        "Liquidation threshold × collateral over debt; the lender liquidates below 1.",
        1,
        3,
    ),
    "min_margin_ratio": Figure(
        "Min margin ratio",
        "ratio",
        HOURLY,
        "Venue equity over the notional of its perpetual, at the worst venue.",
        1,
        3,
    ),
    "max_ltv": Figure("Max loan to value", "percent", HOURLY, "Debt over collateral.", -1),
    "max_abs_delta": Figure(
        "Max net delta", "percent", HOURLY, "Net exposure to the asset, unsigned, over equity.", -1
    ),
    "total_cost": Figure("Total cost", "currency", RUN, "Execution and gas paid.", -1),
    "turnover": Figure("Turnover", "ratio", RUN, "Notional traded over average equity.", -1),
    "trades": Figure("Trades", "count", RUN, "Trades on exchanges, spot and perpetual."),
    "rebalances": Figure("Rebalances", "count", RUN, "Marks at which the weights were restored."),
    "liquidations": Figure(
        "Liquidations", "count", RUN, "Marks at which a venue or the lender closed a position.", -1
    ),
    "max_abs_residual": Figure(
        "Largest residual",
        "share",
        HOURLY,
        "Change of equity that no component explains; at most 1e-9 is tolerated.",
        -1,
    ),
}


def figure_units(*, currency: str) -> dict[str, str]:
    """Return the unit of every figure as a summary holds it: 0.05, not 5 %."""
    units = {"percent": "share", "currency": currency}
    return {name: units.get(figure.unit, figure.unit) for name, figure in FIGURES.items()}


COMPONENT_MEANING: dict[str, str] = {
    "lending": "Interest earned on supplied tokens and collateral, as their liquidity index grows.",
    "borrowing": "Interest owed on the debt, as the borrow index grows.",
    "staking": "Growth of the staking token's redemption rate.",
    "rewards": "Reward tokens paid out, at their price when credited.",
    "funding": "Funding settled on the perpetuals held before the mark's trades.",
    "spot_price": "Price moves of what is held: spot, collateral less debt, reward tokens.",
    "perp_price": "Price moves of the perpetuals.",
    "execution_cost": "Fees and slippage of trades.",
    "gas": "Gas of transactions on chain.",
    "liquidation": "Penalties and fees of liquidations.",
    "basis": "Price moves of both legs together: spot_price + perp_price.",
    "carry": "lending + borrowing + staking + rewards + funding.",
    "costs": "execution_cost + gas + liquidation.",
}
