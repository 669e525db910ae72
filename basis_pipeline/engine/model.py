"""The engine's data types: market arrays, parameters, the book and the hourly table.

Shapes: n hours, K hedge venues, R reward tokens, L = 2 + R + K cost legs, 3 size buckets, D hours
at 00:00 UTC. Amounts are in the numeraire unless a unit is given. State is kept in NumPy records,
whose fields have names in compiled code and in plain Python alike.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Record = np.record
Records = NDArray[Any]  # of records


def record_type(names: Sequence[str], **others: type) -> np.dtype[np.void]:
    """Return the type of a record with these number fields, then fields of other types."""
    fields = [*((name, np.float64) for name in names), *others.items()]
    # Aligned, so that no number straddles two cache lines of the processor.
    return np.dtype((np.record, np.dtype(fields, align=True)))


class MarketArrays(NamedTuple):
    """The market a run sees, one row an hour (SEMANTICS 1 and 3)."""

    spot: Floats  # (n,) numeraire per unit of the asset; carry: weighted mean of its marks
    perp_mark: Floats  # (n, K) perpetual price
    perp_extreme: Floats  # (n, K) adverse intrabar extreme: high for a short, low for a long
    funding_rate: Floats  # (n, K) rate settled at the hour, 0 where none settles
    lending_index: Floats  # (n,) liquidity index of the lent token
    collateral_index: Floats  # (n,) liquidity index of the LST; 1 when it is held, not supplied
    borrow_index: Floats  # (n,) variable borrow index of WETH
    oracle_rate: Floats  # (n,) ETH per LST, redemption
    market_rate: Floats  # (n,) ETH per LST, decentralised exchange
    lst_mark: Floats  # (n,) the one of the two rates that values holdings
    gas_price: Floats  # (n,) numeraire per unit of gas
    numeraire_usd: Floats  # (n,) USD per unit of numeraire
    cost_bps: Floats  # (n, L, 3) execution cost by leg and size bucket
    reward_tokens_per_unit: Floats  # (n, R) earned by a staked ETH unit over the hour ending at t
    reward_slot: Integers  # (n, R) slot that holds the hour's earnings until they are paid
    reward_payout: Integers  # (n, R) slot paid at the hour, -1 for none
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
    hedge_weights: Floats  # (K,) shares of the hedge, and of all margin; sum to 1
    carry: Floats  # (K,) signed notional as a share of equity, sums to 0; 0 without carry
    initial_margin: Floats  # (K,) share of notional
    maintenance_margin: Floats  # (K,) share of notional
    liquidation_fee: Floats  # (K,) share of notional
    liquidation_threshold: float
    liquidation_bonus: float
    liquidates_at_extreme: bool  # perpetuals are tested at the intrabar extreme as well
    rebalance_enabled: bool
    margin_ratio_min: float
    margin_ratio_max: float
    delta_band: float
    ltv_band: float
    health_factor_floor: float
    idle_band: float
    drift_band: float  # infinite when drift is left alone
    costs_enabled: bool  # without costs a staking token sells at its redemption rate
    gas_multiplier: float
    trades_asset: bool  # the asset, or its perpetual, is not the numeraire but traded for it
    swaps_on_chain: bool  # the spot venue is a decentralised exchange
    margin_at_spot_venue: int  # index of the hedge venue that is the spot venue, -1 if none


# The parameters as the compiled code reads them: one record of the scalars, one record per venue.
_NUMBERS = {name: kind for name, kind in Parameters.__annotations__.items() if kind != Floats}
PARAMETERS = record_type(("gross_carry",), **_NUMBERS)
VENUE_TERMS = record_type(
    ("hedge_weight", "carry", "initial_margin", "maintenance_margin", "liquidation_fee")
)


def parameter_record(parameters: Parameters) -> Record:
    """Return the scalar parameters and the sum of the carry legs' sizes as one record."""
    record: Record = np.zeros(1, PARAMETERS)[0]
    for name in _NUMBERS:
        record[name] = getattr(parameters, name)
    record.gross_carry = np.abs(parameters.carry).sum()
    return record


def venue_terms(parameters: Parameters) -> Records:
    """Return the parameters by venue, (K,)."""
    terms = np.zeros(len(parameters.hedge_weights), VENUE_TERMS)
    terms["hedge_weight"] = parameters.hedge_weights
    terms["carry"] = parameters.carry
    terms["initial_margin"] = parameters.initial_margin
    terms["maintenance_margin"] = parameters.maintenance_margin
    terms["liquidation_fee"] = parameters.liquidation_fee
    return terms


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

