"""The spot and perpetual basis strategy as one would write it in plain Python: floats and lists.

The engine's yardstick: the same steps in the same order for a mode that holds only spot, margin and
shorts. Reading and writing lists is the fastest plain Python there is; the arrays are made lists
before the clock starts.
"""

from dataclasses import dataclass, field

from basis_pipeline.engine import MarketArrays, Parameters

DUST = 1e-12
TRANSFER_GAS = 100e3


@dataclass(slots=True)
class Venue:
    """A margin account with a short in it."""

    weight: float
    initial: float
    maintenance: float
    liquidation_fee: float
    mark: list[float]
    extreme: list[float]
    funding_rate: list[float]
    cost_bps: list[list[float]]
    quantity: float = 0.0
    balance: float = 0.0
    entry: float = 0.0

    def equity(self, t: int) -> float:
        """Margin balance plus unrealised profit."""
        return self.balance + self.quantity * (self.mark[t] - self.entry)


@dataclass(slots=True)
class PlainBasis:
    """Spot bought with part of the equity, shorted in full, the rest as margin."""

    parameters: Parameters
    spot_price: list[float]
    spot_cost_bps: list[list[float]]
    gas_price: list[float]
    flow: list[float]
    venues: list[Venue]
    cash: float
    spot: float = 0.0
    rows: list[tuple[float, ...]] = field(default_factory=list)
    events: list[tuple[int, str, float, float, float]] = field(default_factory=list)
    costs: float = 0.0
    gas: float = 0.0

    def run(self) -> list[float]:
        """Run every mark; the equity after its trades, one an hour."""
        equities = []
        for t in range(len(self.spot_price)):
            spot_pnl, perp_pnl, funding, liquidation = self.accrue(t) if t else (0.0,) * 4
            self.costs = self.gas = 0.0
            self.cash += self.flow[t]
            total = self.equity(t)
            due = "all" if t == 0 else self.due(t, total)
            if due == "all":
                self.restore(t, total)
            elif due == "hedge":
                self.restore_hedge(t, total)
            if due:
                total = self.equity(t)
            parts = (spot_pnl, perp_pnl, funding, liquidation, self.costs, self.gas)
            held = [x for v in self.venues for x in (v.quantity, v.balance, v.entry)]
            self.rows.append((total, self.flow[t], *parts, self.cash, self.spot, *held))
            equities.append(total)
        return equities

    def accrue(self, t: int) -> tuple[float, float, float, float]:
        """Price changes, funding and liquidations since the mark before."""
        spot_pnl = self.spot * (self.spot_price[t] - self.spot_price[t - 1])
        perp_pnl = funding = liquidation = 0.0
        for venue in self.venues:
            # The high of the bar that ended came before this hour's funding.
            path = venue.quantity * (venue.extreme[t] - venue.mark[t - 1])
            fee = self.liquidate(t, venue, venue.extreme[t])
            liquidation -= fee
            perp_pnl += path if fee else venue.quantity * (venue.mark[t] - venue.mark[t - 1])
            rate = venue.funding_rate[t]
            if rate != 0.0 and venue.quantity != 0.0:
                payment = -rate * venue.quantity * venue.mark[t]
                venue.balance += payment
                funding += payment
                self.events.append((t, "funding", venue.quantity, venue.mark[t], payment))
        for venue in self.venues:
            liquidation -= self.liquidate(t, venue, venue.mark[t])
        return spot_pnl, perp_pnl, funding, liquidation

    def liquidate(self, t: int, venue: Venue, price: float) -> float:
        """Close a position that is at its maintenance margin at a price; return the fee."""
        quantity = venue.quantity
        left = venue.balance + quantity * (price - venue.entry)
        if quantity == 0.0 or left > venue.maintenance * abs(quantity) * price:
            return 0.0
        fee = venue.liquidation_fee * abs(quantity) * price
        venue.balance = left - fee
        venue.quantity = venue.entry = 0.0
        self.events.append((t, "liquidation", -quantity, price, fee))
        return fee

    def equity(self, t: int) -> float:
        """Value of everything held."""
        return self.cash + self.spot * self.spot_price[t] + sum(v.equity(t) for v in self.venues)

    def due(self, t: int, total: float) -> str:
        """What the first trigger that fires restores: all, the hedge, or nothing."""
        rules, value = self.parameters, self.spot * self.spot_price[t]
        short = 0.0
        for venue in self.venues:
            notional, margin = -venue.quantity * venue.mark[t], venue.equity(t)
            short -= venue.quantity
            if notional == 0.0 or margin < rules.margin_ratio_min * notional:
                return "all"
            if margin > rules.margin_ratio_max * notional:
                return "all"
        delta = abs(rules.hedge_ratio * self.spot - short) * self.spot_price[t]
        if delta > rules.delta_band * total:
            return "hedge" if self.hedge_fits(t) else "all"
        is_idle = self.cash > rules.idle_band * total or self.cash < -DUST * total
        has_drifted = abs(value - rules.spot_weight * total) > rules.drift_band * total
        return "all" if is_idle or has_drifted else ""

    def hedge_fits(self, t: int) -> bool:
        """Whether every venue would keep its initial margin with the hedge alone restored."""
        for venue in self.venues:
            target = max(self.parameters.hedge_ratio * venue.weight * self.spot, 0.0)
            added = (target + venue.quantity) * venue.mark[t]
            fee = abs(added) * cost_share(venue.cost_bps[t], added)
            if venue.equity(t) - fee < venue.initial * target * venue.mark[t]:
                return False
        return True

    def restore(self, t: int, total: float) -> None:
        """Trade the differences to the target weights, then spread the margin."""
        difference = self.parameters.spot_weight * total - self.spot * self.spot_price[t]
        if abs(difference) > DUST * total:
            self.trade_spot(t, difference)
        self.restore_hedge(t, total)
        self.spread_margin(t, total)

    def restore_hedge(self, t: int, total: float) -> None:
        """Bring every short to its share of the spot."""
        for venue in self.venues:
            target = max(self.parameters.hedge_ratio * venue.weight * self.spot, 0.0)
            if abs(target + venue.quantity) * venue.mark[t] > DUST * total:
                self.trade_perp(t, venue, target)

    def trade_spot(self, t: int, difference: float) -> None:
        """Buy for a positive difference, sell for a negative one."""
        price, share = self.spot_price[t], cost_share(self.spot_cost_bps[t], difference)
        quantity = difference * (1.0 - share) / price if difference > 0.0 else difference / price
        fee = abs(difference) * share
        self.spot += quantity
        self.cash -= difference if difference > 0.0 else difference + fee
        self.costs -= fee
        self.pay_gas(t, 1)
        self.events.append((t, "spot", quantity, price, fee))

    def trade_perp(self, t: int, venue: Venue, target: float) -> None:
        """Bring a short to its target, realising what is bought back."""
        price, short = venue.mark[t], -venue.quantity
        added = target - short
        fee = abs(added) * price * cost_share(venue.cost_bps[t], added * price)
        venue.balance -= fee
        self.costs -= fee
        if added > 0.0:
            venue.entry = (short * venue.entry + added * price) / target
        else:
            venue.balance += added * (price - venue.entry)
        venue.quantity = -target
        self.events.append((t, "perp", -added, price, fee))

    def spread_margin(self, t: int, total: float) -> None:
        """Spread wallet and margin by weight; a transfer costs gas except at the spot venue."""
        pool = self.cash + sum(venue.equity(t) for venue in self.venues)
        free = self.parameters.margin_at_spot_venue
        moves = [venue.weight * pool - venue.equity(t) for venue in self.venues]
        paid = sum(i != free and abs(move) > DUST * total for i, move in enumerate(moves))
        pool -= self.pay_gas(t, paid)
        for venue in self.venues:
            moved = venue.weight * pool - venue.equity(t)
            if abs(moved) > DUST * total:
                venue.balance += moved
                self.cash -= moved
                self.events.append((t, "transfer", moved, 1.0, 0.0))

    def pay_gas(self, t: int, transfers: int) -> float:
        """Pay for transfers out of the wallet."""
        cost = transfers * TRANSFER_GAS * self.gas_price[t] * self.parameters.gas_multiplier
        self.cash -= cost
        self.gas -= cost
        return cost


