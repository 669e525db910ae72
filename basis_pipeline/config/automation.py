"""How the platform works by itself: `configs/automation/limits.yaml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Count, Positive, StrictModel
from basis_pipeline.config.loading import load_file


class RawData(StrictModel):
    """Hours since a raw family was last read, from which on it is late."""

    warn_after_hours: Count
    fail_after_hours: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn_after_hours >= self.fail_after_hours:
            raise ValueError("warn_after_hours must be less than fail_after_hours")
        return self


class Webhook(StrictModel):
    """How an alert is delivered.

    Parameters
    ----------
    timeout_seconds: of one attempt, to connect and to be answered.
    first_wait_seconds, longest_wait_seconds: between attempts, doubling, with jitter.
    open_after_failures: failed deliveries in a row after which none is tried for
        `closed_after_seconds`.
    """

    timeout_seconds: Positive
    attempts: Count
    first_wait_seconds: Positive
    longest_wait_seconds: Positive
    open_after_failures: Count
    closed_after_seconds: Positive


class Upkeep(StrictModel):
    """What the nightly upkeep of the results store leaves.

    Parameters
    ----------
    backups: the newest so many. runs_a_mode: the newest so many of every mode; older ones go.
    """

    backups: Count
    runs_a_mode: Count


class AutomationLimits(StrictModel):
    """Every limit of sensors, requests and alerts.

    Parameters
    ----------
    settle_seconds: a raw file or a request must not have changed for so long.
    requests_a_run: backtest requests that one run serves.
    requests_a_tick: files of the inbox that one tick of the sensor reads.
    alerts_a_look: finished runs that one look of the alert sensor tells of.
    """

    name: Literal["limits"]
    settle_seconds: Annotated[float, Field(ge=0.0)]
    raw_data: RawData
    requests_a_run: Count
    requests_a_tick: Count
    alerts_a_look: Count
    upkeep: Upkeep
    webhook: Webhook


def load_automation_limits(config_dir: Path) -> AutomationLimits:
    """Load the limits. Raises ConfigError as every other configuration file."""
    return load_file(config_dir / "automation" / "limits.yaml", AutomationLimits, "name")
