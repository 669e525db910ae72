"""The one hierarchy of errors, and the registry of their codes.

Every failure a person can meet carries a code. The registry says what the code means and what to do; the
error says what happened, where, and what would have been available instead.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Severity(StrEnum):
    """How much of the work an error stops."""

    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One entry of the registry: what a code means and what mends it."""

    code: str
    severity: Severity
    meaning: str
    remedy: str


def _entries() -> dict[str, ErrorCode]:
    warning, error, critical = Severity.WARNING, Severity.ERROR, Severity.CRITICAL
    rows = (
        ("CONFIG-001", error, "an environment variable is missing", "set it, or name an env file"),
        ("CONFIG-002", error, "an environment variable has an unusable value", "correct the value"),
        ("CONFIG-003", error, "a configuration file or directory is missing", "restore it"),
        ("CONFIG-004", error, "a configuration file is not valid YAML", "correct the syntax"),
        ("CONFIG-005", error, "a configuration does not fit its model", "correct the named key"),
        ("CONFIG-006", error, "a rule between configuration fields is broken", "change the fields"),
        ("CONFIG-007", error, "an unknown mode was asked for", "use one of the modes listed"),
        ("CONFIG-008", error, "a mode names an unknown venue or share class", "add or correct it"),
        ("CONFIG-009", error, "a mode needs a dataset the catalogue lacks", "add the dataset"),
        ("CONFIG-010", error, "an override names no existing key", "use a dotted key that exists"),
        ("CONFIG-011", error, "the window is empty or malformed", "give start before end"),
        ("CONFIG-012", error, "the capital is not a positive number", "give a positive capital"),
        ("DATA-001", error, "a family a mode needs has no file", "deliver the file"),
        ("DATA-002", error, "a raw file is empty", "deliver the file again"),
        ("DATA-003", error, "a raw file lacks a column", "deliver the columns listed"),
        ("DATA-004", error, "a raw file holds an unreadable value or stamp", "deliver it again"),
        ("DATA-005", error, "a raw file ends in a truncated line", "deliver the file again"),
        ("DATA-006", error, "a file gives one stamp two different rows", "find the true row"),
        ("DATA-007", error, "two files of a family disagree about a stamp", "remove the wrong file"),
        ("DATA-008", error, "a price is missing, zero or negative", "deliver the file again"),
        ("DATA-009", error, "an index that can only grow falls", "deliver the file again"),
        ("DATA-010", error, "the rows cover too little of the window", "deliver more, or shorten it"),
        ("DATA-011", error, "a file holds another symbol than its name says", "deliver the file again"),
        ("DATA-012", error, "the window lies outside the data", "choose a window inside the data"),
        ("DATA-013", error, "a hole is longer than its repair policy allows", "deliver the hours"),
        ("DATA-014", error, "a dataset does not fit its schema", "see the offending rows"),
        ("BT-001", error, "a blocking check upstream of a backtest is failing", "mend the data first"),
        ("BT-002", critical, "a backtest does not reconcile", "report the run: the engine is wrong"),
        ("BT-003", error, "a panel is unfit for the engine", "see the array named"),
        ("RS-001", critical, "the results directory cannot be written", "free or open the directory"),
        ("RS-002", error, "a run is not in the store", "use one of the runs listed"),
        ("RS-003", critical, "a stored run does not match its recorded hash", "run it again"),
        ("API-001", error, "a command was called with unusable arguments", "see --help"),
        ("PLATFORM-001", error, "the Dagster instance cannot be opened", "check DAGSTER_HOME"),
        ("PLATFORM-002", error, "no pipeline run is recorded yet", "run the pipeline first"),
        ("EVENT-001", critical, "the event log cannot be opened", "free or open its directory"),
        ("EVENT-002", critical, "events cannot be written", "mend the disk or directory"),
        ("EVENT-003", warning, "events were dropped, the queue was full", "offer fewer at once"),
        ("EVENT-004", warning, "a line of the log cannot be read", "see what else writes there"),
        ("EVENT-005", warning, "the event log ends in a truncated line", "its writer was killed"),
        ("EVENT-006", error, "a compressed event log file is damaged", "restore it from a copy"),
        ("EVENT-007", error, "an unknown kind of event was asked for", "use one of those listed"),
        ("EVENT-008", error, "a time asked for cannot be used", "use one of the forms listed"),
        ("EVENT-009", warning, "the event log is closed already", "open it again"),
        ("EVENT-010", warning, "log files cannot be compressed or removed", "mend the file named"),
        ("EVENT-011", critical, "the process that writes events died", "see who ended it"),
        ("EVENT-012", error, "there is no event log", "name the directory runs write to"),
        ("EVENT-013", error, "a limit of the event log is not above zero", "correct the limit"),
    )
    return {code: ErrorCode(code, severity, meaning, remedy) for code, severity, meaning, remedy in rows}


REGISTRY: dict[str, ErrorCode] = _entries()


class BasisError(Exception):
    """A failure with a registered code.

    Parameters
    ----------
    code: a key of `REGISTRY` that belongs to the raising class's family.
    what: what happened, in one sentence.
    where: the file, key or asset it happened in.
    available: what exists instead of the thing asked for.
    action: what to do; the registry's remedy when not given.
    """

    families: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, code: str, what: str, *, where: str = "", available: str = "", action: str = ""
    ) -> None:
        if code not in REGISTRY or not code.rsplit("-", 1)[0] in self.families:
            raise ValueError(f"{type(self).__name__} cannot carry the code {code}")
        self.code = code
        self.what = what
        self.where = where
        self.available = available
        self.action = action or REGISTRY[code].remedy
        super().__init__(code, what)

    @property
    def severity(self) -> Severity:
        """Severity of the code, from the registry."""
        return REGISTRY[self.code].severity

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.what}"]
        parts += [f"where: {self.where}"] if self.where else []
        parts += [f"available: {self.available}"] if self.available else []
        parts += [f"do: {self.action}"]
        return " | ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.code, self.what, self.where, self.available, self.action)


def _revive(
    cls: type[BasisError], code: str, what: str, where: str, available: str, action: str
) -> BasisError:
    return cls(code, what, where=where, available=available, action=action)


class ConfigError(BasisError):
    """The environment or a configuration file cannot be used."""

    families = ("CONFIG",)


class DataError(BasisError):
    """Raw files or datasets are absent, broken or too short."""

    families = ("DATA",)


class BacktestError(BasisError):
    """A backtest refuses to run, or does not reconcile."""

    families = ("BT",)


class ResultsError(BasisError):
    """The results store cannot be read or written."""

    families = ("RS",)


class CommandError(BasisError):
    """A command was called with unusable arguments."""

    families = ("API",)


class PlatformError(BasisError):
    """The Dagster instance is not there or not usable."""

    families = ("PLATFORM",)


class EventError(BasisError):
    """The event log cannot be written, kept or read."""

    families = ("EVENT",)


def error_from_code(
    code: str, what: str, *, where: str = "", available: str = "", action: str = ""
) -> BasisError:
    """Build the error of the family that owns `code`; used to raise a recorded refusal again."""
    family = code.rsplit("-", 1)[0]
    for cls in BasisError.__subclasses__():
        if family in cls.families:
            return cls(code, what, where=where, available=available, action=action)
    raise ValueError(f"no error family owns the code {code}")
