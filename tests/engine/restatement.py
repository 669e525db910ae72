"""SEMANTICS restated in plain Python, from the contract alone: the oracle of the fuzz tests.

Nothing here comes from the engine but its data interface. Slow and literal on purpose; sections
named in docstrings are those of SEMANTICS. Costs are positive while computed, negative in P&L.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from basis_pipeline.engine import model as m
from basis_pipeline.engine.model import COMPONENTS, DUST, MarketArrays, Parameters
from tests.engine.restated_book import Book, Prices, Risk, plain, prices_at
from tests.engine.restated_trades import Trades


@dataclass
class Restated:
    """What a run comes to: lists over the hours, then figures of the whole run."""

    equity: list[float] = field(default_factory=list)
    equity_before: list[float] = field(default_factory=list)  # before liquidation, flow, trades
    pnl: dict[str, list[float]] = field(default_factory=lambda: {c: [] for c in COMPONENTS})
    min_margin_ratio: float = math.inf  # infinite when never a perpetual
    min_health_factor: float = math.nan
    max_abs_delta: float = 0.0
    liquidations: int = 0
    rebalances: dict[str, int] = field(default_factory=dict)  # by what set them off
    skipped: int = 0
    turnover: float = 0.0
    exit_cost: float = 0.0
    closed_equity: float = 0.0


class Desk(Trades):
    """The book at one hour: what happens to it, and what it does about it."""

    # 1 to 5: what happens to the book.

    def test_extremes(self, old: Prices, risk: Risk) -> None:
        """7 Perpetuals at the adverse extreme of the bar that ended now, on the book of t-1."""
        b = self.b
        for v in self.venues:
            quantity, price = b.quantity[v], self.x.perp_extreme[v]
            if self.p.liquidates_at_extreme and quantity != 0.0:
                equity = b.balance[v] + quantity * (price - b.entry[v])
                risk.margin_ratio = min(risk.margin_ratio, equity / (abs(quantity) * price))
                if equity <= self.p.maintenance_margin[v] * abs(quantity) * price:
                    self.pnl["perp_price"] += quantity * (price - old.perp_mark[v])
                    self.close_out(v, price)

    def close_out(self, v: int, price: float) -> None:
        """7 The venue closes a position at a price and takes its fee; the rest stays."""
        b, quantity = self.b, self.b.quantity[v]
        fee = self.p.liquidation_fee[v] * abs(quantity) * price
        b.balance[v] += quantity * (price - b.entry[v]) - fee
        b.quantity[v] = b.entry[v] = 0.0
        self.pnl["liquidation"] -= fee
        self.liquidations += 1

    def accrue(self, old: Prices) -> None:
        """3, 9 Changes of value, factor by factor: indices, redemption, prices."""
        b, x, pnl = self.b, self.x, self.pnl
        pnl["lending"] += b.supply * (x.lending_index - old.lending_index)
        grown = x.collateral_index - old.collateral_index
        pnl["lending"] += b.staked * grown * old.lst_mark * old.spot
        pnl["borrowing"] -= b.debt * (x.borrow_index - old.borrow_index) * old.spot
        pnl["staking"] += b.staked * x.collateral_index * (x.lst_mark - old.lst_mark) * old.spot
        for n, price, price_old in zip(b.tokens, x.reward_price, old.reward_price, strict=True):
            pnl["rewards"] += n * (price - price_old) if n != 0.0 else 0.0
        asset = b.spot + b.staked * x.collateral_index * x.lst_mark - b.owed(x)
        pnl["spot_price"] += asset * (x.spot - old.spot)
        for v in self.venues:
            pnl["perp_price"] += b.quantity[v] * (x.perp_mark[v] - old.perp_mark[v])

    def settle_funding(self) -> None:
        """3 Funding on what was held, at this hour's price; a short receives a positive rate."""
        for v in self.venues:
            if self.b.quantity[v] != 0.0:
                paid = -self.b.quantity[v] * self.x.funding_rate[v] * self.x.perp_mark[v]
                self.b.balance[v] += paid
                self.pnl["funding"] += paid

    def credit_rewards(self) -> None:
        """3 Earn on the staked ETH over the hour, then credit what is paid at it."""
        b, x = self.b, self.x
        for r, pending in enumerate(b.pending):
            earned = x.reward_tokens_per_unit[r] * b.collateral(x)
            slot, paid_slot = x.reward_slot[r], x.reward_payout[r]
            pending[slot] = pending.get(slot, 0.0) + earned
            paid = pending.pop(paid_slot, 0.0) if paid_slot >= 0 else 0.0
            if paid != 0.0:
                b.tokens[r] += paid
                self.pnl["rewards"] += paid * x.reward_price[r]

    def liquidate(self) -> None:
        """7 Perpetuals at the mark, the loan at the oracle."""
        b, x, p = self.b, self.x, self.p
        for v in self.venues:
            notional = abs(b.quantity[v]) * x.perp_mark[v]
            if notional > 0.0 and b.venue_equity(x, v) <= p.maintenance_margin[v] * notional:
                self.close_out(v, x.perp_mark[v])
        collateral, debt = b.collateral(x), b.owed(x)
        if debt > 0.0 and collateral > 0.0 and p.liquidation_threshold * collateral / debt < 1.0:
            whole = p.liquidation_threshold * collateral / debt < 0.95
            repaid = debt if whole else debt / 2.0
            most = collateral / (1.0 + p.liquidation_bonus)
            takes_all = repaid >= most
            repaid = min(repaid, most)
            seized = collateral if takes_all else repaid * (1.0 + p.liquidation_bonus)
            b.staked = 0.0 if takes_all else b.staked - seized / x.collateral_index / x.oracle_rate
            b.debt = 0.0 if repaid == debt else b.debt - repaid / x.borrow_index
            self.pnl["liquidation"] += (repaid - seized / x.oracle_rate * x.lst_mark) * x.spot
            self.liquidations += 1

    # 6: what sets a rebalance off.

    def margin_is_outside(self) -> bool:
        """6 A venue out of its band, or without the position it should have."""
        b, x, p = self.b, self.x, self.p
        for v in self.venues:
            if b.quantity[v] != 0.0:
                if not p.margin_ratio_min <= b.margin_ratio(x, v) <= p.margin_ratio_max:
                    return True
                continue
            hedges = p.hedge_ratio * p.hedge_weights[v] > 0.0
            if p.carry[v] != 0.0 or (hedges and b.spot + b.valued_staking(x) > 0.0):
                return True
        return False

    def hedge_fits(self) -> bool:
        """6 Whether every venue that would trade keeps its initial margin."""
        for v in self.venues:
            traded, fee = self.perp_trade(v)
            needed = self.p.initial_margin[v] * abs(self.target(v)) * self.x.perp_mark[v]
            if traded != 0.0 and self.b.venue_equity(self.x, v) - fee < needed:
                return False
        return True

    def sellable_rewards(self) -> list[int]:
        """6 Reward tokens worth selling."""
        floor = max(100.0 * self.gas(m.GAS_REWARD_SALE), 0.002 * self.total)
        return [r for r, value in enumerate(self.b.token_values(self.x)) if value > floor]

    def sell_rewards(self) -> None:
        """6 Sell them into the wallet; nothing else."""
        b = self.b
        for r in self.sellable_rewards():
            value = b.token_values(self.x)[r]
            fee = value * self.share(2 + r, value)
            b.tokens[r] = 0.0
            b.cash += value - fee
            self.pnl["execution_cost"] -= fee
            self.traded += value
            self.pay_gas(m.GAS_REWARD_SALE)

    def trigger(self) -> tuple[str, Any]:
        """6 The first trigger that fires and what it restores; no name when none does."""
        b, x, p, total = self.b, self.x, self.p, self.total
        collateral, debt = b.collateral(x), b.owed(x)
        weights = [p.lending_weight, p.spot_weight, p.staking_weight]
        wanted = 0.0 if self.hedged else (1.0 - sum(weights)) * total
        drift = max(abs(value - w * total) for value, w in zip(b.sleeves(x), weights, strict=True))
        if self.carries:
            legs = zip(b.quantity, p.carry, strict=True)
            drift = max(drift, *(abs(q * self.carry_price() - c * total) for q, c in legs))
        if self.margin_is_outside():
            return "margin_ratio", self.restore_everything
        if p.target_ltv > 0.0:
            if p.liquidation_threshold * collateral < p.health_factor_floor * debt:
                return "health_factor", self.restore_loan
            if abs(debt - p.target_ltv * collateral) > p.ltv_band * collateral:
                return "ltv", self.restore_loan
        price = self.carry_price() if self.carries else x.spot
        if abs(p.hedge_ratio * b.net_asset(x) + sum(b.quantity)) * price > p.delta_band * total:
            return "delta", self.restore_perps if self.hedge_fits() else self.restore_everything
        if b.cash - wanted > p.idle_band * total:
            return "idle_cash", self.restore_everything
        if b.cash < -DUST * total:
            return "cash_shortfall", self.restore_everything
        if drift > p.drift_band * total:
            return "drift", self.restore_everything
        return ("rewards", self.sell_rewards) if self.sellable_rewards() else ("", None)

    # 11: what closing would cost.

    def exit_cost(self) -> float:
        """11 Costs and gas of closing everything at this hour."""
        b, x, p = self.b, self.x, self.p
        collateral, debt = b.collateral(x), b.owed(x)
        cost = self.gas(m.GAS_WITHDRAW) if b.supply > 0.0 else 0.0
        if collateral > 0.0 or debt > 0.0:
            rate = x.market_rate / x.oracle_rate if p.costs_enabled else 1.0
            sale_rate = rate * (1.0 - self.share(1, collateral * x.spot))
            cost += collateral * (x.lst_mark / x.oracle_rate - sale_rate) * x.spot
            cost += debt * p.flash_fee * x.spot
            two = m.GAS_ATOMIC_DELEVERAGE_TWO_SWAPS if p.swaps_on_chain else m.GAS_ATOMIC_DELEVERAGE
            cost += self.gas(two if debt > 0.0 else m.GAS_SWAP)
        asset = b.net_asset(x) * x.spot
        if p.trades_asset and asset > 0.0:
            cost += asset * self.share(0, asset) + self.gas(self.spot_gas_units())
        for r, value in enumerate(b.token_values(x)):
            cost += min(value, value * self.share(2 + r, value) + self.gas(m.GAS_REWARD_SALE))
        for v in self.venues:
            notional = abs(b.quantity[v]) * x.perp_mark[v]
            cost += notional * self.share(self.perp_leg(v), notional)
            transfers = b.balance[v] != 0.0 and v != p.margin_at_spot_venue
            cost += self.gas(m.GAS_TRANSFER) if transfers else 0.0
        return cost


