"""The legs of a rebalance: lending, spot, perpetuals and their margin, rewards (SEMANTICS 5 to 8).

Each leg trades the difference to its target and pays its own costs. A hedged mode pays from its
margin, which is spread again at the end; any other mode can spend only what its wallet holds, so
its gas comes out of the amount it moves.
"""

from basis_pipeline.engine.accounting import (
    Valuation,
    collateral_eth,
    debt_eth,
    is_hedged,
    venue_equity,
)
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import cost_share, gas_cost, pay_gas, record, record_trade
from basis_pipeline.engine.model import (
    DUST,
    GAS_APPROVAL,
    GAS_REWARD_SALE,
    GAS_SUPPLY,
    GAS_SWAP,
    GAS_TRANSFER,
    GAS_WITHDRAW,
    LEG_LENDING,
    LEG_REWARD,
    LEG_SPOT,
    Book,
    EventKind,
    Reason,
    Record,
    Records,
)


@compiled
def movable(book: Book, parameters: Record, difference: float, gas: float) -> float:
    """Return how much of a leg's difference can be moved, given the gas of its transaction."""
    if is_hedged(parameters):
        return difference
    return min(difference, book.holdings.cash - gas)


@hot
def restore_lending(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Supply or withdraw the difference to `lending_weight x equity`."""
    index = hours.asset[t].lending_index
    difference = parameters.lending_weight * total - book.holdings.supply * index
    if abs(difference) <= DUST * total:
        return
    supplies = difference > 0.0
    units = GAS_SUPPLY if supplies else GAS_WITHDRAW
    if supplies and not book.holdings.approved:
        units += GAS_APPROVAL
    gas = gas_cost(hours, parameters, t, units)
    amount = movable(book, parameters, difference, gas)
    if supplies and amount <= 0.0:
        return
    amount = max(amount, -book.holdings.supply * index)
    book.holdings.approved = True
    book.holdings.supply += amount / index
    book.holdings.cash -= amount
    pay_gas(book, row, gas)
    kind = EventKind.SUPPLY if supplies else EventKind.WITHDRAW
    record(book, t, kind, LEG_LENDING, amount, 1.0, abs(amount), 0.0, gas, reason)


@compiled
def spot_gas(hours: HourCoefficients, parameters: Record, t: int) -> float:
    """Return the gas of a spot trade: a swap on chain, or a transfer to or from the exchange."""
    if not parameters.trades_asset:
        return 0.0
    units = GAS_SWAP if parameters.swaps_on_chain else GAS_TRANSFER
    return gas_cost(hours, parameters, t, units)


@compiled
def buy_asset(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    amount: float,
    reason: Reason,
    row: Record,
) -> float:
    """Spend `amount` of the numeraire at the spot venue; return the units of the asset received."""
    book.holdings.cash -= amount
    if not parameters.trades_asset:
        return amount
    price = hours.asset[t].spot
    share = cost_share(hours, t, LEG_SPOT, amount)
    quantity = amount * (1.0 - share) / price
    gas = spot_gas(hours, parameters, t)
    record_trade(book, hours, t, LEG_SPOT, quantity, price, amount * share, gas, reason, row)
    return quantity


@compiled
def sell_asset(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    quantity: float,
    reason: Reason,
    row: Record,
) -> None:
    """Sell `quantity` units of the asset at the spot venue into the wallet."""
    price = hours.asset[t].spot
    notional = quantity * price
    if not parameters.trades_asset:
        book.holdings.cash += notional
        return
    fee = notional * cost_share(hours, t, LEG_SPOT, notional)
    book.holdings.cash += notional - fee
    gas = spot_gas(hours, parameters, t)
    record_trade(book, hours, t, LEG_SPOT, -quantity, price, fee, gas, reason, row)


@hot
def restore_spot(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Buy or sell the difference to `spot_weight x equity`."""
    price = hours.asset[t].spot
    difference = parameters.spot_weight * total - book.holdings.spot * price
    if abs(difference) <= DUST * total:
        return
    amount = movable(book, parameters, difference, spot_gas(hours, parameters, t))
    if amount > 0.0:
        book.holdings.spot += buy_asset(book, hours, parameters, t, amount, reason, row)
    elif difference < 0.0:
        quantity = min(-amount / price, book.holdings.spot)
        book.holdings.spot -= quantity
        sell_asset(book, hours, parameters, t, quantity, reason, row)


@hot
def target_quantity(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    v: int,
    total: float,
) -> float:
    """Return the signed units venue v should hold: its carry leg, or its share of the hedge.

    Carry legs are sized at one price, so that their units sum to zero (SEMANTICS 5).
    """
    if parameters.gross_carry > 0.0:
        return venues[v].carry * total / hours.asset[t].spot
    long = book.holdings.spot + collateral_eth(book, hours, t) - debt_eth(book, hours, t)
    return -max(parameters.hedge_ratio * venues[v].hedge_weight * long, 0.0)


@hot
def carry_drift(
    book: Book, hours: HourCoefficients, parameters: Record, venues: Records, t: int, total: float
) -> float:
    """Return the largest distance of a carry leg's notional from its target; 0 without carry."""
    drift = 0.0
    if parameters.gross_carry > 0.0:
        for v in range(len(venues)):
            notional = book.perps[v].quantity * hours.asset[t].spot
            drift = max(drift, abs(notional - venues[v].carry * total))
    return drift


@hot
def hedge_fits(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    total: float,
) -> bool:
    """Say whether restoring the hedge alone leaves every venue its initial margin."""
    fits = True
    for v in range(len(book.perps)):
        price = hours.quotes[t, v].mark
        target = target_quantity(book, hours, parameters, venues, t, v, total)
        added = (target - book.perps[v].quantity) * price
        leg = LEG_REWARD + len(book.tokens) + v
        fee = abs(added) * cost_share(hours, t, leg, added)
        left = venue_equity(book, hours, t, v) - fee
        if abs(added) > DUST * total and left < venues[v].initial_margin * abs(target) * price:
            fits = False
    return fits


@hot
def cover_wallet(book: Book, venues: Records, t: int, reason: Reason) -> None:
    """Take what the wallet lacks from margin, by weight, without spreading margin anew."""
    lacking = -book.holdings.cash
    for v in range(len(venues)):
        moved = -lacking * venues[v].hedge_weight
        book.perps[v].balance += moved
        leg = LEG_REWARD + len(book.tokens) + v
        record(book, t, EventKind.TRANSFER, leg, moved, 1.0, abs(moved), 0.0, 0.0, reason)
    book.holdings.cash = 0.0


@hot
def restore_perps(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Bring every venue's position to its target, which never has the other sign."""
    for v in range(len(book.perps)):
        perp, price = book.perps[v], hours.quotes[t, v].mark
        quantity = perp.quantity
        target = target_quantity(book, hours, parameters, venues, t, v, total)
        added = target - quantity
        if abs(added) * price <= DUST * total:
            continue
        leg = LEG_REWARD + len(book.tokens) + v
        fee = abs(added) * price * cost_share(hours, t, leg, added * price)
        perp.balance -= fee
        if abs(target) > abs(quantity):
            perp.entry = (quantity * perp.entry + added * price) / target
        else:
            perp.balance -= added * (price - perp.entry)
            if target == 0.0:
                perp.entry = 0.0
        perp.quantity = target
        record_trade(book, hours, t, leg, added, price, fee, 0.0, reason, row)


@hot
def spread_margin(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Spread the wallet and all margin over the hedge venues by weight, paying gas per transfer.

    Money moved into or out of the venue that also trades the spot leg needs no transfer of its own.
    """
    pool = book.holdings.cash
    for v in range(len(venues)):
        pool += venue_equity(book, hours, t, v)
    fee = gas_cost(hours, parameters, t, GAS_TRANSFER)
    gas = 0.0
    for v in range(len(venues)):
        moved = venues[v].hedge_weight * pool - venue_equity(book, hours, t, v)
        if v != parameters.margin_at_spot_venue and abs(moved) > DUST * total:
            gas += fee
    pay_gas(book, row, gas)
    for v in range(len(venues)):
        moved = venues[v].hedge_weight * (pool - gas) - venue_equity(book, hours, t, v)
        if abs(moved) <= DUST * total:
            continue
        book.perps[v].balance += moved
        book.holdings.cash -= moved
        paid = fee if v != parameters.margin_at_spot_venue else 0.0
        leg = LEG_REWARD + len(book.tokens) + v
        record(book, t, EventKind.TRANSFER, leg, moved, 1.0, abs(moved), 0.0, paid, reason)


@hot
def worth_selling(value: float, gas: float, total: float) -> bool:
    """Say whether reward tokens exceed 100 × their sale's gas and 0.2 % of equity (SEMANTICS 6)."""
    return value > max(100.0 * gas, 0.002 * total)


@hot
def rewards_due(hours: HourCoefficients, parameters: Record, t: int, valuation: Valuation) -> bool:
    """Say whether any reward token held is worth selling."""
    gas = gas_cost(hours, parameters, t, GAS_REWARD_SALE)
    return worth_selling(valuation.largest_reward, gas, valuation.equity)


@hot
def sell_rewards(
    book: Book, hours: HourCoefficients, parameters: Record, t: int, total: float, row: Record
) -> None:
    """Sell the reward tokens that are worth selling into the wallet."""
    gas = gas_cost(hours, parameters, t, GAS_REWARD_SALE)
    for r in range(len(book.tokens)):
        quantity = book.tokens[r]
        if quantity == 0.0:
            continue
        price = hours.tokens[t, r].price
        value = quantity * price
        if worth_selling(value, gas, total):
            leg = LEG_REWARD + r
            fee = value * cost_share(hours, t, leg, value)
            book.tokens[r] = 0.0
            book.holdings.cash += value - fee
            record_trade(book, hours, t, leg, -quantity, price, fee, gas, Reason.REWARDS, row)
