"""The limits of sensors, requests, alerts and fetches: `configs/automation/limits.yaml`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Count, Positive, StrictModel
from basis_pipeline.config.loading import load_file


class RawData(StrictModel):
    """Hours since a raw feed was last read, after which it is late."""

    warn_after_hours: Count
    fail_after_hours: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn_after_hours >= self.fail_after_hours:
            raise ValueError("warn_after_hours must be less than fail_after_hours")
        return self


class AlertKind(StrEnum):
    """What an alert is about; `basis events --type` takes these too."""

    RUN_FAILED = "run_failed"
    GATES_FAILED = "gates_failed"
    CONTROL_CHANGED = "control_changed"
    TICK_FAILED = "tick_failed"
    HEALTH_DEGRADED = "health_degraded"
    ORDERS_DUE = "orders_due"


class AlertSeverity(StrEnum):
    """INFO: for information · WARN: works, but needs review · ERROR: something does not work."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class AlertLimits(StrictModel):
    """Which alerts the webhook receives, and how they are delivered.

    Parameters
    ----------
    kinds, severities: of the alerts that are delivered; the audit log has all.
    modes: only alerts of these modes and of no mode; None for every mode.
    alerts_a_message: most alerts in one message.
    timeout_seconds: of one attempt, for the connection and for the answer.
    first_wait_seconds, longest_wait_seconds: between attempts, doubling, with jitter.
    retry_after_seconds: from a failed delivery to the next.
    """

    kinds: list[AlertKind]
    severities: list[AlertSeverity]
    modes: list[str] | None
    alerts_a_message: Count
    timeout_seconds: Positive
    attempts: Count
    first_wait_seconds: Positive
    longest_wait_seconds: Positive
    retry_after_seconds: Positive

    def accepts(self, kind: AlertKind, severity: AlertSeverity, mode: str) -> bool:
        """Return whether the webhook receives an alert; `mode` is empty for one of no mode."""
        is_of_mode = self.modes is None or not mode or mode in self.modes
        return kind in self.kinds and severity in self.severities and is_of_mode


class Upkeep(StrictModel):
    """What the nightly upkeep of the results store keeps.

    Parameters
    ----------
    backups: number of the newest backups. runs_a_mode: number of the newest runs of each mode.
    signals_an_account: number of the newest signals of each account.
    """

    backups: Count
    runs_a_mode: Count
    signals_an_account: Count


class FetchLimits(StrictModel):
    """How long a fetch tries, and when it stops contacting a host.

    Parameters
    ----------
    attempts: of one request, the first included.
    timeout_seconds: of one attempt, to the last byte of the answer.
    total_seconds: of one request, waits included; a host that asks for a longer wait has failed.
    first_wait_seconds, longest_wait_seconds: between attempts, doubling, with jitter; the
        `Retry-After` of a host takes precedence.
    failures_to_open: failures in a row after which a host is not contacted for open_seconds.
    lock_seconds: how long to wait for another fetch of the same feed.
    """

    attempts: Count
    timeout_seconds: Positive
    total_seconds: Positive
    first_wait_seconds: Positive
    longest_wait_seconds: Positive
    failures_to_open: Count
    open_seconds: Positive
    lock_seconds: Positive


class AutomationLimits(StrictModel):
    """Every limit of sensors, requests, alerts and fetches.

    Parameters
    ----------
    settle_seconds: how long a raw file or a request must be unchanged before it is read.
    requests_a_run: backtest requests that one run serves.
    requests_a_tick: files of the inbox that one tick of the sensor reads.
    runs_a_tick: finished runs that one tick of the alert sensor evaluates.
    """

    name: Literal["limits"]
    settle_seconds: Annotated[float, Field(ge=0.0)]
    raw_data: RawData
    requests_a_run: Count
    requests_a_tick: Count
    runs_a_tick: Count
    upkeep: Upkeep
    alerts: AlertLimits
    fetch: FetchLimits


def load_automation_limits(config_dir: Path) -> AutomationLimits:
    """Load the limits. Raises ConfigError as every other configuration file."""
    return load_file(config_dir / "automation" / "limits.yaml", AutomationLimits, "name")
