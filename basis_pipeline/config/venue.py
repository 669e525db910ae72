"""Venues: exchanges, decentralised exchanges, lending and staking protocols."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Name, Share, StrictModel
from basis_pipeline.config.universe import Symbol

Bps = Annotated[float, Field(ge=0.0, lt=10_000.0)]


class PerpMargin(StrictModel):
    """Margin terms of an exchange's perpetuals, as shares of notional."""

    initial: Share
    maintenance: Share
    liquidation_fee: Share

    @model_validator(mode="after")
    def _initial_covers_maintenance(self) -> Self:
        if self.initial < self.maintenance:
            raise ValueError(
                f"initial margin {self.initial:g} lies below maintenance {self.maintenance:g}"
            )
        return self


class Exchange(StrictModel):
    """A centralised exchange with spot and perpetual markets."""

    kind: Literal["exchange"]
    venue: Name
    spot_taker_fee_bps: Bps
    perp_taker_fee_bps: Bps
    perp_margin: PerpMargin


class DecentralisedExchange(StrictModel):
    """An on-chain exchange; the pool fee applies where the cost table has no pair."""

    kind: Literal["dex"]
    venue: Name
    chain: Name
    spot_taker_fee_bps: Bps


class CollateralTerms(StrictModel):
    """Terms of one collateral for one debt token."""

    debt: Symbol
    max_ltv: Share
    liquidation_threshold: Share
    liquidation_bonus: Share

    @model_validator(mode="after")
    def _threshold_above_ltv(self) -> Self:
        if self.max_ltv > self.liquidation_threshold:
            raise ValueError(
                f"max_ltv {self.max_ltv:g} exceeds the liquidation threshold "
                f"{self.liquidation_threshold:g}"
            )
        return self


class LendingProtocol(StrictModel):
    """A lending protocol.

    Parameters
    ----------
    tokens: each token it lends → the coin that one unit of it counts as.
    emode: collateral token → its e-mode terms.
    """

    kind: Literal["lending_protocol"]
    venue: Name
    chain: Name
    tokens: dict[Symbol, Symbol]
    emode: dict[Symbol, CollateralTerms]


class StakingProtocol(StrictModel):
    """The issuer of a liquid staking token.

    Parameters
    ----------
    underlying: the coin that is staked, in which the token's rates are quoted.
    sold_at: the venue whose market rate the token is sold at.
    rewards: each further token that its stakers receive → the venue where it is sold.
    """

    kind: Literal["staking_protocol"]
    venue: Name
    chain: Name
    lst: Symbol
    underlying: Symbol
    sold_at: Name
    rewards: dict[Symbol, Name]


Venue = Annotated[
    Exchange | DecentralisedExchange | LendingProtocol | StakingProtocol,
    Field(discriminator="kind"),
]


class ShareClass(StrictModel):
    """The currency in which investors pay in and are paid out: the numeraire.

    Parameters
    ----------
    at_par: currencies that count one to one as the share class's, without a price.
    chain: of its wallet, when no venue of a mode is on a chain.
    lending_token: the token lent in the plain-lending benchmark.
    benchmark: the token whose yield is compared with the results, null for none.
    """

    share_class: Symbol
    at_par: tuple[Symbol, ...]
    chain: Name
    initial_capital: Annotated[float, Field(gt=0.0)]
    lending_token: Symbol
    max_leverage: Annotated[float, Field(ge=1.0)]
    benchmark: Symbol | None

    @property
    def currencies(self) -> tuple[str, ...]:
        """Its currency, then those that are at par with it."""
        return (self.share_class, *self.at_par)