def rebalance(desk: Desk, out: Restated, skipped_before: bool) -> bool:
    """6 One rebalance if a trigger fires, undone if dearer than what it leaves; whether undone."""
    reason, restore = desk.trigger()
    if not reason:
        return False
    book, pnl, traded = desk.b.copy(), dict(desk.pnl), desk.traded
    restore()
    cost = sum(pnl[name] - desk.pnl[name] for name in ("execution_cost", "gas"))
    if cost > desk.b.equity(desk.x):
        desk.b, desk.pnl, desk.traded = book, pnl, traded
        out.skipped += 0 if skipped_before else 1
        return True
    if desk.traded == traded and cost == 0.0 and desk.b == book:
        # Nothing could be traded: it is no rebalance, and must not keep rewards from being sold.
        desk.b, desk.pnl = book, pnl
        if not desk.sellable_rewards():
            return False
        desk.sell_rewards()
        reason = "rewards"
    out.rebalances[reason] = out.rebalances.get(reason, 0) + 1
    return False


def restate(market: MarketArrays, parameters: Parameters, capital: float) -> Restated:
    """4 The order of events, hour by hour."""
    venues, tokens = market.perp_mark.shape[1], market.reward_price.shape[1]
    none = [0.0] * venues
    book = Book(none[:], none[:], none[:], [0.0] * tokens, [{} for _ in range(tokens)], capital)
    out, risk, skipped, parameters = Restated(), Risk(), False, plain(parameters)
    old = prices_at(market, 0)
    for t in range(len(market.spot)):
        x = prices_at(market, t)
        desk = Desk(book, parameters, x, dict.fromkeys(COMPONENTS, 0.0))
        if t > 0:
            desk.test_extremes(old, risk)
            desk.accrue(old)
            desk.settle_funding()
            desk.credit_rewards()
        out.equity_before.append(book.equity(x))
        risk.measure(book, x, parameters)
        desk.liquidate()
        book.cash += x.flow
        desk.total = book.equity(x)
        if t == 0 and desk.total > 0.0:
            desk.restore_everything()
        elif t > 0 and parameters.rebalance_enabled and desk.total > 0.0:
            skipped = rebalance(desk, out, skipped)
        else:
            skipped = False
        book, old = desk.b, x
        risk.measure(book, x, parameters)
        out.equity.append(book.equity(x))
        for name in COMPONENTS:
            out.pnl[name].append(desk.pnl[name])
        out.turnover += desk.traded
        out.liquidations += desk.liquidations
        out.exit_cost = desk.exit_cost()
    out.closed_equity = out.equity[-1] - out.exit_cost
    out.min_margin_ratio, out.max_abs_delta = risk.margin_ratio, risk.delta
    out.min_health_factor = parameters.liquidation_threshold / risk.ltv
    return out
