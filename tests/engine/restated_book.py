"""Positions, prices and risk of SEMANTICS in plain Python: the book of the restatement."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace as Prices

from basis_pipeline.engine.model import MarketArrays, Parameters


def prices_at(market: MarketArrays, t: int) -> Prices:
    """Return the rows of hour t by name, as plain floats and lists."""
    return Prices(**{name: values[t].tolist() for name, values in market._asdict().items()})


def plain(parameters: Parameters) -> Parameters:
    """Return the parameters with lists for arrays."""
    return Parameters(*(list(map(float, p)) if hasattr(p, "__len__") else p for p in parameters))


@dataclass
class Book:
    """2 Positions: wallet, scaled balances, perpetuals by venue, reward tokens held and pending."""

    quantity: list[float]
    balance: list[float]
    entry: list[float]
    tokens: list[float]
    pending: list[dict[int, float]]
    cash: float = 0.0
    supply: float = 0.0
    spot: float = 0.0
    staked: float = 0.0
    debt: float = 0.0
    approved: bool = False

    def copy(self) -> "Book":
        """Copy the book; pending rewards are shared, as no rebalance touches them."""
        lists = ("quantity", "balance", "entry", "tokens")
        return replace(self, **{name: list(getattr(self, name)) for name in lists})

    def supplied(self, x: Prices) -> float:
        """2 What the scaled supply is worth."""
        return self.supply * x.lending_index

    def collateral(self, x: Prices) -> float:
        """3 Collateral in ETH at the redemption rate."""
        return self.staked * x.collateral_index * x.oracle_rate

    def owed(self, x: Prices) -> float:
        """3 Debt in ETH."""
        return self.debt * x.borrow_index

    def net_asset(self, x: Prices) -> float:
        """5 Units of the asset that a hedge is for, at the redemption rate."""
        return self.spot + self.collateral(x) - self.owed(x)

    def valued_staking(self, x: Prices) -> float:
        """3 The staking position in ETH, its LST valued as holdings are, less the debt."""
        return self.collateral(x) * x.lst_mark / x.oracle_rate - self.owed(x)

    def venue_equity(self, x: Prices, v: int) -> float:
        """2 Margin balance and unrealised P&L of a venue."""
        return self.balance[v] + self.quantity[v] * (x.perp_mark[v] - self.entry[v])

    def margin_ratio(self, x: Prices, v: int) -> float:
        """6 Venue equity over notional."""
        return self.venue_equity(x, v) / (abs(self.quantity[v]) * x.perp_mark[v])

    def token_values(self, x: Prices) -> list[float]:
        """3 Values of reward tokens; one that is not held has no need of a price."""
        return [
            n * price if n != 0.0 else 0.0
            for n, price in zip(self.tokens, x.reward_price, strict=True)
        ]

    def sleeves(self, x: Prices) -> list[float]:
        """5 Values of the lending, spot and staking sleeves."""
        return [self.supplied(x), self.spot * x.spot, self.valued_staking(x) * x.spot]

    def equity(self, x: Prices) -> float:
        """2 Everything at its mark."""
        venues = sum(self.venue_equity(x, v) for v in range(len(self.quantity)))
        return self.cash + sum(self.sleeves(x)) + venues + sum(self.token_values(x))


class Risk:
    """10 The worst margin ratio, LTV and delta of all that is measured."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.margin_ratio, self.ltv, self.delta = math.inf, math.nan, 0.0

    def measure(self, b: Book, x: Prices, p: Parameters) -> None:
        """10 One measurement, before or after trades."""
        for v, quantity in enumerate(b.quantity):
            if quantity != 0.0:
                self.margin_ratio = min(self.margin_ratio, b.margin_ratio(x, v))
        if b.owed(x) > 0.0:
            ltv = b.owed(x) / b.collateral(x) if b.collateral(x) > 0.0 else math.inf
            self.ltv = ltv if math.isnan(self.ltv) else max(self.ltv, ltv)
        equity = b.equity(x)
        if p.trades_asset and equity != 0.0:
            delta = (b.net_asset(x) + sum(b.quantity)) * x.spot / equity
            self.delta = max(self.delta, abs(delta))