def cost_share(bps: list[float], notional: float) -> float:
    """Execution cost as a share of the notional, by size bucket."""
    size = abs(notional)
    return bps[0 if size <= 10e3 else 1 if size <= 100e3 else 2] * 1e-4


def plain_basis(market: MarketArrays, parameters: Parameters, capital: float) -> PlainBasis:
    """Lay a market out as lists."""
    first_perp = 2 + market.reward_price.shape[1]
    venues = [
        Venue(
            weight=float(parameters.hedge_weights[v]),
            initial=float(parameters.initial_margin[v]),
            maintenance=float(parameters.maintenance_margin[v]),
            liquidation_fee=float(parameters.liquidation_fee[v]),
            mark=market.perp_mark[:, v].tolist(),
            extreme=market.perp_extreme[:, v].tolist(),
            funding_rate=market.funding_rate[:, v].tolist(),
            cost_bps=market.cost_bps[:, first_perp + v].tolist(),
        )
        for v in range(market.perp_mark.shape[1])
    ]
    return PlainBasis(
        parameters=parameters,
        spot_price=market.spot.tolist(),
        spot_cost_bps=market.cost_bps[:, 0].tolist(),
        gas_price=market.gas_price.tolist(),
        flow=market.flow.tolist(),
        venues=venues,
        cash=capital,
    )
