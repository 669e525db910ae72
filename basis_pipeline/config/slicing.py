"""A slice: the part of the configuration that a run of one mode depends on."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from basis_pipeline.config.base import StrictModel
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import Configs, canonical_json
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.overrides import apply_overrides
from basis_pipeline.config.rules import require_sound, staking_venue
from basis_pipeline.config.universe import USD, Kind, Of, Wanted, find
from basis_pipeline.config.venue import (
    Exchange,
    LendingProtocol,
    ShareClass,
    StakingProtocol,
    Venue,
)
from basis_pipeline.errors import ConfigError
from basis_pipeline.files import sha256

Need = tuple[Kind, dict[str, Wanted]]


class ModeSlice(StrictModel):
    """A mode with its share class, the venues it touches and the datasets it reads.

    Parameters
    ----------
    datasets: those read directly; those that a repair reads are named in their policies and are
        read only where there is a gap.
    counts_as: token or currency → the coin or currency that one unit of it is worth.
    """

    mode: ModeConfig
    share_class: ShareClass
    venues: dict[str, Venue]
    datasets: dict[str, DatasetConfig]
    counts_as: dict[str, str]

    @property
    def name(self) -> str:
        """The mode's name, which is its partition key."""
        return self.mode.mode

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return canonical_json(self)

    @cached_property
    def config_hash(self) -> str:
        """Sha256 of the canonical JSON."""
        return sha256(self.canonical)

    @cached_property
    def trading_hash(self) -> str:
        """Sha256 of what decides its trades: without gates, figures, flows and datasets."""
        mode = self.mode.model_dump_json(exclude={"gates", "metrics", "flows", "description"})
        return sha256(mode, *map(canonical_json, self.venues.values()))

    @property
    def lending_protocol(self) -> LendingProtocol | None:
        """The lending protocol in use, if any."""
        venue = self.venues.get(self.mode.lending.protocol)
        return venue if isinstance(venue, LendingProtocol) else None

    @property
    def staking_protocol(self) -> StakingProtocol | None:
        """The issuer of the liquid staking token in use, if any."""
        found = [v for v in self.venues.values() if isinstance(v, StakingProtocol)]
        return found[0] if found else None

    @property
    def reward_tokens(self) -> tuple[str, ...]:
        """Tokens credited to staked tokens, sorted; empty when rewards are off."""
        protocol = self.staking_protocol
        return tuple(sorted(protocol.rewards)) if protocol and self.mode.rewards.enabled else ()

    @property
    def debt_token(self) -> str:
        """The token borrowed against staked tokens; empty when nothing is borrowed."""
        protocol = self.lending_protocol if self.mode.is_leveraged else None
        return protocol.emode[self.mode.staking.lst].debt if protocol else ""

    @property
    def gas_token(self) -> str:
        """The coin in which gas is paid; empty when none is read."""
        found = [str(of.token) for of in self.of.values() if of.kind is Kind.GAS]
        return found[0] if found else ""

    @property
    def reward_quotes(self) -> tuple[str, ...]:
        """What each reward token is quoted in."""
        return tuple(str(self.find(Kind.SPOT_BARS, base=t).quote) for t in self.reward_tokens)

    @property
    def holds_its_currency(self) -> bool:
        """Whether the asset is the share class's currency, and has a price in USD that moves."""
        return self.mode.asset == self.mode.share_class and USD not in self.share_class.at_par

    @cached_property
    def of(self) -> dict[str, Of]:
        """What each dataset describes."""
        return {name: config.of for name, config in self.datasets.items()}

    def find(self, kind: Kind, **keys: Wanted) -> Of:
        """Return what the matching dataset describes. Raises ConfigError as `universe.find`."""
        return self.of[find(self.of, kind, keys)]

    @property
    def spot_quote(self) -> str:
        """The currency in which the asset's spot price is quoted; the numeraire without one."""
        if not self.mode.buys_asset:
            return self.mode.share_class
        venue = self.mode.spot.venue
        return str(self.find(Kind.SPOT_BARS, venue=venue, base=self.mode.asset).quote)

    def perp_quote(self, venue: str) -> str:
        """Return the currency in which the perpetual at a hedge venue is quoted and margined."""
        return str(self.find(Kind.PERP_BARS, venue=venue, base=self.mode.asset).quote)

    @property
    def hedge_exchanges(self) -> tuple[Exchange, ...]:
        """Exchanges that hold a perpetual, sorted by name."""
        venues = [self.venues[name] for name in self.mode.hedge_venues]
        return tuple(venue for venue in venues if isinstance(venue, Exchange))


