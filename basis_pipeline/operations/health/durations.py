"""Percentiles of how long things took."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from basis_pipeline.config.health import Slow


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of an operation, and the component it belongs to."""

    operation: str
    component: str
    seconds: float
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of one operation: 50th, 95th and 99th percentile, the longest and the latest.

    why_slow: empty unless the latest took too long; run_id: the run it was in.
    """

    operation: str
    component: str
    count: int
    p50: float
    p95: float
    p99: float
    longest: float
    latest: float
    run_id: str = ""
    why_slow: str = ""


def percentiles(samples: Iterable[Sample]) -> tuple[Durations, ...]:
    """Every operation's percentiles (linear between measurements), by name."""
    grouped: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        grouped.setdefault((sample.operation, sample.component), []).append(sample)
    return tuple(_durations(*key, grouped[key]) for key in sorted(grouped))


def _durations(operation: str, component: str, samples: Sequence[Sample]) -> Durations:
    seconds = np.array([sample.seconds for sample in samples])
    p50, p95, p99 = (float(p) for p in np.percentile(seconds, (50, 95, 99)))
    return Durations(
        operation,
        component,
        len(seconds),
        p50,
        p95,
        p99,
        float(seconds.max()),
        float(seconds[-1]),
        samples[-1].run_id,
    )


def slow_operations(durations: Iterable[Durations], limits: Slow) -> tuple[Durations, ...]:
    """Operations whose latest measurement took too long, the longest first."""
    found = []
    for entry in durations:
        usual = limits.factor * entry.p50
        if entry.latest > limits.seconds:
            found.append(replace(entry, why_slow=f"over {limits.seconds:g} s"))
        elif entry.count >= limits.least_samples and entry.latest > usual:
            told = f"over {limits.factor:g} times its median of {entry.p50:.3g} s"
            found.append(replace(entry, why_slow=told))
    return tuple(sorted(found, key=lambda entry: -entry.latest))


def latencies(kept: Mapping[str, Sequence[float]]) -> tuple[Durations, ...]:
    """Percentiles of what looking at each component took."""
    return percentiles(
        Sample(name, name, seconds) for name, measured in kept.items() for seconds in measured
    )
