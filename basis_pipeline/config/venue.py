"""Venues: exchanges, decentralised exchanges, lending and staking protocols."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Name, Share, StrictModel

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
    spot_taker_fee_bps: Bps


class CollateralTerms(StrictModel):
    """Terms of one collateral against WETH debt."""

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
    """A lending protocol: the tokens it lends and its e-mode terms by collateral token."""

    kind: Literal["lending_protocol"]
    venue: Name
    tokens: tuple[str, ...]
    emode: dict[str, CollateralTerms]


class StakingProtocol(StrictModel):
    """The issuer of a liquid staking token, and the reward tokens its stakers receive."""

    kind: Literal["staking_protocol"]
    venue: Name
    lst: str
    reward_tokens: tuple[str, ...]


Venue = Annotated[
    Exchange | DecentralisedExchange | LendingProtocol | StakingProtocol,
    Field(discriminator="kind"),
]


class ShareClass(StrictModel):
    """The currency investors put in and are paid in: the numeraire."""

    share_class: Literal["USDT", "ETH"]
    initial_capital: Annotated[float, Field(gt=0.0)]
    lending_token: Literal["USDT", "WETH"]
    max_leverage: Annotated[float, Field(ge=1.0)]
    benchmark_dataset: str | None
