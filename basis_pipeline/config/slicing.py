"""A slice: everything one mode's run depends on in the configuration, and nothing else."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from basis_pipeline.config.base import StrictModel
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import Configs, canonical_json
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.overrides import apply_overrides
from basis_pipeline.config.rules import require_sound, staking_venue
from basis_pipeline.config.venue import (
    Exchange,
    LendingProtocol,
    ShareClass,
    StakingProtocol,
    Venue,
)
from basis_pipeline.errors import ConfigError


class ModeSlice(StrictModel):
    """A mode with its share class, the venues it touches and the datasets it reads.

    `datasets` holds the datasets read directly; what a repair may substitute from is named in
    their policies and is read only where there is a hole.
    """

    mode: ModeConfig
    share_class: ShareClass
    venues: dict[str, Venue]
    datasets: dict[str, DatasetConfig]

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
        return hashlib.sha256(self.canonical.encode()).hexdigest()

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
        """Tokens credited to the staked ETH; empty when rewards are off."""
        protocol = self.staking_protocol
        return protocol.reward_tokens if protocol and self.mode.rewards.enabled else ()

    @property
    def hedge_exchanges(self) -> tuple[Exchange, ...]:
        """Exchanges that hold a short, sorted by name."""
        venues = [self.venues[name] for name in self.mode.hedge_venues]
        return tuple(venue for venue in venues if isinstance(venue, Exchange))


def _venues(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if mode.buys_asset:
        yield mode.spot.venue
    if mode.allocation.lending > 0 or mode.is_leveraged:
        yield mode.lending.protocol
    if mode.allocation.staking > 0:
        protocol = staking_venue(mode.staking.lst, configs)
        if protocol is not None:
            yield protocol.venue
    yield from mode.hedge_venues


def _datasets(mode: ModeConfig, reward_tokens: tuple[str, ...]) -> Iterator[str]:
    coin, lst, weights = mode.asset.lower(), mode.staking.lst.lower(), mode.allocation
    if weights.lending > 0:
        yield f"aave_{mode.lending.token.lower()}_rates"
    if mode.buys_asset:
        yield f"{mode.spot.venue}_{coin}usdt_spot"
    if weights.staking > 0:
        yield f"{lst}_oracle"
        yield f"{lst}_peg"
    if mode.is_leveraged:
        yield f"aave_{lst}_rates"
        yield "aave_weth_rates"
    for venue in mode.hedge_venues:
        yield f"{venue}_{coin}usdt_perp"
        yield f"{venue}_{coin}usdt_funding"
    for token in reward_tokens:
        yield f"{token.lower()}_rewards"
        yield f"uniswapv3_{token.lower()}weth_spot"
    if mode.costs.enabled:
        yield "ethereum_gas"
        if mode.costs.model == "table" and weights.spot + weights.staking > 0:
            yield "execution_costs"
        if not (mode.asset == "ETH" and mode.buys_asset):
            yield "aave_weth_rates"  # gas is paid in ETH; without a spot series, at Aave's price


def slice_mode(
    configs: Configs, name: str, overrides: Mapping[str, Any] | None = None
) -> ModeSlice:
    """Slice one mode out of the configuration, with dotted overrides.

    Raises
    ------
    ConfigError: that of a broken file the mode needs, CONFIG-007 unknown mode, CONFIG-010,
        CONFIG-MGR-003 or CONFIG-005 an unusable override, CONFIG-008 an unknown venue, CONFIG-006 a
        broken rule, CONFIG-009 a dataset missing from the catalogue.
    """
    mode = apply_overrides(configs.mode(name), overrides or {})
    require_sound(mode, configs)
    venues = {venue: configs.venues[venue] for venue in sorted(set(_venues(mode, configs)))}
    stakers = [v for v in venues.values() if isinstance(v, StakingProtocol)]
    rewards = stakers[0].reward_tokens if stakers and mode.rewards.enabled else ()
    needed = sorted(set(_datasets(mode, rewards)))
    missing = [dataset for dataset in needed if dataset not in configs.datasets]
    for dataset in missing:
        configs.raise_if_broken("datasets", dataset)
    if missing:
        raise ConfigError(
            "CONFIG-009",
            f"mode {name} needs {', '.join(missing)}, which the catalogue does not hold",
            where="configs/datasets/",
            available=", ".join(sorted(configs.datasets)),
            context={
                "required": ", ".join(missing),
                "expected": ", ".join(f"configs/datasets/{dataset}.yaml" for dataset in missing),
            },
        )
    return ModeSlice(
        mode=mode,
        share_class=configs.share_classes[mode.share_class],
        venues=venues,
        datasets={dataset: configs.datasets[dataset] for dataset in needed},
    )
