"""What a dataset describes: its key `of`. Datasets are found by this, never by their names."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Name, StrictModel
from basis_pipeline.errors import ConfigError

# The currency in which lending protocols price their reserves and cost tables size their trades.
USD = "USD"
SHOWN_NEAREST = 3

Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
Wanted = str | tuple[str, ...]


class Kind(StrEnum):
    """What a dataset holds; its columns, its grid of timestamps and its checks follow from it."""

    PERP_BARS = "perp_bars"
    SPOT_BARS = "spot_bars"
    FUNDING = "funding"
    LENDING_RATES = "lending_rates"
    ORACLE = "oracle"
    PEG = "peg"
    GAS = "gas"
    EXECUTION_COSTS = "execution_costs"
    REWARDS = "rewards"
    BENCHMARK = "benchmark"
    RISK_PARAMS = "risk_params"


BARS = (Kind.PERP_BARS, Kind.SPOT_BARS)
# The keys of each kind besides `kind`: all are required, and no others are allowed.
KEYS: dict[Kind, tuple[str, ...]] = {
    Kind.PERP_BARS: ("venue", "base", "quote"),
    Kind.SPOT_BARS: ("venue", "base", "quote"),
    Kind.FUNDING: ("venue", "base", "quote"),
    Kind.LENDING_RATES: ("venue", "token"),
    Kind.ORACLE: ("lst",),
    Kind.PEG: ("venue", "lst"),
    Kind.GAS: ("chain", "token"),
    Kind.EXECUTION_COSTS: (),
    Kind.REWARDS: ("token",),
    Kind.BENCHMARK: ("token",),
    Kind.RISK_PARAMS: ("venue",),
}


class Of(StrictModel):
    """What a dataset describes.

    Parameters
    ----------
    venue: the exchange, pool or protocol, by the name of its file.
    base, quote: what is traded and what it is priced in. A wrapped coin is written as the coin.
    token: the reserve that is lent, the reward that is paid, the token with the benchmark's yield,
        or the coin in which the chain's gas is paid.
    lst: the liquid staking token.
    chain: the chain whose gas it is.
    """

    kind: Kind
    venue: Name | None = None
    base: Symbol | None = None
    quote: Symbol | None = None
    token: Symbol | None = None
    lst: Symbol | None = None
    chain: Name | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The keys besides `kind`, with their values."""
        return {key: getattr(self, key) for key in KEYS[self.kind]}

    @model_validator(mode="after")
    def _has_the_keys_of_its_kind(self) -> Self:
        given = {name for name in self.model_fields_set - {"kind"} if getattr(self, name)}
        if given != set(KEYS[self.kind]):
            wanted = ", ".join(KEYS[self.kind]) or "no further keys"
            raise ValueError(f"{self.kind} needs {wanted}; given: {', '.join(sorted(given))}")
        return self

    def fits(self, kind: Kind, keys: Mapping[str, Wanted]) -> bool:
        """Return whether kind and keys match; of several values for a key any one does."""
        own = self.keys if self.kind is kind else {}
        return self.kind is kind and all(own[key] in _options(keys[key]) for key in keys)

    def __str__(self) -> str:
        return _written(self.kind, self.keys)


def matching(catalogue: Mapping[str, Of], kind: Kind, keys: Mapping[str, Wanted]) -> list[str]:
    """List the names of the datasets that match, sorted.

    Parameters
    ----------
    keys: any of the kind's keys. A tuple gives values in order of preference: a dataset with a
        later one is left out where another has an earlier one.
    """
    found = sorted(name for name, of in catalogue.items() if of.fits(kind, keys))
    for key, wanted in keys.items():
        places = {name: _options(wanted).index(catalogue[name].keys[key]) for name in found}
        found = [name for name in found if places[name] == min(places.values())]
    return found


def find(catalogue: Mapping[str, Of], kind: Kind, keys: Mapping[str, Wanted]) -> str:
    """Return the name of the one dataset that matches; `keys` as for `matching`.

    Raises
    ------
    ConfigError: CONFIG-009 when there is none, CONFIG-014 when there are several.
    """
    found = matching(catalogue, kind, keys)
    if len(found) == 1:
        return found[0]
    sought = _written(kind, keys)
    if found:
        raise ConfigError(
            "CONFIG-014",
            f"{len(found)} datasets match {sought}: {', '.join(found)}",
            where="configs/datasets/",
            available="; ".join(f"{name}: {catalogue[name]}" for name in found),
            action="keep one of the files, or correct the key `of` of the others",
        )
    raise ConfigError(
        "CONFIG-009",
        f"no dataset matches {sought}",
        where="configs/datasets/",
        available=_nearest(catalogue, kind, keys),
        action=f"add a file to configs/datasets/ with `of: {_example(kind, keys)}`",
        context={"required": sought, "expected": "configs/datasets/*.yaml"},
    )


def _options(wanted: Wanted) -> tuple[str, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _written(kind: Kind, keys: Mapping[str, Wanted]) -> str:
    given = [f"{key}: {' or '.join(_options(wanted))}" for key, wanted in keys.items()]
    return "{" + ", ".join([f"kind: {kind}", *given]) + "}"


def _example(kind: Kind, keys: Mapping[str, Wanted]) -> str:
    given = {key: _options(keys[key])[0] if key in keys else "…" for key in KEYS[kind]}
    return _written(kind, given)


def _nearest(catalogue: Mapping[str, Of], kind: Kind, keys: Mapping[str, Wanted]) -> str:
    """List the datasets of that kind that share most keys, in one line."""

    def shared(name: str) -> int:
        own = catalogue[name].keys
        return sum(own[key] in _options(wanted) for key, wanted in keys.items())

    alike = [name for name, of in catalogue.items() if of.kind is kind]
    nearest = sorted(alike, key=lambda name: (-shared(name), name))[:SHOWN_NEAREST]
    listed = "; ".join(f"{name}: {catalogue[name]}" for name in nearest)
    return f"nearest are {listed}" if listed else f"no dataset of kind {kind}"
