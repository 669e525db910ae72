"""Daemon, schedules and sensors, from facts that the Dagster floor brings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from basis_pipeline.errors import BasisError, HealthError
from basis_pipeline.operations.health.durations import Sample
from basis_pipeline.operations.health.families import Ingested
from basis_pipeline.operations.health.model import Found, Status, faulty


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last sign of life of one of the daemon's threads, and the error it reported with it."""

    name: str
    at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A schedule or sensor that is switched on, and how its last tick ended."""

    name: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the Dagster floor can know.

    fault: why the instance cannot be opened; the rest is empty then · exists: whether there is an
    instance · samples: durations of past steps, the latest last · ingested: by family.
    """

    fault: BasisError | None = None
    exists: bool = True
    heartbeats: Sequence[Heartbeat] = ()
    triggers: Sequence[Trigger] = ()
    samples: Sequence[Sample] = ()
    ingested: Mapping[str, Ingested] = field(default_factory=dict)


def daemon(facts: Facts | None, now: datetime, silent_seconds: float) -> Found:
    """Dagster's daemon: needed as soon as a schedule or a sensor is switched on."""
    if facts is None:
        return Found(Status.UNKNOWN, "nobody brought facts about the Dagster instance")
    if facts.fault:
        return faulty(facts.fault)
    if not facts.exists:
        return Found(Status.NOT_READY, "there is no Dagster instance yet: the first run makes it")
    since = now - timedelta(seconds=silent_seconds)
    silent = [beat for beat in facts.heartbeats if beat.at < since]
    if silent or not facts.heartbeats:
        last = min((beat.at for beat in silent), default=None)
        told = f"last heard of at {last:%Y-%m-%d %H:%M:%S} UTC" if last else "never heard of"
        if not facts.triggers:
            return Found(Status.NOT_READY, f"{told}; no schedule or sensor is switched on")
        waiting = ", ".join(trigger.name for trigger in facts.triggers)
        return faulty(HealthError("HEALTH-004", f"{told}, and these wait for it: {waiting}"))
    if broken := [beat for beat in facts.heartbeats if beat.error]:
        told = "; ".join(f"{beat.name}: {beat.error}" for beat in broken)
        error = HealthError("HEALTH-005", told, where="Dagster's daemon")
        return faulty(error, Status.DEGRADED)
    return Found(Status.HEALTHY, f"{len(facts.heartbeats)} threads, all heard of")


def sensors(facts: Facts | None) -> Found:
    """Schedules and sensors: those switched on, and whether their last tick came through."""
    if facts is None:
        return Found(Status.UNKNOWN, "nobody brought facts about the Dagster instance")
    if not facts.triggers:
        return Found(Status.NOT_READY, "no schedule or sensor is switched on")
    if failed := [trigger for trigger in facts.triggers if trigger.error]:
        told = "; ".join(f"{trigger.name}: {trigger.error}" for trigger in failed)
        names = ", ".join(trigger.name for trigger in failed)
        return faulty(HealthError("HEALTH-005", told, where=names))
    return Found(Status.HEALTHY, ", ".join(trigger.name for trigger in facts.triggers))
