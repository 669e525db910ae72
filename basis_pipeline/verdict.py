"""The verdict of one check.

A check states what it measured; its caller adds where and when. Dagster records, `verdicts.json`,
the results database, commands and pages all use this one form.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 50
WAIVED_STATUS = "waived"  # evidence of a waived verdict: its status without the waiver
DATASET = "dataset/"  # prefix of the asset of a verdict on a dataset
Severity = Literal["ERROR", "WARN"]
Value = float | int | str


class Status(StrEnum):
    """The result of a check. Only PASS and NOT_APPLICABLE confirm what was checked."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    BLOCKED = "BLOCKED"  # not evaluated, because something it depends on failed
    NOT_RUN = "NOT RUN"  # never evaluated
    WAIVED = "WAIVED"  # a person has accepted a warning or a failure, until a set time
    NOT_APPLICABLE = "N/A"  # there is nothing to check


WORST_FIRST = (
    Status.FAIL,
    Status.BLOCKED,
    Status.NOT_RUN,
    Status.WAIVED,
    Status.WARN,
    Status.PASS,
    Status.NOT_APPLICABLE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One check's verdict.

    Parameters
    ----------
    check: name of the check, unique within its asset.
    severity: what a failure means: ERROR stops work, WARN needs a person's review.
    status: the result.
    message: one sentence that states the fact: "APY -10.9 % is below the target of 5 %".
    measured, limit, unit: the figure, its limit, and their unit; None without one. A share is a
        fraction of one and is shown in percent.
    evidence: further figures by name, and `code` and `where` of the error behind the verdict.
    rows: offending rows, worst first, JSON values by column.
    phase: number of the quality-gate phase.
    asset, mode, scenario_set: what was checked; empty where it belongs to none.
    evaluated_at: UTC; None before it was evaluated. run_id: the Dagster run that evaluated it.
    cause: what failed, here or upstream, by its code and place; equal causes are one fault.
    """

    check: str
    severity: Severity
    status: Status
    message: str = ""
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    evidence: Mapping[str, Value] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    phase: int = 0
    asset: str = ""
    mode: str = ""
    scenario_set: str = ""
    evaluated_at: datetime | None = None
    run_id: str = ""
    cause: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check passed, or did not apply."""
        return self.status in (Status.PASS, Status.NOT_APPLICABLE)

    @property
    def evaluated(self) -> bool:
        """Whether the check was evaluated."""
        return self.status not in (Status.BLOCKED, Status.NOT_RUN)

    @property
    def dataset(self) -> str:
        """The dataset that was checked; empty for any other asset."""
        return self.asset.removeprefix(DATASET) if self.asset.startswith(DATASET) else ""

    @property
    def place(self) -> str:
        """`asset`, `asset[mode]` or `asset[mode|scenario_set]`."""
        key = "|".join(filter(None, (self.mode, self.scenario_set)))
        return f"{self.asset}[{key}]" if key else self.asset

    @property
    def name(self) -> str:
        """The place and the check."""
        return f"{self.place} {self.check}".strip()

    @property
    def fault(self) -> str:
        """What is at fault, equal for all verdicts that it affects: the cause, or the check."""
        return self.cause or self.name

    @property
    def measured_text(self) -> str:
        """The figure with its unit; empty where nothing was measured."""
        return "" if self.measured is None else amount(self.measured, self.unit)

    @property
    def limit_text(self) -> str:
        """The limit with its unit; empty where there is none."""
        return "" if self.limit is None else amount(self.limit, self.unit)

    def at(self, **where: Any) -> Self:
        """Return the verdict with other fields: what was checked, when and by which run."""
        return replace(self, **where)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values; `from_json` reads them back."""
        at = self.evaluated_at.isoformat() if self.evaluated_at else None
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "status": self.status.value, "evaluated_at": at}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        at = values["evaluated_at"]
        read = {
            "status": Status(values["status"]),
            "evaluated_at": datetime.fromisoformat(at) if at else None,
            "rows": tuple(values["rows"]),
        }
        return cls(**{**values, **read})


def judge(
    check: str,
    severity: Severity,
    passed: bool | None,
    message: str,
    *,
    measured: float | None = None,
    evidence: Mapping[str, Value] | None = None,
    **facts: Any,
) -> Verdict:
    """Return the verdict of a check that was evaluated.

    Parameters
    ----------
    passed: None where there was nothing to check.
    measured, evidence: a number that is not finite is kept as its text in the evidence.
    facts: further fields of the verdict.
    """
    figures = dict(evidence or {})
    if measured is not None and not math.isfinite(measured):
        figures, measured = {"measured": measured, **figures}, None
    return Verdict(
        check=check,
        severity=severity,
        status=status_of(passed, severity),
        message=message,
        measured=measured,
        evidence={name: _plain(value) for name, value in figures.items()},
        **facts,
    )


def blocked(check: str, severity: Severity, cause: str, **facts: Any) -> Verdict:
    """Return the verdict of a check that could not be evaluated because of `cause`."""
    return Verdict(
        check=check,
        severity=severity,
        status=Status.BLOCKED,
        message=f"not evaluated: {cause}",
        cause=cause,
        **facts,
    )


def _plain(value: Value) -> Value:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def rows_of(frame: "pd.DataFrame", limit: int = SHOWN_ROWS) -> tuple[dict[str, Any], ...]:
    """Return the first rows of a frame as JSON values by column; times in ISO 8601."""
    records = frame.head(limit).to_dict("records") if len(frame) else []
    return tuple({str(name): _cell(value) for name, value in row.items()} for row in records)


def _cell(value: Any) -> str | int | float | None:
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str | int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def amount(value: float, unit: str = "") -> str:
    """Return a figure as text with its unit; a share in percent, one of "rows" as "1 row"."""
    if unit == "share":
        return f"{100.0 * value:.4g} %"
    # Units that count things are plural nouns; ns and bp are not.
    if value == 1.0 and len(unit) > 2:
        unit = unit.removesuffix("s")
    return f"{value:.6g} {unit}".strip()


def count_of(number: int, noun: str) -> str:
    """Return a number of things: "1 row", "3 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def against(
    what: str,
    measured: float,
    limit: float,
    unit: str = "",
    *,
    floor: bool = False,
    noun: str = "",
) -> str:
    """Return a sentence that compares a figure with its limit and states the margin.

    Parameters
    ----------
    floor: whether the limit is a minimum.
    noun: what the limit is called: `minimum` or `maximum` when not given.
    """
    bound = f"the {noun or ('minimum' if floor else 'maximum')} of {amount(limit, unit)}"
    if measured == limit:
        return f"{what} {amount(measured, unit)} is exactly {bound}"
    side = "above" if measured > limit else "below"
    margin = amount(abs(measured - limit), unit).replace(" %", " points")
    return f"{what} {amount(measured, unit)} is {side} {bound}, by {margin}"


