"""What the engine reads, carries and writes: market arrays, parameters, state, columns.

Shapes: n marks (hours), K hedge venues, R reward tokens, L = 2 + R + K cost legs, 3 size buckets,
D marks at 00:00 UTC.
Amounts are in the numeraire unless a unit is given.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class MarketArrays(NamedTuple):
    """The market a run sees, one row a mark (SEMANTICS 1 and 3)."""

    spot: Floats  # (n,) numeraire per unit of the asset
    perp_mark: Floats  # (n, K) perpetual price
    perp_extreme: Floats  # (n, K) adverse intrabar extreme known at the mark
    funding_rate: Floats  # (n, K) rate settled at the mark, 0 where none settles
    lending_index: Floats  # (n,) liquidity index of the lent token
    collateral_index: Floats  # (n,) liquidity index of the LST; 1 when it is held, not supplied
    borrow_index: Floats  # (n,) variable borrow index of WETH
    oracle_rate: Floats  # (n,) ETH per LST, redemption
    market_rate: Floats  # (n,) ETH per LST, decentralised exchange
    lst_mark: Floats  # (n,) the one of the two that values holdings
    gas_price: Floats  # (n,) numeraire per unit of gas
    numeraire_usd: Floats  # (n,) USD per unit of numeraire
    cost_bps: Floats  # (n, L, 3) execution cost by leg and size bucket
    reward_tokens_per_unit: Floats  # (n, R) tokens paid per staked ETH unit
    reward_price: Floats  # (n, R) numeraire per token
    flow: Floats  # (n,) deposits less withdrawals


class Parameters(NamedTuple):
    """The allocation and its rules as plain numbers (SEMANTICS 5 to 8)."""

    lending_weight: float
    spot_weight: float
    staking_weight: float
    target_ltv: float
    flash_fee: float  # share of the flash loan
    hedge_ratio: float
    hedge_weights: Floats  # (K,) sum to 1
    maintenance_margin: Floats  # (K,) share of notional
    liquidation_fee: Floats  # (K,) share of notional
    liquidation_threshold: float
    liquidation_bonus: float
    rebalance_enabled: bool
    margin_ratio_min: float
    margin_ratio_max: float
    delta_band: float
    ltv_band: float
    health_factor_floor: float
    deviation_band: float
    gas_multiplier: float
    buys_asset: bool  # the asset is bought for the numeraire, at the spot leg's cost
    swaps_on_chain: bool  # the spot venue is a decentralised exchange
    margin_at_spot_venue: int  # index of the hedge venue that is the spot venue, -1 if none


# State: one vector of balances; perpetuals and reward tokens beside it.
CASH = 0  # numeraire in the wallet
SUPPLY = 1  # scaled balance of the lent token
SPOT = 2  # units of the asset
STAKED = 3  # LST units, scaled by the collateral index when supplied
DEBT = 4  # scaled WETH debt
STATE_SIZE = 5

# Columns of the perpetuals' state (K, 3).
QUANTITY = 0  # signed, negative for a short
BALANCE = 1  # margin balance
ENTRY = 2  # size-weighted average entry price

# Columns of the hourly table: equity, flow, the ten components, what they leave unexplained, then
# the holdings after trades.
EQUITY = 0
FLOW = 1
LENDING = 2
BORROWING = 3
STAKING = 4
REWARDS = 5
FUNDING = 6
SPOT_PRICE = 7
PERP_PRICE = 8
EXECUTION_COST = 9
GAS = 10
LIQUIDATION = 11
RESIDUAL = 12
FIRST_STATE = 13
FIRST_PERP = FIRST_STATE + STATE_SIZE

COMPONENTS: tuple[str, ...] = (
    "lending",
    "borrowing",
    "staking",
    "rewards",
    "funding",
    "spot_price",
    "perp_price",
    "execution_cost",
    "gas",
    "liquidation",
)

# Legs of the cost table: 0 spot, 1 LST, then reward tokens, then perpetuals. Below 0: no bps.
LEG_SPOT = 0
LEG_LST = 1
LEG_REWARD = 2
LEG_NONE = -1
LEG_LENDING = -2
LEG_DEBT = -3

# Kinds of event, and what set a rebalance off (SEMANTICS 6), by code.
EVENT_KINDS: tuple[str, ...] = (
    "entry",
    "rebalance",
    "flow",
    "funding",
    "reward",
    "liquidation",
    "trade",
    "supply",
    "withdraw",
    "stake",
    "borrow",
    "repay",
    "transfer",
)
(
    E_ENTRY,
    E_REBALANCE,
    E_FLOW,
    E_FUNDING,
    E_REWARD,
    E_LIQUIDATION,
    E_TRADE,
    E_SUPPLY,
    E_WITHDRAW,
    E_STAKE,
    E_BORROW,
    E_REPAY,
    E_TRANSFER,
) = range(len(EVENT_KINDS))

REASONS: tuple[str, ...] = (
    "none",
    "entry",
    "margin_ratio",
    "ltv",
    "health_factor",
    "delta",
    "deviation",
    "cash_shortfall",
    "rewards",
    "settlement",
    "liquidation",
    "flow",
)
(
    R_NONE,
    R_ENTRY,
    R_MARGIN_RATIO,
    R_LTV,
    R_HEALTH_FACTOR,
    R_DELTA,
    R_DEVIATION,
    R_CASH_SHORTFALL,
    R_REWARDS,
    R_SETTLEMENT,
    R_LIQUIDATION,
    R_FLOW,
) = range(len(REASONS))

# Columns of the event ledger.
EVENT_COLUMNS: tuple[str, ...] = (
    "mark",
    "kind",
    "leg",
    "quantity",
    "price",
    "notional",
    "fee",
    "gas",
    "reason",
)

# Units of gas by operation (SEMANTICS 8).
GAS_STAKE = 150e3
GAS_SUPPLY = 250e3
GAS_WITHDRAW = 220e3
GAS_SWAP = 180e3
GAS_TRANSFER = 100e3
GAS_ATOMIC_ENTRY = 1.25e6
GAS_ATOMIC_DELEVERAGE = 850e3
GAS_ATOMIC_DELEVERAGE_TWO_SWAPS = 1.1e6
GAS_REWARD_SALE = 150e3 + GAS_SWAP  # unwrap, then swap
GAS_APPROVAL = 55e3
GAS_EMODE = 55e3

DUST = 1e-12  # share of equity below which a difference is rounding, not a trade


class Book(NamedTuple):
    """Everything that changes while a run proceeds; the arrays are written in place."""

    state: Floats  # (STATE_SIZE,)
    perps: Floats  # (K, 3)
    tokens: Floats  # (R,) reward tokens held
    events: Floats  # (capacity, len(EVENT_COLUMNS)); once full, the last row is written again
    counts: NDArray[np.int64]  # (COUNTS,)
    tally: Floats  # (TALLY_SIZE,) what figures are made of, of `basis_pipeline.engine.figures`
    midnights: Floats  # (D,) growth of one unit of capital at 00:00 UTC


# Columns of the counts.
EVENT_COUNT = 0
OVERSIZE_COUNT = 1  # trades above the last size bucket
APPROVED = 2  # 1 once approvals are given
TRADE_COUNT = 3
REBALANCE_COUNT = 4
LIQUIDATION_COUNT = 5  # marks with at least one liquidation
LAST_LIQUIDATION = 6  # mark of the latest, plus one
MIDNIGHT_COUNT = 7
COUNTS = 8

# Columns of the tally: sums of the ten components, then these.
TRADED = 10  # sum of notional, bought and sold alike
NET_FLOW = 11
EQUITY_SUM = 12  # over all marks but the last
LAST_EQUITY = 13
UNITS = 14  # of growth that the equity is made of: the capital, changed by flows
CLOSED = 15  # 1 once everything was withdrawn
GROWTH = 16  # once closed
PEAK = 17  # of growth, and its lowest since
TROUGH = 18
DRAWDOWN = 19  # worst of the peaks before
MAX_LTV = 20
SEIZED = 21  # 1 once there was a debt without collateral
LOWEST_MARGIN_RATIO = 22
HIGHEST_DELTA = 23
WORST_RESIDUAL = 24
STATUS = 25
CAPITAL = 26
SHARE = 27  # units per unit of capital
THRESHOLD = 28  # liquidation threshold
PEAK_BOUND = 29  # equity below which there is no new peak
TROUGH_BOUND = 30  # and above which no new low since
TALLY_SIZE = 31


def hourly_width(venues: int, reward_tokens: int) -> int:
    """Number of columns of the hourly table."""
    return FIRST_PERP + 3 * venues + reward_tokens


class Units(NamedTuple):
    """What a unit of each holding is worth at a mark, and earns up to it."""

    asset: Floats  # (n, UNIT_SIZE)
    perps: Floats  # (n, K, U_VENUE_SIZE)


# Columns of the unit table.
U_SPOT = 0  # the market's own, beside what is made of it
U_LENDING_INDEX = 1
U_BORROW_INDEX = 2
U_MARKED = 3  # ETH a scaled LST unit is worth at the rate that values holdings
U_REDEEMED = 4  # and at the redemption rate
U_SPOT_CHANGE = 5
U_LENT = 6  # earned by a scaled unit of the lent token
U_SUPPLIED = 7  # by a scaled LST unit, from its collateral index
U_STAKED = 8  # and from its own rate
U_OWED = 9  # by a scaled unit of debt
UNIT_SIZE = 10
# And of its venues' part.
U_MARK = 0  # perpetual price
U_MARK_CHANGE = 1
U_EXTREME = 2
U_FUNDING = 3
U_VENUE_SIZE = 4
