"""What only Dagster knows, brought by the orchestration floor; and the durations of steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from basis_pipeline.config.health import Slow
from basis_pipeline.errors import BasisError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last sign of life of one of the daemon's threads, and the error it reported with it."""

    name: str
    at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A schedule or sensor that is switched on; error: of its last tick, empty when that passed."""

    name: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class FeedVerdict:
    """The latest verdict on a feed: of its files and of the dataset made of them.

    Parameters
    ----------
    at: UTC, of the latest check.
    code, message, where: of the first ERROR check that failed; empty when none did.
    """

    at: datetime
    code: str = ""
    message: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """How long one step of one run took; operation: its asset and partition."""

    operation: str
    seconds: float


@dataclass(frozen=True, slots=True)
class InstanceMetrics:
    """The Dagster instance.

    Parameters
    ----------
    fault: why it cannot be opened; the rest is empty then.
    exists: whether there is one.
    feeds: verdicts by feed.
    samples: durations of steps, the latest last.
    """

    fault: BasisError | None = None
    exists: bool = True
    heartbeats: Sequence[Heartbeat] = ()
    triggers: Sequence[Trigger] = ()
    feeds: Mapping[str, FeedVerdict] = field(default_factory=dict)
    samples: Sequence[Sample] = ()


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of one operation: percentiles, the longest and the latest.

    why_slow: empty unless the latest took too long.
    """

    operation: str
    count: int
    p50: float
    p95: float
    p99: float
    longest: float
    latest: float
    why_slow: str = ""


def durations(samples: Iterable[Sample], limits: Slow) -> tuple[Durations, ...]:
    """Return the percentiles of every operation (linear between samples), by name."""
    grouped: dict[str, list[float]] = {}
    for sample in samples:
        grouped.setdefault(sample.operation, []).append(sample.seconds)
    found = []
    for operation, seconds in sorted(grouped.items()):
        p50, p95, p99 = (float(p) for p in np.percentile(seconds, (50, 95, 99)))
        latest, count, why = seconds[-1], len(seconds), ""
        if latest > limits.seconds:
            why = f"over {limits.seconds:g} s"
        elif count >= limits.least_samples and latest > limits.factor * p50:
            why = f"over {limits.factor:g} times its median of {p50:.3g} s"
        found.append(Durations(operation, count, p50, p95, p99, max(seconds), latest, why))
    return tuple(found)
