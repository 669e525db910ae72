"""How the platform works by itself: `configs/automation/limits.yaml`."""

from enum import StrEnum
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


class AlertKind(StrEnum):
    """What an alert is about; `basis events --type` takes these too."""

    RUN_FAILED = "run_failed"
    GATES_FAILED = "gates_failed"
    CONTROL_CHANGED = "control_changed"
    TICK_FAILED = "tick_failed"
    HEALTH_DEGRADED = "health_degraded"
    ORDERS_DUE = "orders_due"


class AlertSeverity(StrEnum):
    """INFO: good to know · WARN: works, but a person should look · ERROR: something does not."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class AlertLimits(StrictModel):
    """Which alerts the webhook receives, and how they are delivered.

    Parameters
    ----------
    kinds, severities: of the alerts that are delivered; the audit log has all.
    modes: only alerts of these modes and of none; None for every mode.
    alerts_a_message: that are posted together at most.
    timeout_seconds: of one attempt, to connect and to be answered.
    first_wait_seconds, longest_wait_seconds: between attempts, doubling, with jitter.
    retry_after_seconds: from a failed delivery to the next one.
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
        """Whether the webhook is to receive an alert; `mode` is empty when it is of none."""
        is_of_mode = self.modes is None or not mode or mode in self.modes
        return kind in self.kinds and severity in self.severities and is_of_mode


class Upkeep(StrictModel):
    """What the nightly upkeep of the results store leaves.

    Parameters
    ----------
    backups: the newest so many. runs_a_mode, signals_an_account: the newest so many of every mode
        and of every account; older ones go.
    """

    backups: Count
    runs_a_mode: Count
    signals_an_account: Count


class FetchLimits(StrictModel):
    """How long a source is asked, and when it is left alone.

    Parameters
    ----------
    attempts: of one question; the first is one of them.
    timeout_seconds: of one attempt, from the question to the last byte of the answer.
    total_seconds: of one question, waits included; a host that asks for a longer one has failed.
    first_wait_seconds, longest_wait_seconds: between attempts, doubling, with jitter; what a host
        asks for by `Retry-After` goes before.
    failures_to_open: failures in a row after which a host is left alone, for open_seconds.
    lock_seconds: how long another fetch of the same feed is waited for.
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
    settle_seconds: a raw file or a request must not have changed for so long.
    requests_a_run: backtest requests that one run serves.
    requests_a_tick: files of the inbox that one tick of the sensor reads.
    runs_a_tick: finished runs that one tick of the alert sensor looks at.
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
