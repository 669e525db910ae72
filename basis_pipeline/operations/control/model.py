"""The types of emergency control."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from basis_pipeline.config.control import Limit

POLICY = "the limits"  # `by` of a change that no person made
RESUME = "basis resume --by NAME --reason WHY"
_SHOWN = 3

Key = tuple[str, str, str]


class State(StrEnum):
    """Which work may run, in rising severity."""

    NORMAL = "NORMAL"
    ALERT = "ALERT"  # works, but needs review; ends by itself when no breach is open
    HALT = "HALT"  # no backtest, no automatic run; reports, gates and health still run
    SHUTDOWN = "SHUTDOWN"  # nothing but gates and health

    @property
    def rank(self) -> int:
        """Severity, from 0."""
        return list(State).index(self)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure that a limit applies to.

    Parameters
    ----------
    value: in the unit of the limit's name.
    mode: empty when it belongs to none.
    subject: the gate or feed that was measured; empty for a figure of the mode itself.
    """

    limit: Limit
    value: float
    mode: str = ""
    subject: str = ""

    @property
    def key(self) -> Key:
        """What is measured: limit, mode, subject."""
        return self.limit.value, self.mode, self.subject


@dataclass(frozen=True, slots=True)
class OpenBreach(Measurement):
    """A measurement at or beyond a bound, until a later one is within it.

    Parameters
    ----------
    level: the state it demands, ALERT or HALT.
    since: UTC, when it was first measured.
    accepted: a person has resumed since then, so it demands nothing.
    """

    level: State = field(kw_only=True)
    bound: float = field(kw_only=True)
    since: datetime = field(kw_only=True)
    accepted: bool = field(kw_only=True, default=False)

    @property
    def description(self) -> str:
        """The breach in words."""
        subject = " ".join(part for part in (self.mode, self.subject) if part)
        of = f" of {subject}" if subject else ""
        return f"{self.limit}{of} is {self.value:.6g}, the limit is {self.bound:.6g}"


def describe(breaches: Iterable[OpenBreach]) -> str:
    """Describe the worst breaches in one line, with the number of others."""
    listed = sorted(breaches, key=lambda b: (-b.level.rank, b.key))
    more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return "; ".join(breach.description for breach in listed[:_SHOWN]) + more


@dataclass(frozen=True, slots=True)
class ControlState:
    """The present state.

    Parameters
    ----------
    since: UTC; None when it has never changed.
    by: a person, or `POLICY`.
    version: number of changes so far.
    resumed_at: UTC, when a person last resumed; gates that failed before are not counted.
    breaches: open ones, by limit, mode and subject.
    confirmed_at: UTC, when the last known state was read from the database; None for the present
        state.
    is_pending: it was demanded while the database could not be reached, and is not stored there.
    """

    name: State = State.NORMAL
    since: datetime | None = None
    reason: str = ""
    by: str = ""
    version: int = 0
    resumed_at: datetime | None = None
    breaches: tuple[OpenBreach, ...] = ()
    confirmed_at: datetime | None = None
    is_pending: bool = False

    @property
    def stops_work(self) -> bool:
        """Whether no backtest may begin and nothing may be requested."""
        return self.name.rank >= State.HALT.rank

    @property
    def description(self) -> str:
        """The state, since when, by whom, why, and what to do, in one line."""
        text = f"{self.name}: it has never changed"
        if self.since is not None:
            since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
            text = f"{self.name} since {since} by {self.by}: {self._reason}"
        if self.name is State.ALERT:
            text += f"; it ends when they are over, or with {RESUME}"
        elif self.stops_work:
            text += f"; to continue: {RESUME}"
        if self.confirmed_at:
            minutes = (datetime.now(UTC) - self.confirmed_at).total_seconds() / 60.0
            text += f" (last known state, {minutes:.0f} min old: the results database is down)"
        return text

    @property
    def _reason(self) -> str:
        """The present reason: breaches may be over, and an alert may have new ones."""
        demanding = [breach for breach in self.breaches if not breach.accepted]
        if self.name is State.ALERT:
            return describe(demanding) or self.reason
        if self.stops_work and self.by == POLICY and not (demanding or self.confirmed_at):
            return f"{self.reason} (no longer the case)"
        return self.reason


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the state; `pipeline_run` is empty when no pipeline run made it."""

    version: int
    at: datetime
    state: str
    previous: str
    by: str
    reason: str
    pipeline_run: str
