"""The legs of a rebalance: lending, spot, perpetuals and their margin, rewards (SEMANTICS 5 to 8).

Each leg trades the difference to its target and pays its own costs. A hedged mode pays from its
margin, which is spread again at the end; any other mode can spend only what its wallet holds, so
its gas comes out of the amount it moves.
"""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth, venue_equity
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import cost_share, gas_cost, pay_gas, record, record_trade
from basis_pipeline.engine.model import (
    APPROVED,
    BALANCE,
    CASH,
    DUST,
    E_SUPPLY,
    E_TRANSFER,
    E_WITHDRAW,
    ENTRY,
    GAS_APPROVAL,
    GAS_REWARD_SALE,
    GAS_SUPPLY,
    GAS_SWAP,
    GAS_TRANSFER,
    GAS_WITHDRAW,
    LEG_LENDING,
    LEG_REWARD,
    LEG_SPOT,
    QUANTITY,
    R_REWARDS,
    SPOT,
    SUPPLY,
    Book,
    Floats,
    MarketArrays,
    Parameters,
)


@compiled
def movable(book: Book, parameters: Parameters, difference: float, gas: float) -> float:
    """How much of a leg's difference can be moved, given the gas of its transaction."""
    if parameters.hedge_ratio > 0.0:
        return difference
    return min(difference, book.state[CASH] - gas)


