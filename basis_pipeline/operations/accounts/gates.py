"""The gates of an account: its feeds are fresh, its history is unchanged, and it runs."""

from collections.abc import Sequence
from typing import Any

from basis_pipeline.errors import BasisError
from basis_pipeline.market.freshness import Freshness
from basis_pipeline.operations.accounts.files import Revision
from basis_pipeline.verdict import Severity, Verdict, count_of, judge

PHASE = 3
ASSET = "account/run"
FRESH, HISTORY, SOUND, ACTIONABLE = "fresh", "history_unchanged", "sound", "actionable"
FAILS_AFTER = 2  # times the limit of a feed
GATES: dict[str, tuple[Severity, str]] = {
    FRESH: ("ERROR", "no feed of the account is older than its max_age_hours"),
    HISTORY: ("ERROR", "the hours of the run before are a prefix of this one, bit by bit"),
    SOUND: ("ERROR", "the account runs: its feeds pass their checks, its result its own"),
}


def fresh(ages: Sequence[Freshness]) -> Verdict:
    """Judge the age of an account's feeds: WARN above the limit of one, FAIL above twice that."""
    stale = [one for one in ages if one.is_stale]
    if not stale:
        oldest = f"; the oldest: {ages[0].description}" if ages else ""
        message = f"{count_of(len(ages), 'feed')} within their limits{oldest}"
        return judge(FRESH, "ERROR", True, message, phase=PHASE)
    worst = max(stale, key=lambda one: one.age_hours / one.max_age_hours)
    fails = worst.age_hours > FAILS_AFTER * worst.max_age_hours
    rows = tuple({"feed": one.feed, "description": one.description} for one in stale)
    return judge(
        FRESH,
        "ERROR" if fails else "WARN",
        False,
        "; ".join(one.description for one in stale[:3]),
        measured=worst.age_hours,
        limit=worst.max_age_hours,
        unit="hours",
        rows=rows,
        phase=PHASE,
    )


def history_unchanged(revisions: Sequence[Revision], *, has_run: bool) -> Verdict:
    """Judge an account's past: open revisions fail until a person accepts them."""
    left = [one for one in revisions if one.is_open]
    message = "the hours of the run before are unchanged" if has_run else "there is no run yet"
    if left:
        message = f"{left[0].description}; accept it with: basis accounts accept"
    rows = tuple(
        {name: getattr(one, name) for name in ("hour", "feed", "value", "before", "after")}
        for one in left
    )
    passed = not left if has_run else None
    facts: dict[str, Any] = {"limit": 0, "unit": "revisions", "rows": rows, "phase": PHASE}
    return judge(HISTORY, "ERROR", passed, message, measured=len(left), **facts)


def sound(error: BasisError | None) -> Verdict:
    """Judge whether the account could be run."""
    if error is None:
        return judge(SOUND, "ERROR", True, "the account ran", phase=PHASE)
    cause = error.fault
    evidence = {"code": error.code, "where": error.where}
    what = f"{error.code}: {error.what}"
    return judge(SOUND, "ERROR", False, what, evidence=evidence, cause=cause, phase=PHASE)


def actionable(gates: Sequence[Verdict]) -> Verdict:
    """Judge whether a signal may be followed: every gate of its account passes."""
    left = [gate for gate in gates if not gate.passed]
    message = "; ".join(f"{gate.check}: {gate.message}" for gate in left)
    message = message or "the gates of the account pass"
    return judge(ACTIONABLE, "WARN", not left, message, phase=PHASE)