# Balances: numeraire in the wallet, scaled balance of the lent token, units of the asset, LST units
# (scaled by the collateral index when supplied), scaled WETH debt.
BALANCES = ("cash", "supply", "spot", "staked", "debt")
HOLDINGS = record_type(BALANCES, approved=np.bool_)  # whether approvals have been given
# A perpetual: signed quantity, below zero for a short; margin balance; size-weighted entry price.
PERP = record_type(("quantity", "balance", "entry"))
# A row of the hourly table: `residual` is what the components leave unexplained; equity and the
# balances are those after trades, `equity_before` is the equity before flows and trades.
ROW = record_type(("equity_before", "equity", "flow", *COMPONENTS, "residual", *BALANCES))


class EventKind(IntEnum):
    """The kind of an event."""

    ENTRY = 0
    REBALANCE = 1
    FLOW = 2
    FUNDING = 3
    REWARD = 4
    LIQUIDATION = 5
    TRADE = 6
    SUPPLY = 7
    WITHDRAW = 8
    STAKE = 9
    BORROW = 10
    REPAY = 11
    TRANSFER = 12
    SKIPPED = 13


class Reason(IntEnum):
    """The cause of a rebalance or an event (SEMANTICS 6)."""

    NONE = 0
    ENTRY = 1
    MARGIN_RATIO = 2
    LTV = 3
    HEALTH_FACTOR = 4
    DELTA = 5
    IDLE_CASH = 6
    CASH_SHORTFALL = 7
    DRIFT = 8
    REWARDS = 9
    SETTLEMENT = 10
    LIQUIDATION = 11
    FLOW = 12


class Status(IntEnum):
    """Why the figures of a run are invalid, worst first; SOUND when they are valid."""

    SOUND = 0
    EMPTIED = 1
    NOT_FINITE = 2
    NOT_ENTERED = 3


# Legs of the cost table: 0 spot, 1 LST, then reward tokens, then perpetuals. Below 0: no bps.
# Integers of NumPy, because numba compiles a function anew for every Python integer it is given.
LEG_SPOT = np.int64(0)
LEG_LST = np.int64(1)
LEG_REWARD = np.int64(2)
LEG_NONE = np.int64(-1)
LEG_LENDING = np.int64(-2)
LEG_DEBT = np.int64(-3)

EVENT = record_type(
    ("quantity", "price", "notional", "fee", "gas"),
    hour=np.int64,
    kind=np.int64,
    leg=np.int64,
    reason=np.int64,
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

# The totals and extremes that figures are computed from, accumulated during a run.
TALLY = record_type(
    (
        *COMPONENTS,  # sums
        "traded",  # sum of notional, of whatever changes a position
        "net_flow",
        "equity_sum",  # over all hours but the last
        "equity",  # at the latest hour
        "capital",
        "share",  # units per unit of capital
        "units",  # equity over growth: the capital, changed by flows
        "final_growth",  # set once everything is withdrawn
        "peak",  # of growth, and its lowest since
        "trough",
        "drawdown",  # worst of the peaks before
        "peak_bound",  # equity below which there is no new peak
        "trough_bound",  # equity above which there is no new low since
        "max_ltv",
        "min_margin_ratio",
        "max_delta",  # share of equity, absolute
        "max_residual",  # share of equity, absolute
        "liquidation_threshold",
    ),
    events=np.int64,
    trades=np.int64,
    trades_above_last_bucket=np.int64,
    rebalances=np.int64,
    liquidations=np.int64,  # one a venue and hour
    last_skip=np.int64,  # hour after the latest rebalance that was skipped
    midnights=np.int64,
    status=np.int64,
    closed=np.bool_,  # everything was withdrawn
    collateral_gone=np.bool_,  # there was a debt without collateral
)


class Book(NamedTuple):
    """Everything that changes while a run proceeds; written in place."""

    holdings: Record  # HOLDINGS
    perps: Records  # (K,) PERP
    tokens: Floats  # (R,) reward tokens held
    pending: Floats  # (R, slots) reward tokens earned and not paid yet
    perps_before: Records  # (K,) PERP before the current rebalance
    events: Records  # (capacity,) EVENT; empty where no ledger is kept
    tally: Record  # TALLY
    midnights: Floats  # (D,) growth of one unit of capital: at entry, then at every 00:00 UTC


class Hourly(NamedTuple):
    """The hourly table: row t is the state after the trades of hour t."""

    rows: Records  # (n,) ROW
    perps: Records  # (n, K) PERP
    tokens: Floats  # (n, R)
