"""From figures and limits to what they demand. Pure: nothing is read, nothing is changed."""

from collections.abc import Iterable

from basis_pipeline.config.control import ControlLimits, Limit
from basis_pipeline.operations.control.model import Breach, Measured, State

SHOWN = 3


def judge(measured: Iterable[Measured], limits: ControlLimits) -> list[Breach]:
    """The figures at or beyond a bound, each with the worst state that it demands.

    A figure that is no number is a breach: nobody knows that it is within its limit.
    """
    found = []
    for figure in measured:
        bounds = limits.of(figure.mode)[figure.limit]
        if bounds is None:
            continue
        for level, bound in ((State.HALT, bounds.halt), (State.ALERT, bounds.alert)):
            if bound is not None and not figure.limit.is_worse(bound, than=figure.value):
                found.append(Breach(figure, level, bound))
                break
    return found


def covers(acknowledged: Breach, breach: Breach) -> bool:
    """Whether a person who resumed in spite of the one has accepted the other.

    So it is while the same figure demands no more and is no worse. Data only get older until new
    ones come: their age is accepted until then.
    """
    limit, value = breach.measured.limit, breach.measured.value
    if breach.level.rank > acknowledged.level.rank:
        return False
    accepted = acknowledged.measured.value
    return limit is Limit.DATA_AGE or value == accepted or limit.is_worse(accepted, than=value)


def demanded(breaches: Iterable[Breach]) -> State:
    """The state that breaches demand together: the worst; NORMAL when there is none."""
    return max((b.level for b in breaches), key=lambda s: s.rank, default=State.NORMAL)


def told(breaches: Iterable[Breach]) -> str:
    """The breaches in words, worst first, no more than a line can hold."""
    listed = sorted(breaches, key=lambda b: (-b.level.rank, b.measured.key))
    more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return "; ".join(breach.told for breach in listed[:SHOWN]) + more
