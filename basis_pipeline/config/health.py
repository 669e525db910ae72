"""The limits that health is judged by: `configs/health/limits.yaml`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from basis_pipeline.config.base import Count, Positive, StrictModel
from basis_pipeline.config.loading import load_file


class Room(StrictModel):
    """Free space, in MiB, below which a component is degraded, and below which it is unhealthy."""

    degraded_below_mb: Positive
    unhealthy_below_mb: Positive

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.unhealthy_below_mb > self.degraded_below_mb:
            raise ValueError("unhealthy_below_mb must not exceed degraded_below_mb")
        return self


class HealthLimits(StrictModel):
    """Every limit of a health report.

    Parameters
    ----------
    daemon_silent_seconds: time without a heartbeat after which Dagster's daemon counts as stopped.
    history_runs: number of latest runs whose steps are timed.
    """

    name: Literal["limits"]
    disk: Room
    memory: Room
    daemon_silent_seconds: Positive
    history_runs: Count


def load_health_limits(config_dir: Path) -> HealthLimits:
    """Load the limits. Raises ConfigError as every other configuration file."""
    return load_file(config_dir / "health" / "limits.yaml", HealthLimits, "name")
