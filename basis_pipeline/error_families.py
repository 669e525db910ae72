"""Families of error codes: one per subject, with its gate phase and the size of its range."""

from dataclasses import dataclass
from enum import StrEnum

DOCUMENT = "docs/errors.md"
PHASES = {
    1: "environment and configuration",
    2: "data",
    3: "components and engine",
    4: "platform and interfaces",
    6: "scenarios: sweeps, stress and walk-forward",
}


class Severity(StrEnum):
    """How much of the work an error stops."""

    WARNING = "WARNING"  # only what the message names is lost
    ERROR = "ERROR"  # what was requested is rejected; the rest continues
    CRITICAL = "CRITICAL"  # nothing that is written or computed here can be relied on


@dataclass(frozen=True, slots=True)
class Family:
    """Codes of one subject.

    Parameters
    ----------
    size: highest number of its range.
    phase: the gate phase, a key of `PHASES`.
    reserved: why the other numbers are not used; empty when all are.
    """

    size: int
    phase: int
    subject: str
    reserved: str = ""


FAMILIES: dict[str, Family] = {
    "CONFIG": Family(14, 1, "environment and configuration files"),
    "CONFIG-MGR": Family(
        8,
        1,
        "overrides of one call",
        "a configuration is files plus the overrides of a call or a point: nothing reloads, merges "
        "or migrates it while it is in use, so nothing else can fail",
    ),
    "DATA": Family(17, 2, "raw files and datasets"),
    "FETCH": Family(12, 2, "fetching raw files"),
    "MATH": Family(
        13,
        3,
        "arithmetic",
        "numbers that would break the arithmetic are rejected where they enter (DATA-004, "
        "DATA-008, DATA-009, BT-003), and a figure that is not defined, such as the volatility of "
        "one day, is left blank: that is not a failure",
    ),
    "COMPONENT": Family(
        20,
        3,
        "the program's own parts",
        "components are plain functions: unusable input is rejected under CONFIG, DATA and BT, and "
        "failed writes are reported under RS",
    ),
    "BT": Family(
        10,
        3,
        "backtests",
        "what happens inside a run (a liquidation, a missed target, a broken band) is an event and "
        "a gate's verdict, not an error",
    ),
    "RS": Family(13, 4, "the results store"),
    "HEALTH": Family(
        13,
        4,
        "health reports",
        "a component that is unwell is reported with the code of its own failure where it has one, "
        "such as DATA-001 or RS-005",
    ),
    "EVENT": Family(8, 4, "the audit log"),
    "API": Family(10, 4, "commands and the HTTP API"),
    "PLATFORM": Family(5, 4, "the Dagster instance and the platform's processes"),
}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One entry of the registry."""

    code: str
    severity: Severity
    component: str
    meaning: str
    cause: str
    remedy: str

    @property
    def family(self) -> str:
        """The code without its number."""
        return self.code.rpartition("-")[0]

    @property
    def phase(self) -> int:
        """The quality-gate phase, a key of `PHASES`."""
        return FAMILIES[self.family].phase

    @property
    def document(self) -> str:
        """Where the reference page explains the code."""
        return f"{DOCUMENT}#{self.code.lower()}"
