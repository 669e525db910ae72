"""What a health report is made of."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from basis_pipeline.errors import BasisError, HealthError
from basis_pipeline.operations.health.durations import Durations


class Status(StrEnum):
    """How a component fares."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works, but somebody should look
    UNHEALTHY = "unhealthy"  # its own fault: does not work
    NOT_READY = "not ready"  # nothing is wrong with it, but it cannot work yet, or not now
    UNKNOWN = "unknown"  # nobody could look


WORST_FIRST = (
    Status.UNHEALTHY,
    Status.DEGRADED,
    Status.UNKNOWN,
    Status.NOT_READY,
    Status.HEALTHY,
)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some statuses; healthy when there is none."""
    found = set(statuses)
    return next((status for status in WORST_FIRST if status in found), Status.HEALTHY)


@dataclass(frozen=True, slots=True)
class Found:
    """What looking at one component itself found.

    told: one sentence · code, where, action: of the error behind it; empty when there is none ·
    stops: what depends on it cannot work; always so where it is unhealthy.
    """

    status: Status
    told: str
    code: str = ""
    where: str = ""
    action: str = ""
    stops: bool = False

    @property
    def is_stopping(self) -> bool:
        """Whether what depends on it cannot work."""
        return self.stops or self.status is Status.UNHEALTHY


def faulty(error: BasisError, status: Status = Status.UNHEALTHY, *, stops: bool = False) -> Found:
    """The finding that an error makes."""
    return Found(status, error.what, error.code, error.where, error.action, stops)


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the report.

    since: UTC, when this status was first seen · affected_by: the components at fault where it is
    not this one's own · dependants: every component that suffers when this one is unhealthy ·
    seconds: what looking at it took, None when nobody looked.
    """

    name: str
    status: Status
    told: str
    code: str
    where: str
    action: str
    since: datetime
    affected_by: tuple[str, ...]
    dependants: tuple[str, ...]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """The report.

    notes: what went wrong in making it, as coded errors; the statuses hold all the same ·
    latencies: of looking at components · durations: of the steps of past runs, by asset ·
    slow: the latest duration of every operation that took too long.
    """

    at: datetime
    components: tuple[Component, ...]
    notes: tuple[BasisError, ...]
    latencies: tuple[Durations, ...]
    durations: tuple[Durations, ...]
    slow: tuple[Durations, ...]

    @property
    def status(self) -> Status:
        """The worst status of all components."""
        return worst(component.status for component in self.components)

    @property
    def unhealthy(self) -> tuple[Component, ...]:
        """The components at fault."""
        return tuple(c for c in self.components if c.status is Status.UNHEALTHY)

    @property
    def by_name(self) -> Mapping[str, Component]:
        """The components by name."""
        return {component.name: component for component in self.components}

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values; times in ISO 8601, UTC."""
        return {
            "status": self.status.value,
            "at": self.at.isoformat(),
            "components": [
                {**asdict(component), "since": component.since.isoformat()}
                for component in self.components
            ],
            "notes": [note.as_json() for note in self.notes],
            "latencies": [asdict(entry) for entry in self.latencies],
            "durations": [asdict(entry) for entry in self.durations],
            "slow": [asdict(entry) for entry in self.slow],
        }

    def json(self) -> str:
        """The report as text."""
        return json.dumps(self.as_json(), indent=2, allow_nan=False)


def require_healthy(health: Health) -> None:
    """Refuse when a component is unhealthy.

    Raises
    ------
    HealthError: HEALTH-001 with the components, their codes and what they stop.
    """
    if not (found := health.unhealthy):
        return
    told = "; ".join(f"{c.name} ({c.code}): {c.told}" for c in found)
    stopped = sorted({name for component in found for name in component.dependants})
    raise HealthError(
        "HEALTH-001",
        f"{len(found)} of {len(health.components)} components unhealthy: {told}",
        where=", ".join(dict.fromkeys(c.where for c in found if c.where)),
        action="; ".join(dict.fromkeys(c.action for c in found if c.action)),
        context={"affected": stopped},
    )
