"""Scenario sets: which points of a mode's configuration, market and history a sweep runs over.

`configs/scenarios/*.yaml`. A set crosses four things: samples of the keys, named windows, named
markets (lists of shocks), and paths resampled from history. What is left out is unchanged.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from basis_pipeline.config.base import NAME, Count, Hours, Name, Positive, StrictModel
from basis_pipeline.config.loading import load_file
from basis_pipeline.errors import ConfigError

MAX_POINTS = 10_000_000
DIRECTORY = "scenarios"  # of the sets, below `configs/`
CAPITAL = "capital"  # a key besides those of the mode
OWN_SETS: Mapping[str, tuple[str, ...]] = {
    "stress": ("crises", "replays"),
    "montecarlo": ("bootstrapped",),
    "sweep": (),  # the one with the name of the mode
}

Seed = Annotated[int, Field(ge=0)]


class Range(StrictModel):
    """Numbers from `low` to `high`: `steps` of them on a grid, any of them in a random sample.

    On a logarithmic scale equal steps are equal ratios.
    """

    low: float
    high: float
    steps: Annotated[int, Field(ge=2)] | None = None
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty")
        if self.scale == "log" and self.low <= 0.0:
            raise ValueError(f"a logarithmic range cannot start at {self.low:g}")
        return self


class Choice(StrictModel):
    """One of several values, of any type that the key takes."""

    values: Annotated[tuple[Any, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _different(self) -> Self:
        if any(value in self.values[:i] for i, value in enumerate(self.values)):
            raise ValueError("a value is given twice")
        return self


Axis = Range | Choice


class Sampling(StrictModel):
    """How the keys' values are combined: all of them, or a number of points drawn with a seed."""

    method: Literal["grid", "random", "sobol"]
    points: Count | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _drawn_or_not(self) -> Self:
        drawn = self.method != "grid"
        if drawn != (self.points is not None) or drawn != (self.seed is not None):
            raise ValueError("points and seed belong to random and sobol, and both are needed")
        return self


class Replay(StrictModel):
    """A window of history, its ends included: a date (00:00 UTC) or an hour in UTC."""

    start: str
    end: str


class Moment(StrictModel):
    """Base of the shocks: when one begins, as hours after the first mark or as a date or hour."""

    at: Annotated[int, Field(ge=0)] | str

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, value: int | str) -> int | str:
        if isinstance(value, str):
            datetime.fromisoformat(value)
        return value


class SpotPath(StrictModel):
    """The asset's price path is scaled: every logarithmic return is multiplied by `1 + size`.

    A size of 0 changes nothing, 1 doubles every return, -1 keeps the price constant.
    """

    shock: Literal["spot_path"]
    size: float


class PriceGap(Moment):
    """The asset's price jumps by the share `size`, and may come back in a straight line."""

    shock: Literal["price_gap"]
    size: Annotated[float, Field(gt=-1.0)]
    recovery_hours: Hours | None = None


class FundingShock(Moment):
    """Funding rates times `factor` plus `shift` a settlement; a factor of -1 flips them."""

    shock: Literal["funding"]
    hours: Hours
    venues: tuple[Name, ...] | None = None  # all of them, when not given
    factor: float = 1.0
    shift: float = 0.0


class LstDepeg(Moment):
    """The LST sells for `size` less than it redeems for, and recovers in a straight line."""

    shock: Literal["lst_depeg"]
    size: Annotated[float, Field(ge=0.0, lt=1.0)]
    recovery_hours: Hours


class GasSpike(Moment):
    """Gas costs `1 + size` times as much."""

    shock: Literal["gas_spike"]
    hours: Hours
    size: Annotated[float, Field(ge=0.0)]


class BorrowRateSpike(Moment):
    """Borrowing costs `size` more a year, as a continuously compounded rate."""

    shock: Literal["borrow_rate_spike"]
    hours: Hours
    size: Annotated[float, Field(ge=0.0)]


class VenueOutage(Moment):
    """A hedge venue is down: until it is back its last price stays and nothing settles."""

    shock: Literal["venue_outage"]
    hours: Hours
    venue: Name


Shock = Annotated[
    SpotPath | PriceGap | FundingShock | LstDepeg | GasSpike | BorrowRateSpike | VenueOutage,
    Field(discriminator="shock"),
]


class Bootstrap(StrictModel):
    """Paths made of blocks of history, of random length, in random order (stationary bootstrap)."""

    paths: Count
    mean_block_hours: Annotated[int, Field(ge=2)]
    seed: Seed


class Constraints(StrictModel):
    """The limits that a point must keep; null for no limit."""

    max_liquidations: Annotated[int, Field(ge=0)] | None
    max_drawdown: Annotated[float, Field(gt=0.0, le=1.0)] | None
    min_health_factor: Positive | None
    min_margin_ratio: Positive | None


class ScenarioSet(StrictModel):
    """A set of scenarios; its size is the product of what it crosses (`points.size`).

    `limits` apply to its worst point.
    """

    name: Name
    description: str
    sampling: Sampling
    keys: dict[str, Axis] = Field(default_factory=dict)
    windows: Annotated[dict[Name, Replay], Field(min_length=1)] | None = None
    markets: Annotated[dict[Name, tuple[Shock, ...]], Field(min_length=1)] | None = None
    bootstrap: Bootstrap | None = None
    limits: Constraints | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, axis in self.keys.items():
            gridded = isinstance(axis, Range) and axis.steps is not None
            if isinstance(axis, Range) and gridded != (self.sampling.method == "grid"):
                raise ValueError(f"{key}: a range has steps on a grid, and only there")
            inside = [other for other in self.keys if other.startswith(f"{key}.")]
            if inside:
                raise ValueError(f"{key} would replace {inside[0]}, which is swept as well")
        if self.sampling.method != "grid" and not self.keys:
            raise ValueError("there is nothing to draw: no keys are given")
        return self


def own_sets(kind: str, mode: str) -> tuple[str, ...]:
    """Return the sets that a kind of study, a key of `OWN_SETS`, runs over a mode by default."""
    return OWN_SETS[kind] or (mode,)


def set_file(config_dir: Path, name: str) -> Path:
    """Return the file of the set of this name."""
    return config_dir / DIRECTORY / f"{name}.yaml"


def sets_in(directory: Path) -> list[str]:
    """List the sets of a directory by file name, sorted, without opening them."""
    return sorted(path.stem for path in directory.glob("*.yaml") if re.match(NAME, path.stem))


def load_scenario_set(path: Path) -> ScenarioSet:
    """Load one set from its file, whose stem is its name.

    Raises
    ------
    ConfigError: CONFIG-003 no such file, else as `load_file`.
    """
    if not path.exists():
        raise ConfigError(
            "CONFIG-003",
            f"there is no scenario set {path.stem}",
            where=str(path),
            available=", ".join(sets_in(path.parent)),
            action="name one of those, or give a file of your own",
        )
    return load_file(path, ScenarioSet, "name")
