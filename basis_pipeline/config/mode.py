"""A mode: one allocation, run by the engine that all modes share (SEMANTICS 5).

Every section is required in every mode file, so that every override names a key that exists. What a
mode does not use has weight zero.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from basis_pipeline.config.base import Name, Positive, Share, StrictModel
from basis_pipeline.config.universe import Symbol
from basis_pipeline.times import in_utc


class Allocation(StrictModel):
    """Shares of equity; the rest is margin (hedged modes) or idle cash."""

    lending: Share
    spot: Share
    staking: Share

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        total = self.lending + self.spot + self.staking
        if total > 1.0 + 1e-12:
            raise ValueError(f"allocation weights sum to {total:g}; at most 1 can be allocated")
        return self


class Lending(StrictModel):
    """The token that is supplied, and the lending protocol."""

    token: Symbol
    protocol: str


class Spot(StrictModel):
    """The venue where the asset is traded against the share class's currency."""

    venue: str


class Staking(StrictModel):
    """The liquid staking token held, and the leverage on it."""

    lst: Symbol
    target_ltv: Annotated[float, Field(ge=0.0, lt=1.0)]
    max_ltv: Annotated[float, Field(gt=0.0, lt=1.0)]
    flash_fee_bps: Annotated[float, Field(ge=0.0, le=100.0)]

    @property
    def leverage(self) -> float:
        """Collateral over equity at the target loan to value, `1 / (1 - ltv)`."""
        return 1.0 / (1.0 - self.target_ltv)


class Hedge(StrictModel):
    """Perpetuals: a hedge, or a carry between venues.

    The hedge shorts `ratio` times the net asset, split over venues by weight. The carry is signed
    notional by venue as a share of equity, below zero for a short; it sums to zero, or is empty.
    """

    ratio: Annotated[float, Field(ge=0.0, le=2.0)]
    venues: dict[str, Annotated[float, Field(gt=0.0, le=1.0)]]
    carry: dict[str, Annotated[float, Field(ge=-10.0, le=10.0)]]

    @property
    def gross_carry(self) -> float:
        """Sum of the carry legs' sizes, as a share of equity."""
        return sum(map(abs, self.carry.values()))


class MarginRatioBand(StrictModel):
    """Bounds of venue equity over notional."""

    min: Annotated[float, Field(ge=0.0)]
    max: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"margin_ratio.min {self.min:g} must lie below max {self.max:g}")
        return self


class Rebalance(StrictModel):
    """Triggers that restore the target weights (SEMANTICS 6)."""

    enabled: bool
    margin_ratio: MarginRatioBand
    delta_band: Positive
    ltv_band: Positive
    health_factor_floor: Annotated[float, Field(ge=1.0)]
    idle_band: Positive
    drift_band: Positive | None


class Costs(StrictModel):
    """Execution and gas costs (SEMANTICS 8).

    model: the execution-cost table, the same basis points for every trade, or the taker fee of the
        venue where each leg is traded.
    gas_multiplier: times the gas of every transaction; 0 reads no gas at all.
    """

    enabled: bool
    model: Literal["table", "flat", "fees"]
    flat_bps: Annotated[float, Field(ge=0.0, lt=10_000.0)]
    gas_multiplier: Annotated[float, Field(ge=0.0)]


class Rewards(StrictModel):
    """Whether restaking rewards are credited."""

    enabled: bool


class Metrics(StrictModel):
    """The rate that Sharpe and Sortino are measured against (SEMANTICS 11)."""

    risk_free: Annotated[float, Field(gt=-1.0, le=1.0)] | Literal["lending"]


class Pricing(StrictModel):
    """Which prices mark, value and liquidate (SEMANTICS 1, 3, 7)."""

    price_field: Literal["open", "close"]
    mark_lst: Literal["oracle", "market"]
    liquidation_price: Literal["extreme", "open"]


class Flow(StrictModel):
    """A deposit (positive) or withdrawal (negative), at a whole hour, in the numeraire."""

    date: datetime
    amount: float

    @field_validator("date", mode="before")
    @classmethod
    def _whole_hour_utc(cls, value: object) -> datetime:
        """Read a date (midnight) or a timestamp, UTC unless it has an offset."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            raise ValueError("a flow's date is a date or a timestamp, such as 2024-07-01T08:00:00Z")
        if not 1970 <= value.year < 2262:  # what nanoseconds since 1970 can count
            raise ValueError(f"a flow must be between 1970 and 2261, not in {value.year}")
        value = in_utc(value)
        if value.minute or value.second or value.microsecond:
            raise ValueError(f"a flow must be at a whole hour, not at {value.isoformat()}")
        return value

    @field_validator("amount")
    @classmethod
    def _not_zero(cls, value: float) -> float:
        if value == 0.0:
            raise ValueError("a flow must not be zero")
        return value


class Gates(StrictModel):
    """The limits of a finished run; null switches a gate off."""

    target_apy: float | None
    max_drawdown: Annotated[float, Field(gt=0.0, le=1.0)] | None
    max_abs_delta: Positive | None
    min_health_factor: Positive | None
    min_margin_ratio: Positive | None
    max_pool_share: Share | None


class ModeConfig(StrictModel):
    """One strategy mode, defined by a file in `configs/modes/`."""

    mode: Name
    description: str
    share_class: Symbol
    asset: Symbol
    allocation: Allocation
    lending: Lending
    spot: Spot
    staking: Staking
    hedge: Hedge
    rebalance: Rebalance
    costs: Costs
    rewards: Rewards
    pricing: Pricing
    metrics: Metrics
    flows: tuple[Flow, ...]
    gates: Gates

    @property
    def is_hedged(self) -> bool:
        """Whether the mode holds perpetuals; the rest of its allocation is their margin."""
        return self.hedge.ratio > 0.0 or bool(self.hedge.carry)

    @property
    def is_leveraged(self) -> bool:
        """Whether the mode borrows against its staked tokens."""
        return self.allocation.staking > 0.0 and self.staking.target_ltv > 0.0

    @property
    def buys_asset(self) -> bool:
        """Whether the asset is bought with another currency at a spot venue."""
        exposed = self.allocation.spot + self.allocation.staking > 0.0
        return exposed and self.asset != self.share_class

    @property
    def trades_asset(self) -> bool:
        """Whether the asset or its perpetual is traded for another currency."""
        return self.buys_asset or self.is_hedged

    @property
    def hedge_venues(self) -> tuple[str, ...]:
        """Venues that hold a perpetual, sorted by name; empty when unhedged."""
        return tuple(sorted(self.hedge.carry or self.hedge.venues)) if self.is_hedged else ()

    def is_long_at(self, venue: str) -> bool:
        """Return whether the perpetual at a venue is held long: a carry leg above zero."""
        return self.hedge.carry.get(venue, 0.0) > 0.0
