"""Rules between fields of a mode, its venues and its share class.

Each rule yields what is wrong with a mode; a mode with any problem is rejected (CONFIG-006).
"""

from collections.abc import Callable, Collection, Iterator

from basis_pipeline.config.loading import Configs
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.venue import (
    DecentralisedExchange,
    Exchange,
    LendingProtocol,
    StakingProtocol,
)
from basis_pipeline.errors import ConfigError

Rule = Callable[[ModeConfig, Configs], Iterator[str]]
_TOLERANCE = 1e-9


def staking_venue(lst: str, configs: Configs) -> StakingProtocol | None:
    """Return the protocol that issues `lst`, None when no venue does."""
    for venue in configs.venues.values():
        if isinstance(venue, StakingProtocol) and venue.lst == lst:
            return venue
    return None


def _share_class_fits(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    share_class = configs.share_classes[mode.share_class]
    lender, token = configs.venues.get(mode.lending.protocol), mode.lending.token
    coin = lender.tokens.get(token, token) if isinstance(lender, LendingProtocol) else token
    if mode.allocation.lending > 0 and coin not in share_class.currencies:
        yield f"lending.token {token} counts as {coin}, which is not at par with {mode.share_class}"
    if mode.allocation.spot > 0 and mode.asset in share_class.currencies:
        yield (
            f"allocation.spot buys the asset with the share class's currency, but {mode.asset} is "
            f"at par with {mode.share_class}"
        )


def _exposure_has_an_asset(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    issuer = staking_venue(mode.staking.lst, configs)
    if mode.allocation.staking > 0 and issuer and issuer.underlying != mode.asset:
        yield (
            f"staking.lst {mode.staking.lst} stakes {issuer.underlying}, asset says {mode.asset}"
        )
    if mode.buys_asset:
        venue = configs.venues.get(mode.spot.venue)
        if not isinstance(venue, Exchange | DecentralisedExchange):
            yield f"spot.venue {mode.spot.venue!r} is not an exchange"


def _hedge_is_whole(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if mode.hedge.ratio <= 0:
        return
    weights = mode.allocation
    total = sum(mode.hedge.venues.values())
    if abs(total - 1.0) > _TOLERANCE:
        yield f"hedge.venues weights sum to {total:g}, not 1"
    if weights.spot + weights.staking <= 0:
        yield "hedge.ratio > 0 with neither spot nor staking: there is nothing to hedge"
    if mode.asset in configs.share_classes[mode.share_class].currencies:
        yield f"hedge.ratio > 0 in the {mode.share_class} class: {mode.asset} needs no hedge there"
    if weights.lending + weights.spot + weights.staking >= 1:
        yield "a hedged mode needs allocation.lending + spot + staking < 1: the rest is margin"
    for name in mode.hedge.venues:
        if not isinstance(configs.venues.get(name), Exchange):
            yield f"hedge.venues: {name!r} has no perpetuals"


def _carry_is_whole(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    carry, weights = mode.hedge.carry, mode.allocation
    if not carry:
        return
    if abs(sum(carry.values())) > _TOLERANCE:
        yield f"hedge.carry sums to {sum(carry.values()):g}, not 0"
    if len(carry) < 2:
        yield "hedge.carry needs two venues: one that is long, one that is short"
    for name, leg in carry.items():
        if leg == 0:
            yield f"hedge.carry: {name} has a leg of 0; leave it out"
        if not isinstance(configs.venues.get(name), Exchange):
            yield f"hedge.carry: {name!r} has no perpetuals"
    if mode.hedge.ratio > 0:
        yield "hedge.carry and hedge.ratio > 0 exclude each other"
    if weights.spot + weights.staking > 0:
        yield "hedge.carry leaves allocation.spot and allocation.staking unhedged: they must be 0"
    if weights.lending >= 1:
        yield "hedge.carry needs allocation.lending < 1: the rest is margin"
    if mode.asset in configs.share_classes[mode.share_class].currencies:
        yield f"hedge.carry in the {mode.share_class} class: {mode.asset} has no price there"


def _margin_holds(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    weights = mode.allocation
    notional = mode.hedge.gross_carry or mode.hedge.ratio * (weights.spot + weights.staking)
    if notional <= 0:
        return
    target = (1.0 - weights.lending - weights.spot - weights.staking) / notional
    for name in mode.hedge_venues:
        venue = configs.venues.get(name)
        if isinstance(venue, Exchange) and target < venue.perp_margin.initial:
            yield f"margin of {target:.3g} of notional is below {name}'s initial margin"
    band = mode.rebalance.margin_ratio
    if mode.rebalance.enabled and not band.min < target < band.max:
        yield (
            f"the allocation's margin ratio {target:.3g} lies outside rebalance.margin_ratio "
            f"[{band.min:g}, {band.max:g}]: every hour would rebalance"
        )


def _venues_are_on_one_chain(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    names = {mode.spot.venue} if mode.buys_asset else set()
    names |= {mode.lending.protocol} if mode.allocation.lending > 0 or mode.is_leveraged else set()
    venues = [configs.venues.get(name) for name in sorted(names)]
    if mode.allocation.staking > 0:
        venues.append(staking_venue(mode.staking.lst, configs))
    chains = {v.venue: v.chain for v in venues if v and not isinstance(v, Exchange)}
    if len(set(chains.values())) > 1:
        listed = ", ".join(f"{venue} on {chain}" for venue, chain in chains.items())
        yield f"the venues of a mode are on one chain, not {listed}"


def _staking_is_known(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if mode.allocation.staking > 0 and staking_venue(mode.staking.lst, configs) is None:
        yield f"no venue in configs/venues/ issues staking.lst {mode.staking.lst!r}"


def _borrowing_is_allowed(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if not mode.is_leveraged:
        return
    staking, protocol = mode.staking, configs.venues.get(mode.lending.protocol)
    terms = protocol.emode.get(staking.lst) if isinstance(protocol, LendingProtocol) else None
    if terms is None:
        yield f"{mode.lending.protocol!r} does not take {staking.lst} as e-mode collateral"
        return
    if staking.target_ltv > staking.max_ltv:
        yield f"staking.target_ltv {staking.target_ltv:g} exceeds max_ltv {staking.max_ltv:g}"
    if staking.max_ltv > terms.max_ltv:
        yield f"staking.max_ltv {staking.max_ltv:g} exceeds the e-mode maximum {terms.max_ltv:g}"
    limit = configs.share_classes[mode.share_class].max_leverage
    if staking.leverage > limit + _TOLERANCE:
        yield f"leverage {staking.leverage:.4g} exceeds the {mode.share_class} class's {limit:g}"
    health_factor = terms.liquidation_threshold / staking.target_ltv
    if mode.rebalance.enabled and health_factor <= mode.rebalance.health_factor_floor:
        yield (
            f"the target's health factor {health_factor:.4g} is not above "
            f"rebalance.health_factor_floor {mode.rebalance.health_factor_floor:g}"
        )


def _lending_is_offered(mode: ModeConfig, configs: Configs) -> Iterator[str]:
    if mode.allocation.lending <= 0:
        return
    protocol = configs.venues.get(mode.lending.protocol)
    if not isinstance(protocol, LendingProtocol) or mode.lending.token not in protocol.tokens:
        yield f"lending.protocol {mode.lending.protocol!r} does not lend {mode.lending.token}"


def _withdrawals_can_be_paid(mode: ModeConfig, _: Configs) -> Iterator[str]:
    if not mode.rebalance.enabled and any(flow.amount < 0 for flow in mode.flows):
        yield "withdrawals need rebalance.enabled: nothing else frees the cash"


RULES: tuple[Rule, ...] = (
    _share_class_fits,
    _exposure_has_an_asset,
    _hedge_is_whole,
    _carry_is_whole,
    _margin_holds,
    _venues_are_on_one_chain,
    _staking_is_known,
    _borrowing_is_allowed,
    _lending_is_offered,
    _withdrawals_can_be_paid,
)


def broken_rules(mode: ModeConfig, configs: Configs) -> list[str]:
    """Return what is wrong with the mode, whose venues must exist; empty when it is sound."""
    return [problem for rule in RULES for problem in rule(mode, configs)]


def require_sound(mode: ModeConfig, configs: Configs) -> None:
    """Raise CONFIG-008 for an unknown venue or share class, CONFIG-006 for a broken rule.

    A venue or share class whose file is broken raises the error of that file.
    """
    _require(mode, configs, "share_classes", mode.share_class, configs.share_classes)
    issuer = staking_venue(mode.staking.lst, configs) if mode.allocation.staking > 0 else None
    sellers = (issuer.sold_at, *issuer.rewards.values()) if issuer else ()
    perps = (*mode.hedge.venues, *mode.hedge.carry)
    for name in (mode.spot.venue, mode.lending.protocol, *perps, *sellers):  # even if unused
        _require(mode, configs, "venues", name, configs.venues)
    if mode.allocation.staking > 0 and issuer is None:
        # The issuer is found by its token, so that any broken venue file may be its own.
        for file in configs.broken:
            configs.raise_if_broken("venues", file.removeprefix("venues/").removesuffix(".yaml"))
    if problems := broken_rules(mode, configs):
        raise ConfigError("CONFIG-006", "; ".join(problems), where=f"mode {mode.mode}")


def _require(
    mode: ModeConfig, configs: Configs, directory: str, name: str, there: Collection[str]
) -> None:
    if name in there:
        return
    configs.raise_if_broken(directory, name)
    what = f"configs/{directory}/{name}.yaml does not exist"
    where = f"mode {mode.mode}"
    raise ConfigError("CONFIG-008", what, where=where, available=", ".join(there))
