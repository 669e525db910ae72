"""The values of a health report."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from basis_pipeline.errors import BasisError, HealthError
from basis_pipeline.operations.health.instance import Durations


class Status(StrEnum):
    """How a component does."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works, but a person should look
    UNHEALTHY = "unhealthy"  # does not work, by a fault of its own
    NOT_READY = "not ready"  # has no fault, but cannot work yet, or not now
    UNKNOWN = "unknown"  # could not be looked at


WORST_FIRST = (
    Status.UNHEALTHY,
    Status.DEGRADED,
    Status.UNKNOWN,
    Status.NOT_READY,
    Status.HEALTHY,
)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst status; healthy when there is none."""
    found = set(statuses)
    return next((status for status in WORST_FIRST if status in found), Status.HEALTHY)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of looking at one component alone.

    Parameters
    ----------
    message: one sentence.
    code, where, action: of the error behind it; empty without one.
    stops: what depends on it cannot work.
    """

    status: Status
    message: str
    code: str = ""
    where: str = ""
    action: str = ""
    stops: bool = False


def faulty(
    error: BasisError, status: Status = Status.UNHEALTHY, *, stops: bool | None = None
) -> Finding:
    """Return the finding that an error makes; it stops others when it is unhealthy, or as given."""
    stops = status is Status.UNHEALTHY if stops is None else stops
    return Finding(status, error.what, error.code, error.where, error.action, stops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Finding):
    """One line of the report: the finding as it stands with those it depends on.

    Parameters
    ----------
    since: UTC, when this status was first seen.
    affected_by: the components at fault, where it is not this one itself.
    dependants: every component that suffers when this one is unhealthy.
    """

    name: str
    since: datetime
    affected_by: tuple[str, ...]
    dependants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """The report.

    Parameters
    ----------
    notes: problems with the report itself; the statuses hold all the same.
    durations: of the steps of the latest runs, as Dagster measured them.
    """

    at: datetime
    components: tuple[Component, ...]
    notes: tuple[BasisError, ...]
    durations: tuple[Durations, ...]

    @property
    def status(self) -> Status:
        """Return the worst status of all components."""
        return worst(component.status for component in self.components)

    @property
    def unhealthy(self) -> tuple[Component, ...]:
        """Return the components at fault."""
        return tuple(c for c in self.components if c.status is Status.UNHEALTHY)

    @property
    def by_name(self) -> Mapping[str, Component]:
        """Return the components by name."""
        return {component.name: component for component in self.components}

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values; times in ISO 8601, UTC."""
        return {
            "status": self.status.value,
            "at": self.at.isoformat(),
            "components": [
                {**asdict(component), "since": component.since.isoformat()}
                for component in self.components
            ],
            "notes": [note.as_json() for note in self.notes],
            "durations": [asdict(entry) for entry in self.durations],
        }

    def json(self) -> str:
        """Return the report as text."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False)


def require_healthy(health: Health) -> None:
    """Raise unless every component works or has no fault of its own.

    Raises
    ------
    HealthError: HEALTH-001 with the components, their codes and what they stop.
    """
    if not (found := health.unhealthy):
        return
    messages = "; ".join(f"{c.name} ({c.code}): {c.message}" for c in found)
    stopped = sorted({name for component in found for name in component.dependants})
    raise HealthError(
        "HEALTH-001",
        f"{len(found)} of {len(health.components)} components unhealthy: {messages}",
        where=", ".join(dict.fromkeys(c.where for c in found if c.where)),
        action="; ".join(dict.fromkeys(c.action for c in found if c.action)),
        context={"affected": stopped},
    )