def status_of(passed: bool | None, severity: Severity) -> Status:
    """Return the status of an evaluated check; `passed` is None where nothing was to check."""
    if passed is None:
        return Status.NOT_APPLICABLE
    if passed:
        return Status.PASS
    return Status.FAIL if severity == "ERROR" else Status.WARN


def worst(verdicts: Iterable[Verdict]) -> Status:
    """Return the worst status; NOT_RUN when there is no verdict at all."""
    found = {verdict.status for verdict in verdicts}
    return next((status for status in WORST_FIRST if status in found), Status.NOT_RUN)


def counts(verdicts: Iterable[Verdict]) -> dict[Status, int]:
    """Return how many verdicts have each status, worst first."""
    counted = Counter(verdict.status for verdict in verdicts)
    return {status: counted[status] for status in WORST_FIRST}


def warned_inputs(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """Return the datasets that carry warnings, each with the checks that warn."""
    warned: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.dataset and verdict.status is Status.WARN:
            warned.setdefault(verdict.dataset, []).append(verdict.check)
    return warned


def input_warnings(verdicts: Iterable[Verdict]) -> str:
    """Return one line that names the inputs with warnings; empty where there are none."""
    warned = warned_inputs(verdicts).items()
    named = ", ".join(f"{dataset} ({', '.join(checks)})" for dataset, checks in warned)
    return f"Inputs with warnings: {named}." if named else ""


def by_fault(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """Return the verdicts grouped by fault, the worst first, then the earliest phase."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in sorted(verdicts, key=lambda v: (WORST_FIRST.index(v.status), v.phase)):
        groups.setdefault(verdict.fault, []).append(verdict)
    return list(groups.values())


def tally(verdicts: Iterable[Verdict]) -> str:
    """Return the counts as text; the number of failures is always included."""
    return ", ".join(
        f"{number} {status.value}"
        for status, number in counts(verdicts).items()
        if number or status is Status.FAIL
    )


def failing(verdicts: Iterable[Verdict], *, strict: bool = False) -> list[Verdict]:
    """Return the verdicts that stop work: failed and blocked ones.

    strict: also checks that were never evaluated, and waived failures. Warnings are never among
    them: a person decides what they mean.
    """
    stopping = {Status.FAIL, Status.BLOCKED} | ({Status.NOT_RUN} if strict else set())
    return [
        verdict
        for verdict in verdicts
        if verdict.status in stopping
        or (strict and verdict.evidence.get(WAIVED_STATUS) == Status.FAIL)
    ]