def _venues(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if mode.buys_asset:
        yield mode.spot.venue
    if mode.allocation.lending > 0 or mode.is_leveraged:
        yield mode.lending.protocol
    staked = mode.allocation.staking > 0
    protocol = staking_venue(mode.staking.lst, configs) if staked else None
    if protocol is not None:
        yield protocol.venue
    if mode.costs.enabled and mode.costs.model == "fees" and protocol is not None:
        yield protocol.sold_at
        yield from protocol.rewards.values() if mode.rewards.enabled else ()
    yield from mode.hedge_venues


def _needs(mode: ModeConfig, configs: Configs, venues: Mapping[str, Venue]) -> Iterator[Need]:
    """Yield what the mode's datasets must describe, except those of its costs."""
    lst, weights = mode.staking.lst, mode.allocation
    protocol = {"venue": mode.lending.protocol}
    market: dict[str, Wanted] = {
        "base": mode.asset,
        "quote": configs.share_classes[mode.share_class].currencies,
    }
    if weights.lending > 0:
        yield Kind.LENDING_RATES, {**protocol, "token": mode.lending.token}
    if mode.buys_asset:
        yield Kind.SPOT_BARS, {"venue": mode.spot.venue, **market}
    issuer = staking_venue(lst, configs) if weights.staking > 0 else None
    if issuer is not None:
        yield Kind.ORACLE, {"lst": lst}
        yield Kind.PEG, {"lst": lst, "venue": issuer.sold_at}
    if mode.is_leveraged:
        lender = venues[mode.lending.protocol]
        assert isinstance(lender, LendingProtocol)  # a rule of the configuration
        yield Kind.LENDING_RATES, {**protocol, "token": lst}
        yield Kind.LENDING_RATES, {**protocol, "token": lender.emode[lst].debt}
    for venue in mode.hedge_venues:
        yield Kind.PERP_BARS, {"venue": venue, **market}
        yield Kind.FUNDING, {"venue": venue, **market}
    for token, venue in issuer.rewards.items() if issuer and mode.rewards.enabled else ():
        yield Kind.REWARDS, {"token": token}
        yield Kind.SPOT_BARS, {"venue": venue, "base": token}


def _cost_datasets(
    mode: ModeConfig, configs: Configs, venues: Mapping[str, Venue]
) -> Iterator[DatasetConfig]:
    """Yield the datasets of gas, execution costs and USD prices.

    A coin without a spot series of the mode has the price of the lending protocol, or that of
    another spot series where the protocol has none.
    """
    if not mode.costs.enabled:
        return
    share_class = configs.share_classes[mode.share_class]
    coins = [mode.share_class]
    if mode.costs.gas_multiplier > 0:
        on_chain = [v.chain for v in venues.values() if not isinstance(v, Exchange)]
        gas = configs.find(Kind.GAS, chain=next(iter(on_chain), share_class.chain))
        coins.append(str(gas.of.token))
        yield gas
    trades = mode.allocation.spot + mode.allocation.staking > 0 or mode.is_hedged
    if mode.costs.model == "table" and trades:
        yield configs.find(Kind.EXECUTION_COSTS)
    known = {USD, *(share_class.currencies if USD in share_class.at_par else ())}
    known |= {mode.asset} if mode.buys_asset else set()
    for coin in dict.fromkeys(coins):
        if coin not in known:
            yield _priced_in_usd(coin, mode, configs)


def _priced_in_usd(coin: str, mode: ModeConfig, configs: Configs) -> DatasetConfig:
    lender = configs.venues[mode.lending.protocol]
    reserves = lender.tokens.items() if isinstance(lender, LendingProtocol) else ()
    tokens = tuple(token for token, counts_as in reserves if counts_as == coin)
    try:
        return configs.find(Kind.LENDING_RATES, venue=lender.venue, token=tokens)
    except ConfigError as error:
        quotes = (*configs.share_classes[mode.share_class].currencies, USD)
        if error.code != "CONFIG-009" or not configs.matching(
            Kind.SPOT_BARS, base=coin, quote=quotes
        ):
            raise
    return configs.find(Kind.SPOT_BARS, base=coin, quote=quotes)


def _datasets(
    mode: ModeConfig, configs: Configs, venues: Mapping[str, Venue]
) -> dict[str, DatasetConfig]:
    """Find every dataset the mode needs; what is missing is reported together."""
    found, missing = list[DatasetConfig](), list[ConfigError]()
    for kind, keys in _needs(mode, configs, venues):
        try:
            found.append(configs.find(kind, **keys))
        except ConfigError as error:
            if error.code != "CONFIG-009":
                raise
            missing.append(error)
    if len(missing) > 1:
        raise ConfigError(
            "CONFIG-009",
            f"mode {mode.mode} lacks {len(missing)} datasets: "
            + "; ".join(error.what for error in missing),
            where="configs/datasets/",
            available="; ".join(dict.fromkeys(error.available for error in missing)),
            action="; ".join(error.action for error in missing),
        )
    if missing:
        raise missing[0]
    found += _cost_datasets(mode, configs, venues)
    return {config.name: config for config in sorted(found, key=lambda config: config.name)}


def _counts_as(
    mode: ModeConfig, configs: Configs, datasets: Mapping[str, DatasetConfig]
) -> dict[str, str]:
    lender = configs.venues[mode.lending.protocol]
    reserves = lender.tokens if isinstance(lender, LendingProtocol) else {}
    tokens = {config.of.token for config in datasets.values()}
    wrapped = {t: coin for t, coin in reserves.items() if t in tokens and t != coin}
    return {
        **dict.fromkeys(configs.share_classes[mode.share_class].at_par, mode.share_class),
        **wrapped,
    }


def slice_mode(
    configs: Configs, name: str, overrides: Mapping[str, Any] | None = None
) -> ModeSlice:
    """Return the slice of one mode, with dotted overrides.

    Raises
    ------
    ConfigError: that of a broken file the mode needs, CONFIG-007 an unknown mode, CONFIG-010,
        CONFIG-MGR-003 or CONFIG-005 an unusable override, CONFIG-008 an unknown venue, CONFIG-006 a
        broken rule, CONFIG-009 a dataset that no file describes, CONFIG-014 one that several do.
    """
    mode = apply_overrides(configs.mode(name), overrides or {})
    require_sound(mode, configs)
    venues = {venue: configs.venues[venue] for venue in sorted(set(_venues(mode, configs)))}
    datasets = _datasets(mode, configs, venues)
    return ModeSlice(
        mode=mode,
        share_class=configs.share_classes[mode.share_class],
        venues=venues,
        datasets=datasets,
        counts_as=_counts_as(mode, configs, datasets),
    )
