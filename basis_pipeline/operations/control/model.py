"""What emergency control is made of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from basis_pipeline.config.control import Limit


class State(StrEnum):
    """How far work may go; the later the worse."""

    NORMAL = "NORMAL"
    ALERT = "ALERT"  # works, but a person should look
    HALT = "HALT"  # no backtest, nothing on its own; reports, gates and health still run
    SHUTDOWN = "SHUTDOWN"  # nothing but gates and health

    @property
    def rank(self) -> int:
        """Severity, from 0."""
        return _ORDER.index(self)


_ORDER = tuple(State)


@dataclass(frozen=True, slots=True)
class ControlState:
    """The state as it stands.

    since: UTC, None while nothing has ever changed · by: a person, or `POLICY` · version: number of
    changes so far · resumed_at: UTC, when a person last resumed; what lies before is settled.
    """

    name: State = State.NORMAL
    since: datetime | None = None
    reason: str = ""
    by: str = ""
    version: int = 0
    resumed_at: datetime | None = None

    @property
    def stops_work(self) -> bool:
        """Whether no backtest may begin and nothing may be requested."""
        return self.name.rank >= State.HALT.rank

    @property
    def told(self) -> str:
        """The state, since when, by whom and why, in one sentence."""
        if self.since is None:
            return f"{self.name}: nothing ever happened"
        return f"{self.name} since {self.since:%Y-%m-%d %H:%M:%S} UTC by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure that a limit watches.

    value: in the unit that the limit's name says · mode: empty when it belongs to none · subject:
    the gate or family it was measured of; empty for a figure of the mode itself.
    """

    limit: Limit
    value: float
    mode: str = ""
    subject: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is a measure of: limit, mode, subject."""
        return self.limit.value, self.mode, self.subject


@dataclass(frozen=True, slots=True)
class Breach:
    """A figure at or beyond its bound; level: the state that it demands, ALERT or HALT."""

    measured: Measured
    level: State
    bound: float

    @property
    def told(self) -> str:
        """The breach in words."""
        at = self.measured
        of = " ".join(part for part in (at.mode, at.subject) if part)
        return f"{at.limit}{f' of {of}' if of else ''}: {at.value:.6g} reaches {self.bound:.6g}"

    def as_json(self) -> dict[str, Any]:
        """The breach as JSON values; what is no number is None."""
        limit, mode, subject = self.measured.key
        value = self.measured.value
        return {
            "limit": limit,
            "mode": mode,
            "subject": subject,
            "value": value if abs(value) < float("inf") else None,
            "bound": self.bound,
            "demands": self.level.value,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """A breach that is still there.

    since: UTC, first seen · acknowledged: it is the one that a person resumed in spite of.
    """

    breach: Breach
    since: datetime
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the state; `pipeline_run` is empty when no run of the pipeline made it."""

    version: int
    at: datetime
    state: State
    previous: State
    by: str
    reason: str
    pipeline_run: str
