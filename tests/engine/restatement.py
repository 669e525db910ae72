"""SEMANTICS restated in plain Python, from the contract alone: the oracle of the fuzz tests.

Nothing here comes from the engine but its data interface. Slow and literal on purpose; sections
named in docstrings are those of SEMANTICS. Costs are positive while computed, negative in P&L.
"""

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace as Prices
from typing import Any

from basis_pipeline.engine import model as m
from basis_pipeline.engine.model import COMPONENTS, DUST, MarketArrays, Parameters


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


def prices_at(market: MarketArrays, t: int) -> Prices:
    """The rows of hour t under their names, as plain floats and lists."""
    return Prices(**{name: values[t].tolist() for name, values in market._asdict().items()})


def plain(parameters: Parameters) -> Parameters:
    """The parameters with lists for arrays."""
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
        """The book as it stands; no rebalance touches what is pending."""
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
        if p.buys_asset and equity != 0.0:
            delta = (b.net_asset(x) + sum(b.quantity)) * x.spot / equity
            self.delta = max(self.delta, abs(delta))


@dataclass
class Desk:
    """The book at one hour with what changes it: prices, rules, P&L of the hour, notional."""

    b: Book
    p: Parameters
    x: Prices
    pnl: dict[str, float]
    traded: float = 0.0
    liquidations: int = 0
    total: float = 0.0  # equity after flows, before the costs of a rebalance

    def __post_init__(self) -> None:
        """The hedge venues."""
        self.venues = range(len(self.p.hedge_weights))
        self.hedged = self.p.hedge_ratio > 0.0

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

    # 8: costs.

    def share(self, leg: int, notional: float) -> float:
        """8 Execution cost of a leg as a share of notional, by its size in USD."""
        size = abs(notional) * self.x.numeraire_usd
        return self.x.cost_bps[leg][0 if size <= 10e3 else 1 if size <= 100e3 else 2] * 1e-4

    def perp_leg(self, v: int) -> int:
        """Perpetuals' legs stand after spot, LST and the reward tokens."""
        return 2 + len(self.b.tokens) + v

    def gas(self, units: float) -> float:
        """8 What an operation's gas costs."""
        return units * self.x.gas_price * self.p.gas_multiplier

    def pay_gas(self, units: float) -> None:
        """8 Gas comes from the wallet."""
        self.b.cash -= self.gas(units)
        self.pnl["gas"] -= self.gas(units)

    def spot_gas_units(self) -> float:
        """8 Gas of a trade at the spot venue."""
        on_chain = m.GAS_SWAP if self.p.swaps_on_chain else m.GAS_TRANSFER
        return on_chain if self.p.buys_asset else 0.0

    def dust(self, value: float) -> bool:
        """Whether a difference is rounding and no trade."""
        return abs(value) <= DUST * self.total

    # 5, 6: the legs of a restore.

    def affordable(self, difference: float, units: float) -> float:
        """6 Hedged: the whole difference. Unhedged: what the wallet holds after the leg's gas."""
        return difference if self.hedged else min(difference, self.b.cash - self.gas(units))

    def restore_lending(self) -> None:
        """5 Supply or withdraw the share-class token."""
        b, x = self.b, self.x
        difference = self.p.lending_weight * self.total - b.supplied(x)
        if self.dust(difference):
            return
        units = m.GAS_WITHDRAW
        if difference > 0.0:
            units = m.GAS_SUPPLY + (0.0 if b.approved else m.GAS_APPROVAL)
        amount = self.affordable(difference, units)
        if difference > 0.0 and amount <= 0.0:
            return
        everything = amount <= -b.supplied(x)
        amount = max(amount, -b.supplied(x))
        self.pay_gas(units)
        b.approved = b.approved or difference > 0.0
        b.supply = 0.0 if everything else b.supply + amount / x.lending_index
        b.cash -= amount
        self.traded += abs(amount)

    def buy_spot(self, value: float) -> float:
        """5 Buy the asset for a value, its fee taken out of the quantity; the units bought."""
        if not self.p.buys_asset:
            self.b.cash -= value
            return value / self.x.spot
        fee = value * self.share(0, value)
        self.pay_gas(self.spot_gas_units())
        self.b.cash -= value
        self.pnl["execution_cost"] -= fee
        self.traded += value - fee
        return (value - fee) / self.x.spot

    def sell_spot(self, value: float) -> None:
        """6 Sell a value of the asset; what is left of it after the fee comes to the wallet."""
        if self.p.buys_asset:
            fee = value * self.share(0, value)
            self.pay_gas(self.spot_gas_units())
            self.b.cash -= fee
            self.pnl["execution_cost"] -= fee
            self.traded += value
        self.b.cash += value

    def restore_spot(self) -> None:
        """5, 6 Spot at its weight."""
        b, x = self.b, self.x
        difference = self.p.spot_weight * self.total - b.spot * x.spot
        amount = self.affordable(difference, self.spot_gas_units())
        if self.dust(difference) or (difference > 0.0 and amount <= 0.0):
            return
        if amount > 0.0:
            b.spot += self.buy_spot(amount)
        elif b.spot > 0.0:
            value = min(-amount, b.spot * x.spot)
            b.spot = b.spot - value / x.spot if value < b.spot * x.spot else 0.0
            self.sell_spot(value)

    def position_terms(self, difference: float) -> tuple[float, float, bool]:
        """8 Sale rate and gas units of a change of the position, whether it stakes: roughly."""
        b, x, p = self.b, self.x, self.p
        rate = x.market_rate / x.oracle_rate if p.costs_enabled else 1.0
        rough, _ = solve(difference / x.spot, b.collateral(x), b.owed(x), p, rate)
        notional = abs(rough) * (1.0 if rough >= 0.0 else rate) * x.spot
        sale_rate = rate * (1.0 - self.share(1, notional))
        if p.target_ltv <= 0.0:
            units = m.GAS_STAKE if rough >= 0.0 else m.GAS_SWAP
        elif rough >= 0.0:
            units = m.GAS_ATOMIC_ENTRY + (0.0 if b.approved else m.GAS_APPROVAL + m.GAS_EMODE)
        else:
            two = difference < 0.0 and p.swaps_on_chain
            units = m.GAS_ATOMIC_DELEVERAGE_TWO_SWAPS if two else m.GAS_ATOMIC_DELEVERAGE
        return sale_rate, units, rough >= 0.0

    def change_position(
        self, eth: float, bought: float, sale_rate: float, units: float, stakes: bool
    ) -> None:
        """5 Stake or sell, borrow or repay, so that eth goes in and the LTV is on target."""
        b, x, fee = self.b, self.x, self.p.flash_fee
        collateral, debt = b.collateral(x), b.owed(x)
        staked, borrowed = solve(eth, collateral, debt, self.p, sale_rate)
        paid_rate = 1.0 if staked >= 0.0 else sale_rate
        flash = 1.0 / (1.0 + fee) if borrowed >= 0.0 else 1.0 + fee
        if staked != 0.0 or borrowed != 0.0:
            self.pay_gas(units)
            b.approved = b.approved or stakes
            scaled = staked / x.collateral_index / x.oracle_rate
            b.staked = 0.0 if staked == -collateral else b.staked + scaled
            b.debt = 0.0 if borrowed == -debt else b.debt + borrowed / x.borrow_index
            cost = staked * (paid_rate - x.lst_mark / x.oracle_rate) * x.spot
            cost += fee * abs(borrowed) * x.spot / (1.0 + fee if borrowed >= 0.0 else 1.0)
            self.pnl["execution_cost"] -= cost
            self.traded += (abs(staked) * paid_rate + abs(borrowed)) * x.spot
        free = (bought - staked * paid_rate + borrowed * flash) * x.spot
        if free > DUST * self.total:
            self.sell_spot(free)
        else:
            b.cash += free

    def restore_staking(self) -> None:
        """5, 6 The staking position at its weight and its LTV on target."""
        b, x, ltv = self.b, self.x, self.p.target_ltv
        difference = self.p.staking_weight * self.total - b.valued_staking(x) * x.spot
        if self.dust(difference):
            return
        sale_rate, units, stakes = self.position_terms(difference)
        spot_units = self.spot_gas_units() if difference > 0.0 else 0.0
        amount = self.affordable(difference, units + spot_units)
        on_target = self.dust((b.owed(x) - ltv * b.collateral(x)) * x.spot)
        if difference > 0.0 and amount <= 0.0 and on_target:
            return
        bought, eth = 0.0, amount / x.spot
        if difference > 0.0 and amount > 0.0:
            bought = eth = self.buy_spot(amount)
        elif self.hedged:
            eth *= max(sale_rate - ltv * (1.0 + self.p.flash_fee), 0.0) / (1.0 - ltv)
        self.change_position(eth, bought, sale_rate, units, stakes)

    def restore_loan(self) -> None:
        """6 The LTV on target with the net asset unchanged; what the wallet lacks is found."""
        b, x = self.b, self.x
        sale_rate, units, stakes = self.position_terms(0.0)
        eth = 0.0 if self.hedged else min(b.cash - self.gas(units), 0.0) / x.spot
        self.change_position(eth, 0.0, sale_rate, units, stakes)
        if self.hedged and b.cash < 0.0:
            for v in self.venues:
                b.balance[v] += self.p.hedge_weights[v] * b.cash
            b.cash = 0.0

    def target_short(self, v: int) -> float:
        """5 Units a venue should be short of."""
        return max(self.p.hedge_ratio * self.p.hedge_weights[v] * self.b.net_asset(self.x), 0.0)

    def perp_trade(self, v: int) -> tuple[float, float]:
        """5 Units to be added to a venue's short, and the fee; (0, 0) for dust."""
        added, price = self.target_short(v) + self.b.quantity[v], self.x.perp_mark[v]
        if self.dust(added * price):
            return 0.0, 0.0
        notional = abs(added) * price
        return added, notional * self.share(self.perp_leg(v), notional)

    def restore_perps(self) -> None:
        """5 Every venue's short at its target, fees from its balance."""
        b, x = self.b, self.x
        for v in self.venues:
            added, fee = self.perp_trade(v)
            short, target, price = -b.quantity[v], self.target_short(v), x.perp_mark[v]
            if added > 0.0:
                b.entry[v] = (short * b.entry[v] + added * price) / target
            elif added < 0.0:
                b.balance[v] += -added * (b.entry[v] - price)
            if added != 0.0:
                b.quantity[v] = -target
                b.entry[v] = b.entry[v] if target > 0.0 else 0.0
                b.balance[v] -= fee
                self.pnl["execution_cost"] -= fee
                self.traded += abs(added) * price

    def spread_margin(self) -> None:
        """6 The wallet and all margin, spread by the venue weights, a transfer for each moved."""
        b, x = self.b, self.x
        pool = b.cash + sum(b.venue_equity(x, v) for v in self.venues)
        moved = 0
        for v in self.venues:
            stays = self.dust(self.p.hedge_weights[v] * pool - b.venue_equity(x, v))
            moved += 0 if stays or v == self.p.margin_at_spot_venue else 1
        self.pay_gas(moved * m.GAS_TRANSFER)
        pool -= self.gas(moved * m.GAS_TRANSFER)
        for v in self.venues:
            move = self.p.hedge_weights[v] * pool - b.venue_equity(x, v)
            b.balance[v] += move
            b.cash -= move

    def restore_everything(self) -> None:
        """6 Sleeves, hedge and margin."""
        if self.p.lending_weight > 0.0:
            self.restore_lending()
        if self.p.spot_weight > 0.0:
            self.restore_spot()
        if self.p.staking_weight > 0.0:
            self.restore_staking()
        if self.hedged:
            self.restore_perps()
            self.spread_margin()

    # 6: what sets a rebalance off.

    def margin_is_outside(self) -> bool:
        """6 A venue out of its band, or without the position it should have."""
        b, x, p = self.b, self.x, self.p
        for v in self.venues:
            if b.quantity[v] != 0.0:
                if not p.margin_ratio_min <= b.margin_ratio(x, v) <= p.margin_ratio_max:
                    return True
            elif (
                p.hedge_ratio * self.p.hedge_weights[v] > 0.0 and b.spot + b.valued_staking(x) > 0.0
            ):
                return True
        return False

    def hedge_fits(self) -> bool:
        """6 Whether every venue that would trade keeps its initial margin."""
        for v in self.venues:
            added, fee = self.perp_trade(v)
            needed = self.p.initial_margin[v] * self.target_short(v) * self.x.perp_mark[v]
            if added != 0.0 and self.b.venue_equity(self.x, v) - fee < needed:
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
        if self.margin_is_outside():
            return "margin_ratio", self.restore_everything
        if p.target_ltv > 0.0:
            if p.liquidation_threshold * collateral < p.health_factor_floor * debt:
                return "health_factor", self.restore_loan
            if abs(debt - p.target_ltv * collateral) > p.ltv_band * collateral:
                return "ltv", self.restore_loan
        if abs(p.hedge_ratio * b.net_asset(x) + sum(b.quantity)) * x.spot > p.delta_band * total:
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
        if p.buys_asset and asset > 0.0:
            cost += asset * self.share(0, asset) + self.gas(self.spot_gas_units())
        for r, value in enumerate(b.token_values(x)):
            cost += min(value, value * self.share(2 + r, value) + self.gas(m.GAS_REWARD_SALE))
        for v in self.venues:
            notional = abs(b.quantity[v]) * x.perp_mark[v]
            cost += notional * self.share(self.perp_leg(v), notional)
            transfers = b.balance[v] != 0.0 and v != p.margin_at_spot_venue
            cost += self.gas(m.GAS_TRANSFER) if transfers else 0.0
        return cost


def solve(
    eth: float, collateral: float, debt: float, p: Parameters, sale_rate: float
) -> tuple[float, float]:
    """5 ETH staked and borrowed (sold and repaid below 0) so that eth goes in, LTV on target."""
    ltv, fee = p.target_ltv, p.flash_fee
    for stakes, borrows in ((True, True), (True, False), (False, True), (False, False)):
        a = 1.0 if stakes else sale_rate
        b = 1.0 / (1.0 + fee) if borrows else 1.0 + fee
        if a - b * ltv <= 1e-9:
            continue
        staked = (eth + b * (ltv * collateral - debt)) / (a - b * ltv)
        borrowed = ltv * (collateral + staked) - debt
        if (staked >= 0.0) == stakes and (borrowed >= 0.0) == borrows:
            return (-collateral, -debt) if staked < -collateral else (staked, borrowed)
    return max(eth, 0.0), 0.0


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
