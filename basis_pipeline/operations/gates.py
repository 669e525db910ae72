"""Quality gates: what the latest records of all checks say, and whether that is good enough."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from urllib.parse import quote

Severity = Literal["ERROR", "WARN"]
LIMITS = ("limit", "target")


class Verdict(StrEnum):
    """What a gate's latest record says. NOT RUN is not a pass."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"


WORST_FIRST = (Verdict.FAIL, Verdict.NOT_RUN, Verdict.WARN, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of one asset, for one mode, and scenario set, where the asset belongs to them.

    mode: empty where the asset is shared by all modes · severity: as declared · message: what the
    evaluation said · stopped: its run failed before it was evaluated · metrics: its figures ·
    scenario_set: that of a study, empty elsewhere.
    """

    phase: int
    asset: str
    check: str
    mode: str
    severity: Severity
    verdict: Verdict
    message: str = ""
    evaluated_at: datetime | None = None
    run_id: str = ""
    stopped: bool = False
    metrics: dict[str, float | int | str] | None = None
    scenario_set: str = ""

    @property
    def place(self) -> str:
        """`asset`, `asset[mode]` or `asset[mode|scenario_set]`."""
        key = "|".join(filter(None, (self.mode, self.scenario_set)))
        return f"{self.asset}[{key}]" if key else self.asset

    @property
    def name(self) -> str:
        """Its place and the check."""
        return f"{self.place} {self.check}"

    @property
    def link(self) -> str:
        """Path below the UI's address where the check, its history and its evidence are shown."""
        return f"/assets/{quote(self.asset)}?view=checks&checkDetail={quote(self.check)}"

    @property
    def told(self) -> str:
        """The message, with the figures of a check whose message does not hold them."""
        figures = self.metrics or {}
        shown = [f"{key} {short(value)}" for key, value in sorted(figures.items())]
        return f"{self.message} ({', '.join(shown)})" if shown and self.mode else self.message

    @property
    def limit(self) -> str:
        """The limit or target it was held to, as text; empty where there is none."""
        figures = self.metrics or {}
        return next((short(figures[name]) for name in LIMITS if name in figures), "")

    @property
    def value(self) -> str:
        """What was measured against the limit, as text."""
        figures = self.metrics or {}
        measured = [value for name, value in figures.items() if name not in LIMITS]
        return short(measured[0]) if measured and self.limit else ""


def short(value: float | str) -> str:
    """A figure of a gate as text, to six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def verdict_of(passed: bool, severity: str) -> Verdict:
    """The verdict of an evaluated check."""
    if passed:
        return Verdict.PASS
    return Verdict.FAIL if severity == "ERROR" else Verdict.WARN


def worst(gates: Iterable[Gate]) -> Verdict:
    """The worst verdict of some gates; NOT RUN when there is none."""
    found = {gate.verdict for gate in gates}
    return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.NOT_RUN)


def counts(gates: Iterable[Gate]) -> dict[Verdict, int]:
    """How many gates have each verdict, worst first."""
    counted = Counter(gate.verdict for gate in gates)
    return {verdict: counted[verdict] for verdict in WORST_FIRST}


def failed(gates: Iterable[Gate], *, strict: bool = False) -> list[Gate]:
    """Gates that let nothing through: failed ones, and those a failed run never reached.

    strict: a gate that was never evaluated stops the line too. A warning is shown and stops
    nothing: it is a true statement about the data that a person has to weigh.
    """
    stopping = {Verdict.FAIL, Verdict.NOT_RUN} if strict else {Verdict.FAIL}
    return [gate for gate in gates if gate.verdict in stopping or gate.stopped]
