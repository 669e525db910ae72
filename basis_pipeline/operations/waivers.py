"""Waivers: a person accepts a warning or a failed gate, with a reason and an expiry time.

`waivers.jsonl` in the results directory has one line per waiver and is append-only; each waiver is
also an audit event. A waived gate is shown as WAIVED with who, why and until when. It never counts
as PASS and unblocks no backtest; a waived warning that fails later is not covered.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from basis_pipeline.errors import CommandError, ResultsError
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.settings import WAIVERS, Settings
from basis_pipeline.verdict import WAIVED_STATUS, WORST_FIRST, Status, Verdict

ACCEPTED = (Status.WARN, Status.FAIL)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One waiver: of which gate, at which status, by whom, why, from when and until when."""

    gate: str
    status: Status
    by: str
    reason: str
    at: datetime
    until: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the waiver as JSON values; `from_json` reads them back."""
        times = {"at": self.at.isoformat(), "until": self.until.isoformat()}
        return {**asdict(self), "status": self.status.value, **times}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        times = {name: datetime.fromisoformat(values[name]) for name in ("at", "until")}
        return cls(**{**values, "status": Status(values["status"]), **times})

    def covers(self, verdict: Verdict, now: datetime) -> bool:
        """Return whether a verdict is waived at a time: same gate, not expired, no worse status."""
        no_worse = WORST_FIRST.index(verdict.status) >= WORST_FIRST.index(self.status)
        accepted = verdict.status in ACCEPTED and verdict.name == self.gate
        return accepted and no_worse and now < self.until


def waive(
    settings: Settings,
    verdicts: Iterable[Verdict],
    gate: str,
    *,
    by: str,
    reason: str,
    until: datetime,
) -> Waiver:
    """Accept a gate's warning or failure and record it.

    Parameters
    ----------
    verdicts: the present gates, without waivers.
    gate: its name as `basis gates` shows it, or its check where only one gate has it.

    Raises
    ------
    CommandError: API-001 for an unknown gate, a time in the past, or no name or reason.
    """
    if missing := [n for n, text in (("--by", by), ("--reason", reason)) if not text.strip()]:
        raise CommandError(
            "API-001", "a waiver needs a name and a reason", where=" and ".join(missing)
        )
    now = datetime.now(UTC)
    if until <= now:
        raise CommandError("API-001", f"{until:%Y-%m-%d %H:%M} UTC has passed", where="--until")
    open_ = [verdict for verdict in verdicts if verdict.status in ACCEPTED]
    exact = [verdict for verdict in open_ if verdict.name == gate]
    matching = exact or [verdict for verdict in open_ if verdict.check == gate]
    if len(matching) != 1:
        found = "more than one gate" if matching else "no gate"
        raise CommandError(
            "API-001",
            f"{found} with a warning or a failure is named {gate!r}",
            where="CHECK",
            available="; ".join(v.name for v in matching or open_) or "none: nothing to waive",
        )
    waiver = Waiver(matching[0].name, matching[0].status, by, reason, now, until)
    _append(settings.results_dir / WAIVERS, waiver)
    emit(settings, EventType.GATE_WAIVED, "gates", **waiver.to_json())
    return waiver


def read_waivers(settings: Settings) -> list[Waiver]:
    """Return every waiver, expired ones included, the latest last.

    Raises
    ------
    ResultsError: RS-003 when the file is damaged.
    """
    file = settings.results_dir / WAIVERS
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [Waiver.from_json(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError("RS-003", f"{WAIVERS} is damaged", where=str(file)) from error


def waived(
    verdicts: Iterable[Verdict], waivers: Sequence[Waiver], now: datetime | None = None
) -> list[Verdict]:
    """Return the verdicts; those covered by a waiver as WAIVED, with who, why and until when."""
    now = now or datetime.now(UTC)
    return [_shown(verdict, waivers, now) for verdict in verdicts]


def _shown(verdict: Verdict, waivers: Sequence[Waiver], now: datetime) -> Verdict:
    waiver = next((one for one in reversed(waivers) if one.covers(verdict, now)), None)
    if waiver is None:
        return verdict
    until = f"{waiver.until:%Y-%m-%d %H:%M} UTC"
    facts = {WAIVED_STATUS: verdict.status.value, "waived_by": waiver.by}
    facts |= {"reason": waiver.reason, "until": until}
    message = f"{verdict.message} (waived until {until} by {waiver.by}: {waiver.reason})"
    evidence = {**verdict.evidence, **facts}
    return verdict.at(status=Status.WAIVED, message=message, evidence=evidence)


def _append(file: Path, waiver: Waiver) -> None:
    """Append a line in one write, so that concurrent lines do not mix."""
    line = (json.dumps(waiver.to_json(), ensure_ascii=False) + "\n").encode()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        what = f"the waiver cannot be recorded: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(file)) from error
