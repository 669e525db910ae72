"""Steps 1 to 3 at a mark: accrue and mark what is held, settle funding, credit rewards; valuing."""

from basis_pipeline.engine.compiled import hot
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    BALANCE,
    BORROWING,
    CASH,
    DEBT,
    E_FUNDING,
    E_REWARD,
    ENTRY,
    EXECUTION_COST,
    FUNDING,
    GAS,
    LEG_REWARD,
    LENDING,
    LIQUIDATION,
    PERP_PRICE,
    QUANTITY,
    R_SETTLEMENT,
    REWARDS,
    SPOT,
    SPOT_PRICE,
    STAKED,
    STAKING,
    SUPPLY,
    Book,
    Floats,
    MarketArrays,
)


@hot
def accrue(book: Book, market: MarketArrays, t: int, row: Floats) -> None:
    """Attribute the change of every holding from mark t-1 to t, factor by factor (SEMANTICS 9).

    Holdings are products scaled x index x rate x price; a factor's change is taken with the later
    factors at their old value and the earlier ones at their new, so that the parts telescope.
    Starts the row: the steps that follow add to it.
    """
    state, perps = book.state, book.perps
    staked, debt = state[STAKED], state[DEBT]
    spot, spot_before = market.spot[t], market.spot[t - 1]
    index, index_before = market.collateral_index[t], market.collateral_index[t - 1]
    rate, rate_before = market.lst_mark[t], market.lst_mark[t - 1]
    borrow, borrow_before = market.borrow_index[t], market.borrow_index[t - 1]
    supplied = staked * (index - index_before) * rate_before * spot_before
    lent = state[SUPPLY] * (market.lending_index[t] - market.lending_index[t - 1])
    asset = state[SPOT] + staked * index * rate - debt * borrow
    perp_price = 0.0
    for v in range(perps.shape[0]):
        change = market.perp_mark[t, v] - market.perp_mark[t - 1, v]
        perp_price += perps[v, QUANTITY] * change
    token_price = 0.0
    for r in range(book.tokens.shape[0]):
        if book.tokens[r] != 0.0:  # before its first quote a token has no price
            change = market.reward_price[t, r] - market.reward_price[t - 1, r]
            token_price += book.tokens[r] * change
    row[LENDING] = lent + supplied
    row[BORROWING] = -debt * (borrow - borrow_before) * spot_before
    row[STAKING] = staked * index * (rate - rate_before) * spot_before
    row[REWARDS] = token_price
    row[FUNDING] = 0.0
    row[SPOT_PRICE] = asset * (spot - spot_before)
    row[PERP_PRICE] = perp_price
    row[EXECUTION_COST] = 0.0
    row[GAS] = 0.0
    row[LIQUIDATION] = 0.0


@hot
def settle_funding(book: Book, market: MarketArrays, t: int, row: Floats) -> None:
    """Pay the funding that settles at t on the position held: a short receives rate x notional."""
    for v in range(book.perps.shape[0]):
        rate = market.funding_rate[t, v]
        quantity = book.perps[v, QUANTITY]
        if rate != 0.0 and quantity != 0.0:
            price = market.perp_mark[t, v]
            payment = -rate * quantity * price
            book.perps[v, BALANCE] += payment
            row[FUNDING] += payment
            leg = LEG_REWARD + book.tokens.shape[0] + v
            record(book, t, E_FUNDING, leg, quantity, price, payment, 0.0, 0.0, R_SETTLEMENT)


@hot
def credit_rewards(book: Book, market: MarketArrays, t: int, row: Floats) -> None:
    """Credit reward tokens paid at t on the gross staked ETH, at the token's market price."""
    for r in range(book.tokens.shape[0]):
        per_unit = market.reward_tokens_per_unit[t, r]
        if per_unit != 0.0 and book.state[STAKED] != 0.0:
            staked_eth = book.state[STAKED] * market.collateral_index[t] * market.oracle_rate[t]
            quantity = per_unit * staked_eth
            price = market.reward_price[t, r]
            book.tokens[r] += quantity
            row[REWARDS] += quantity * price
            value = quantity * price
            record(
                book, t, E_REWARD, LEG_REWARD + r, quantity, price, value, 0.0, 0.0, R_SETTLEMENT
            )


@hot
def collateral_eth(book: Book, market: MarketArrays, t: int) -> float:
    """ETH value of the staked holding at the redemption rate."""
    return book.state[STAKED] * market.collateral_index[t] * market.oracle_rate[t]


@hot
def debt_eth(book: Book, market: MarketArrays, t: int) -> float:
    """WETH owed."""
    return book.state[DEBT] * market.borrow_index[t]


@hot
def venue_equity(book: Book, market: MarketArrays, t: int, v: int) -> float:
    """Margin balance plus unrealised profit at venue v."""
    perps = book.perps
    unrealised = perps[v, QUANTITY] * (market.perp_mark[t, v] - perps[v, ENTRY])
    return perps[v, BALANCE] + unrealised


@hot
def equity(book: Book, market: MarketArrays, t: int) -> float:
    """Value of everything held at mark t, in the numeraire."""
    state = book.state
    staked = state[STAKED] * market.collateral_index[t] * market.lst_mark[t]
    asset = state[SPOT] + staked - state[DEBT] * market.borrow_index[t]
    total = state[CASH] + state[SUPPLY] * market.lending_index[t] + asset * market.spot[t]
    for v in range(book.perps.shape[0]):
        total += venue_equity(book, market, t, v)
    for r in range(book.tokens.shape[0]):
        if book.tokens[r] != 0.0:
            total += book.tokens[r] * market.reward_price[t, r]
    return total