@hot
def restore_lending(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Supply or withdraw the difference to `lending_weight x equity`."""
    index = market.lending_index[t]
    difference = parameters.lending_weight * total - book.state[SUPPLY] * index
    if abs(difference) <= DUST * total:
        return
    supplies = difference > 0.0
    units = GAS_SUPPLY + GAS_APPROVAL * (1 - book.counts[APPROVED]) if supplies else GAS_WITHDRAW
    gas = gas_cost(market, parameters, t, units)
    amount = movable(book, parameters, difference, gas)
    if supplies and amount <= 0.0:
        return
    amount = max(amount, -book.state[SUPPLY] * index)
    book.counts[APPROVED] = 1
    book.state[SUPPLY] += amount / index
    book.state[CASH] -= amount
    pay_gas(book, row, gas)
    kind = E_SUPPLY if supplies else E_WITHDRAW
    record(book, t, kind, LEG_LENDING, amount, 1.0, abs(amount), 0.0, gas, reason)


@compiled
def spot_gas(market: MarketArrays, parameters: Parameters, t: int) -> float:
    """Gas of a spot trade: the swap on chain, or the transfer to or from the exchange."""
    if not parameters.buys_asset:
        return 0.0
    units = GAS_SWAP if parameters.swaps_on_chain else GAS_TRANSFER
    return gas_cost(market, parameters, t, units)


@compiled
def buy_asset(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    amount: float,
    reason: int,
    row: Floats,
) -> float:
    """Spend `amount` of the numeraire at the spot venue; return the units of the asset received."""
    book.state[CASH] -= amount
    if not parameters.buys_asset:
        return amount
    price = market.spot[t]
    share = cost_share(market, t, LEG_SPOT, amount)
    quantity = amount * (1.0 - share) / price
    gas = spot_gas(market, parameters, t)
    record_trade(book, market, t, LEG_SPOT, quantity, price, amount * share, gas, reason, row)
    return quantity


@compiled
def sell_asset(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    quantity: float,
    reason: int,
    row: Floats,
) -> None:
    """Sell `quantity` units of the asset at the spot venue into the wallet."""
    price = market.spot[t]
    notional = quantity * price
    if not parameters.buys_asset:
        book.state[CASH] += notional
        return
    fee = notional * cost_share(market, t, LEG_SPOT, notional)
    book.state[CASH] += notional - fee
    gas = spot_gas(market, parameters, t)
    record_trade(book, market, t, LEG_SPOT, -quantity, price, fee, gas, reason, row)


@hot
def restore_spot(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Buy or sell the difference to `spot_weight x equity`."""
    price = market.spot[t]
    difference = parameters.spot_weight * total - book.state[SPOT] * price
    if abs(difference) <= DUST * total:
        return
    amount = movable(book, parameters, difference, spot_gas(market, parameters, t))
    if amount > 0.0:
        book.state[SPOT] += buy_asset(book, market, parameters, t, amount, reason, row)
    elif difference < 0.0:
        quantity = min(-amount / price, book.state[SPOT])
        book.state[SPOT] -= quantity
        sell_asset(book, market, parameters, t, quantity, reason, row)


@hot
def restore_perps(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Short the hedge ratio times the net asset, split by venue weight (SEMANTICS 5)."""
    perps = book.perps
    long = book.state[SPOT] + collateral_eth(book, market, t) - debt_eth(book, market, t)
    for v in range(perps.shape[0]):
        price, short = market.perp_mark[t, v], -perps[v, QUANTITY]
        target = max(parameters.hedge_ratio * parameters.hedge_weights[v] * long, 0.0)
        added = target - short
        if abs(added) * price <= DUST * total:
            continue
        leg = LEG_REWARD + book.tokens.shape[0] + v
        fee = abs(added) * price * cost_share(market, t, leg, added * price)
        perps[v, BALANCE] -= fee
        if added > 0.0:
            perps[v, ENTRY] = (short * perps[v, ENTRY] + added * price) / target
        else:
            perps[v, BALANCE] += added * (price - perps[v, ENTRY])
            if target == 0.0:
                perps[v, ENTRY] = 0.0
        perps[v, QUANTITY] = -target
        record_trade(book, market, t, leg, -added, price, fee, 0.0, reason, row)


@hot
def spread_margin(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Spread the wallet and all margin over the hedge venues by weight, paying gas per transfer.

    Money moved into or out of the venue that also trades the spot leg needs no transfer of its own.
    """
    venues = book.perps.shape[0]
    weights = parameters.hedge_weights
    pool = book.state[CASH]
    for v in range(venues):
        pool += venue_equity(book, market, t, v)
    fee = gas_cost(market, parameters, t, GAS_TRANSFER)
    gas = 0.0
    for v in range(venues):
        moved = weights[v] * pool - venue_equity(book, market, t, v)
        if v != parameters.margin_at_spot_venue and abs(moved) > DUST * total:
            gas += fee
    pay_gas(book, row, gas)
    for v in range(venues):
        moved = weights[v] * (pool - gas) - venue_equity(book, market, t, v)
        if abs(moved) <= DUST * total:
            continue
        book.perps[v, BALANCE] += moved
        book.state[CASH] -= moved
        paid = fee if v != parameters.margin_at_spot_venue else 0.0
        leg = LEG_REWARD + book.tokens.shape[0] + v
        record(book, t, E_TRANSFER, leg, moved, 1.0, abs(moved), 0.0, paid, reason)


@hot
def worth_selling(value: float, gas: float, total: float) -> bool:
    """Whether reward tokens exceed 100 times their sale's gas and 0.2 % of equity (SEMANTICS 6)."""
    return value > max(100.0 * gas, 0.002 * total)


@hot
def rewards_due(
    book: Book, market: MarketArrays, parameters: Parameters, t: int, total: float
) -> bool:
    """Whether any reward token held is worth selling."""
    due, gas = False, gas_cost(market, parameters, t, GAS_REWARD_SALE)
    for r in range(book.tokens.shape[0]):
        if book.tokens[r] != 0.0:
            value = book.tokens[r] * market.reward_price[t, r]
            due |= worth_selling(value, gas, total)
    return due


@hot
def sell_rewards(
    book: Book, market: MarketArrays, parameters: Parameters, t: int, total: float, row: Floats
) -> None:
    """Sell the reward tokens that are worth selling into the wallet."""
    gas = gas_cost(market, parameters, t, GAS_REWARD_SALE)
    for r in range(book.tokens.shape[0]):
        quantity = book.tokens[r]
        if quantity == 0.0:
            continue
        price = market.reward_price[t, r]
        value = quantity * price
        if worth_selling(value, gas, total):
            leg = LEG_REWARD + r
            fee = value * cost_share(market, t, leg, value)
            book.tokens[r] = 0.0
            book.state[CASH] += value - fee
            record_trade(book, market, t, leg, -quantity, price, fee, gas, R_REWARDS, row)
