"""The types of a health report, and the metrics that the orchestration reads from Dagster."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from basis_pipeline.errors import BasisError, HealthError


class Status(StrEnum):
    """Status of a component, the worst first."""

    UNHEALTHY = "unhealthy"  # does not work, because of its own fault
    DEGRADED = "degraded"  # works, but needs review
    UNKNOWN = "unknown"  # could not be checked
    NOT_READY = "not ready"  # has no fault, but cannot work yet, or not now
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of checking one component alone.

    Parameters
    ----------
    message: one sentence.
    code, where, action: of the error behind it; empty without one.
    cause: the fault itself, or the one that caused it; equal causes are one fault.
    stops: components that need it cannot work.
    latency_ms: duration of the check; 0 without one.
    """

    status: Status
    message: str
    code: str = ""
    where: str = ""
    action: str = ""
    cause: str = ""
    stops: bool = False
    latency_ms: float = 0.0


def faulty(
    error: BasisError, status: Status = Status.UNHEALTHY, *, stops: bool | None = None
) -> Finding:
    """Return the finding of an error; it stops others when unhealthy, unless given otherwise."""
    stops = status is Status.UNHEALTHY if stops is None else stops
    return Finding(status, error.what, error.code, error.where, error.action, error.fault, stops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Finding):
    """One line of the report: the finding, including dependencies.

    Parameters
    ----------
    affected_by: the components at fault, where it is another one.
    dependants: every component that is affected when this one is unhealthy.
    """

    name: str
    affected_by: tuple[str, ...]
    dependants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last heartbeat of one of the daemon's threads, and the error it reported."""

    name: str
    at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A schedule or sensor that is switched on; error: of its last tick, empty if it succeeded."""

    name: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class FeedVerdict:
    """The latest verdict on a feed: of its files and of the dataset made of them.

    Parameters
    ----------
    at: UTC, of the latest check.
    code, message, where, cause: of the first ERROR check that failed; empty when none did.
    """

    at: datetime
    code: str = ""
    message: str = ""
    where: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds that an operation (an asset, with its partition) took in the latest runs."""

    operation: str
    count: int
    p50: float
    p95: float
    p99: float
    latest: float


@dataclass(frozen=True, slots=True)
class InstanceMetrics:
    """The Dagster instance.

    Parameters
    ----------
    fault: why it cannot be opened; then, and without an instance, the rest is empty.
    feeds: verdicts by feed.
    """

    fault: BasisError | None = None
    heartbeats: Sequence[Heartbeat] = ()
    triggers: Sequence[Trigger] = ()
    feeds: Mapping[str, FeedVerdict] = field(default_factory=dict)
    durations: Sequence[Durations] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """The report."""

    at: datetime
    components: tuple[Component, ...]
    durations: tuple[Durations, ...]

    @property
    def status(self) -> Status:
        """The worst status of all components."""
        return min((c.status for c in self.components), key=list(Status).index)

    @property
    def unhealthy(self) -> tuple[Component, ...]:
        """The components at fault."""
        return tuple(c for c in self.components if c.status is Status.UNHEALTHY)

    @property
    def by_name(self) -> Mapping[str, Component]:
        """The components by name."""
        return {component.name: component for component in self.components}

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values; times in ISO 8601, UTC."""
        return {"status": self.status.value, **asdict(self), "at": self.at.isoformat()}

    def json(self) -> str:
        """Return the report as text."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False)


def require_healthy(health: Health) -> None:
    """Raise an error when a component has a fault of its own.

    Raises
    ------
    HealthError: HEALTH-001 with the components, their codes and what they stop.
    """
    if not (faults := health.unhealthy):
        return
    messages = "; ".join(f"{c.name} ({c.code}): {c.message}" for c in faults)
    stopped = sorted({name for component in faults for name in component.dependants})
    raise HealthError(
        "HEALTH-001",
        f"{len(faults)} of {len(health.components)} components unhealthy: {messages}",
        where=", ".join(dict.fromkeys(c.where for c in faults if c.where)),
        action="; ".join(dict.fromkeys(c.action for c in faults if c.action)),
        context={"affected": stopped},
    )
