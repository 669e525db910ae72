"""The one hierarchy of errors; what their codes mean is in `basis_pipeline.error_codes`.

Every failure that a user can see carries a code. The registry says what the code means and what to
do; the error says what happened, where, and what is available instead.
"""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, ClassVar

from basis_pipeline.error_codes import REGISTRY, ErrorCode, Severity
from basis_pipeline.masking import masked, masked_text

CAUSE = "cause"  # key of a context: the fault of the upstream error that caused this one

_CORRELATION: ContextVar[str] = ContextVar("correlation_id", default="")


def correlation_id() -> str:
    """Return the run in progress in this thread or task; empty outside of any."""
    return _CORRELATION.get()


@contextmanager
def correlation(run_id: str) -> Iterator[None]:
    """Let errors raised inside carry a run; a thread started inside needs a copy of the context."""
    token = _CORRELATION.set(run_id)
    try:
        yield
    finally:
        _CORRELATION.reset(token)


class BasisError(Exception):
    """A failure with a registered code; secrets are masked on construction.

    Parameters
    ----------
    code: a key of `REGISTRY` that belongs to the raising class's family.
    what: what happened, in one sentence.
    where: the file, key or asset it happened in.
    available: what exists instead of what was requested.
    action: what to do; the registry's remedy when not given.
    component: who raises it; the registry's component when not given.
    context: further facts by name, JSON values. `required`, `expected` and `searched` say what was
        needed, where it belongs and where it was looked for.

    Attributes
    ----------
    timestamp: when it was made, UTC. correlation_id: the run it was made in, empty outside of any.
    """

    families: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        available: str = "",
        action: str = "",
        component: str = "",
        context: Mapping[str, Any] | None = None,
    ) -> None:
        entry = REGISTRY.get(code)
        if entry is None or entry.family not in self.families:
            raise ValueError(f"{type(self).__name__} cannot carry the code {code}")
        self.code = code
        self.what = masked_text(what)
        self.where = masked_text(where)
        self.available = masked_text(available)
        self.action = masked_text(action) or entry.remedy
        self.component = component or entry.component
        self.context: dict[str, Any] = masked(context or {})
        self.timestamp = datetime.now(UTC)
        self.correlation_id = correlation_id()
        super().__init__(code, self.what)

    @property
    def entry(self) -> ErrorCode:
        """The registry's entry: meaning, cause, remedy, phase."""
        return REGISTRY[self.code]

    @property
    def severity(self) -> Severity:
        """Severity of the code, from the registry."""
        return self.entry.severity

    @property
    def fault(self) -> str:
        """What failed, upstream or here, by its code and place; equal faults are one."""
        own = f"{self.code} at {self.where}" if self.where else self.code
        return str(self.context.get(CAUSE) or own)

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.what}"]
        parts += [f"where: {self.where}"] if self.where else []
        parts += [f"available: {self.available}"] if self.available else []
        parts += [f"do: {self.action}"]
        return " | ".join(parts)

    def block(self) -> str:
        """Format the error for a terminal: what happened, then a labelled line for every part."""
        facts = {name: str(value) for name, value in self.context.items()}
        if "searched" not in facts and self.where not in facts.values():
            facts["where"] = self.where
        facts |= {"available": self.available, "do": self.action, "see": self.entry.document}
        facts = {f"{name}:": value for name, value in facts.items() if value}
        width = max(map(len, facts))
        lines = [f"  {name:{width}} {value}" for name, value in facts.items()]
        return "\n".join([f"{self.code}: {self.what}", *lines])

    def as_json(self) -> dict[str, Any]:
        """Return everything about the error as JSON values, with its stack trace."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "phase": self.entry.phase,
            "component": self.component,
            "what": self.what,
            "where": self.where,
            "available": self.available,
            "action": self.action,
            "document": self.entry.document,
            "context": self.context,
            "timestamp": self.timestamp.isoformat(timespec="microseconds"),
            "correlation_id": self.correlation_id,
            "stack_trace": masked_text("".join(traceback.format_exception(self))),
        }

    def __reduce__(self) -> tuple[object, ...]:
        # Not by calling the constructor: the error keeps its time, its run and its rows.
        return _blank, (type(self), *self.args), self.__dict__


def _blank(cls: type[BasisError], *args: str) -> BasisError:
    return cls.__new__(cls, *args)


class ConfigError(BasisError):
    """The environment, a configuration file or an override cannot be used."""

    families = ("CONFIG", "CONFIG-MGR")


class DataError(BasisError):
    """Raw files or datasets are absent, broken or too short."""

    families = ("DATA",)


class FetchError(BasisError):
    """A feed cannot be fetched, or differs from what was stored."""

    families = ("FETCH",)


class MathError(BasisError):
    """Arithmetic left the range of numbers."""

    families = ("MATH",)


class ComponentError(BasisError):
    """A part of the program cannot do its work on this machine."""

    families = ("COMPONENT",)


class BacktestError(BasisError):
    """A backtest is blocked, or does not reconcile."""

    families = ("BT",)


class ResultsError(BasisError):
    """The results store cannot be read or written."""

    families = ("RS",)


class CommandError(BasisError):
    """A command was called with unusable arguments."""

    families = ("API",)


class PlatformError(BasisError):
    """The Dagster instance is missing or unusable."""

    families = ("PLATFORM",)


class EventError(BasisError):
    """The event log cannot be written, kept or read."""

    families = ("EVENT",)


class HealthError(BasisError):
    """A component is unhealthy, or cannot be checked."""

    families = ("HEALTH",)


def error_from_code(
    code: str, what: str, *, where: str = "", available: str = "", action: str = ""
) -> BasisError:
    """Build the error of the family that owns `code`; used to raise a recorded error again."""
    family = code.rpartition("-")[0]
    for cls in BasisError.__subclasses__():
        if family in cls.families:
            return cls(code, what, where=where, available=available, action=action)
    raise ValueError(f"no error family owns the code {code}")
