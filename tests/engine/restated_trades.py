"""Costs and legs of a restore (SEMANTICS 5, 6 and 8) in plain Python, for the restatement."""

from dataclasses import dataclass

from basis_pipeline.engine import model as m
from basis_pipeline.engine.model import DUST, Parameters
from tests.engine.restated_book import Book, Prices


@dataclass
class Trades:
    """The book at one hour with what changes it: prices, rules, P&L of the hour, notional."""

    b: Book
    p: Parameters
    x: Prices
    pnl: dict[str, float]
    traded: float = 0.0
    liquidations: int = 0
    total: float = 0.0  # equity after flows, before the costs of a rebalance

    def __post_init__(self) -> None:
        """Derive the hedge venues, and whether there is a carry or a hedge."""
        self.venues = range(len(self.p.hedge_weights))
        self.carries = any(self.p.carry)
        self.hedged = self.p.hedge_ratio > 0.0 or self.carries

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
        return on_chain if self.p.trades_asset else 0.0

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
        if not self.p.trades_asset:
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
        if self.p.trades_asset:
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
                b.balance[v] += self.margin_shares()[v] * b.cash
            b.cash = 0.0

    def carry_price(self) -> float:
        """5 The one price that sizes carry legs: mean of the marks, weighted by the shares."""
        sizes = [abs(c) for c in self.p.carry]
        return sum(s * m for s, m in zip(sizes, self.x.perp_mark, strict=True)) / sum(sizes)

    def target(self, v: int) -> float:
        """5 Units a venue should hold, below zero for a short."""
        if self.carries:
            return self.p.carry[v] * self.total / self.carry_price()
        return -max(self.p.hedge_ratio * self.p.hedge_weights[v] * self.b.net_asset(self.x), 0.0)

    def perp_trade(self, v: int) -> tuple[float, float]:
        """5 Signed units to be traded at a venue, and the fee; (0, 0) for dust."""
        traded, price = self.target(v) - self.b.quantity[v], self.x.perp_mark[v]
        if self.dust(traded * price):
            return 0.0, 0.0
        notional = abs(traded) * price
        return traded, notional * self.share(self.perp_leg(v), notional)

    def restore_perps(self) -> None:
        """5 Every venue's position at its target, fees from its balance."""
        b, x = self.b, self.x
        for v in self.venues:
            traded, fee = self.perp_trade(v)
            if traded == 0.0:
                continue
            held, target, price = b.quantity[v], self.target(v), x.perp_mark[v]
            if held * traded >= 0.0:  # opened or grown: the entry is weighted by size
                b.entry[v] = (abs(held) * b.entry[v] + abs(traded) * price) / abs(target)
            else:  # shrunk: what is closed is realised
                b.balance[v] += -traded * (price - b.entry[v])
            b.quantity[v] = target
            b.entry[v] = b.entry[v] if target != 0.0 else 0.0
            b.balance[v] -= fee
            self.pnl["execution_cost"] -= fee
            self.traded += abs(traded) * price

    def margin_shares(self) -> list[float]:
        """5, 6 Shares of all margin by venue: the hedge's weights, or the sizes of carry legs."""
        if not self.carries:
            return list(self.p.hedge_weights)
        return [abs(c) / sum(map(abs, self.p.carry)) for c in self.p.carry]

    def spread_margin(self) -> None:
        """6 The wallet and all margin, spread by the venue weights, a transfer for each moved."""
        b, x = self.b, self.x
        pool, shares = b.cash + sum(b.venue_equity(x, v) for v in self.venues), self.margin_shares()
        moved = 0
        for v in self.venues:
            stays = self.dust(shares[v] * pool - b.venue_equity(x, v))
            moved += 0 if stays or v == self.p.margin_at_spot_venue else 1
        self.pay_gas(moved * m.GAS_TRANSFER)
        pool -= self.gas(moved * m.GAS_TRANSFER)
        for v in self.venues:
            move = shares[v] * pool - b.venue_equity(x, v)
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
