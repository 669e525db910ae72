"""The limits of emergency control: `configs/control/limits.yaml`."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import StrictModel
from basis_pipeline.config.loading import load_file
from basis_pipeline.errors import ConfigError


class Limit(StrEnum):
    """A monitored figure; its name includes the unit. Figures as in SEMANTICS 10 and 11."""

    DAILY_LOSS = "daily_loss_fraction"
    DRAWDOWN = "drawdown_fraction"
    HEALTH_FACTOR = "health_factor"
    MARGIN_RATIO = "margin_ratio"
    DELTA = "delta_fraction"
    FAILED_GATES = "failed_gates_in_a_row"

    @property
    def is_floor(self) -> bool:
        """Whether lower is worse."""
        return self in (Limit.HEALTH_FACTOR, Limit.MARGIN_RATIO)

    def is_worse(self, value: float, than: float) -> bool:
        """Return whether a value is strictly worse than another."""
        return value < than if self.is_floor else value > than


Bound = Annotated[float, Field(gt=0.0)] | None


class Bounds(StrictModel):
    """The value that raises an alert, and the value that halts work; None for no limit."""

    alert: Bound
    halt: Bound


Limits = dict[Limit, Bounds | None]


class ControlLimits(StrictModel):
    """Every limit of emergency control.

    Parameters
    ----------
    overall: every limit, for every mode and for figures of no mode.
    modes: by mode, the limits that replace the overall ones.
    """

    name: Literal["limits"]
    overall: Limits
    modes: dict[str, Limits]

    def of(self, mode: str) -> Limits:
        """Return the limits of a mode; the overall ones for an empty name."""
        return {**self.overall, **self.modes.get(mode, {})}

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        problems = [f"overall.{limit}: missing" for limit in Limit if limit not in self.overall]
        problems += _problems("overall", self.overall)
        for mode, limits in self.modes.items():
            problems += _problems(f"modes.{mode}", limits)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _problems(place: str, limits: Limits) -> Iterator[str]:
    for limit, bounds in limits.items():
        if bounds is None:
            continue
        given = [bound for bound in (bounds.alert, bounds.halt) if bound is not None]
        if len(given) == 2 and limit.is_worse(given[0], than=given[1]):
            yield f"{place}.{limit}: halt must not come before alert"
        if limit in (Limit.DAILY_LOSS, Limit.DRAWDOWN) and max(given, default=0.0) > 1.0:
            yield f"{place}.{limit}: a fraction above 1 is never reached"
        if limit is Limit.FAILED_GATES and any(bound % 1.0 for bound in given):
            yield f"{place}.{limit}: gates are counted in whole numbers"


def load_control_limits(config_dir: Path) -> ControlLimits:
    """Load the limits. Raises ConfigError as every other configuration file."""
    return load_file(config_dir / "control" / "limits.yaml", ControlLimits, "name")


def unknown_modes(config_dir: Path, limits: ControlLimits) -> ConfigError | None:
    """Return the error of limits for modes that have no file; they have no effect."""
    modes = {path.stem for path in (config_dir / "modes").glob("*.yaml")}
    if not (unknown := sorted(set(limits.modes) - modes)):
        return None
    return ConfigError(
        "CONFIG-007",
        f"there is no mode {', '.join(unknown)}: its limits are ignored",
        where="control/limits.yaml",
        available=", ".join(sorted(modes)),
    )
