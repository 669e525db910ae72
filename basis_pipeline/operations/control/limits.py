"""Comparison of measurements with limits: pure functions."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from datetime import datetime

from basis_pipeline.config.control import ControlLimits
from basis_pipeline.operations.control.model import Key, Measurement, OpenBreach, State


def judge(
    measurements: Iterable[Measurement], limits: ControlLimits, now: datetime
) -> list[OpenBreach]:
    """Return the measurements at or beyond a bound, each with the worst state that it demands.

    NaN is a breach: it is not known to be within its limit.
    """
    found = []
    for measured in measurements:
        bounds = limits.of(measured.mode)[measured.limit]
        if bounds is None:
            continue
        for level, bound in ((State.HALT, bounds.halt), (State.ALERT, bounds.alert)):
            if bound is not None and not measured.limit.is_worse(bound, than=measured.value):
                found.append(OpenBreach(**asdict(measured), level=level, bound=bound, since=now))
                break
    return found


def update(
    before: Iterable[OpenBreach], measured: Collection[Key], breaches: Iterable[OpenBreach]
) -> list[OpenBreach]:
    """Return the breaches that are open after a measurement.

    An accepted breach stays accepted, with its value at that time, until it is worse or over.
    """
    known = {breach.key: breach for breach in before}
    after = {key: breach for key, breach in known.items() if key not in measured}
    for breach in breaches:
        key, old = breach.key, known.get(breach.key)
        if key in after and is_covered(breach, after[key]):
            continue
        if old is None or (old.accepted and not is_covered(breach, old)):
            after[key] = breach
        else:
            after[key] = old if old.accepted else replace(breach, since=old.since)
    return sorted(after.values(), key=lambda breach: breach.key)


def is_covered(breach: OpenBreach, by: OpenBreach) -> bool:
    """Return whether a breach is no worse, in level and value, than another of the same key."""
    is_no_worse = breach.value == by.value or breach.limit.is_worse(by.value, than=breach.value)
    return is_no_worse and breach.level.rank <= by.level.rank


def demanded(breaches: Iterable[OpenBreach]) -> State:
    """Return the worst state that breaches demand together; NORMAL when there is none."""
    return max((b.level for b in breaches), key=lambda state: state.rank, default=State.NORMAL)
