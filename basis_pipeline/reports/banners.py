"""What a reader must not overlook: failed gates, liquidations, repaired data, a run not judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from basis_pipeline.reports.run_view import RunView
from basis_pipeline.results.definitions import percent
from basis_pipeline.verdict import WORST_FIRST, Status, Verdict, count_of, worst

REPAIRED_LIMIT = 0.10  # a larger share of repaired hours is a warning
LEVELS = ("alarm", "warn", "note")


@dataclass(frozen=True, slots=True)
class Banner:
    """A message across the page; `level` is alarm, warn or note."""

    level: str
    title: str
    text: str


def in_order(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts, the worst first."""
    return sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status))


def with_status(verdicts: Sequence[Verdict], *statuses: Status) -> list[Verdict]:
    """Return the verdicts that have one of the statuses."""
    return [verdict for verdict in verdicts if verdict.status in statuses]


def banners(run: RunView, verdicts: Sequence[Verdict]) -> list[Banner]:
    """Return everything about a run that qualifies its figures, worst first."""
    found = []
    if failed := with_status(verdicts, Status.FAIL):
        found.append(Banner("alarm", count_of(len(failed), "failed gate"), _messages(failed)))
    if run.liquidated_at:
        found.append(_liquidated(run))
    if run.repaired.any():
        found.append(_repaired(run))
    if reason := run.not_annualised:
        text = f"{reason[0].upper()}{reason[1:]}."
        found.append(Banner("note", "Annual figures are left out", text))
    if not verdicts:
        text = "No gate verdict is recorded for this run, so its figures are not verified."
        found.append(Banner("warn", "Not judged", text))
    if missing := with_status(verdicts, Status.BLOCKED, Status.NOT_RUN):
        title = f"{count_of(len(missing), 'gate')} not evaluated"
        found.append(Banner("warn", title, _reasons(missing)))
    if accepted := with_status(verdicts, Status.WAIVED):
        title = f"{count_of(len(accepted), 'gate')} waived"
        found.append(Banner("warn", title, _messages(accepted)))
    if warned := with_status(verdicts, Status.WARN):
        found.append(Banner("warn", count_of(len(warned), "warning"), _messages(warned)))
    return sorted(found, key=lambda banner: LEVELS.index(banner.level))


def stamp_of(run: RunView, verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Return one word for a run, and its level: alarm, warn or good."""
    failed = bool(with_status(verdicts, Status.FAIL))
    if run.liquidated_at:
        return "LIQUIDATED, GATE FAILED" if failed else "LIQUIDATED", "alarm"
    if failed:
        return "GATE FAILED", "alarm"
    if run.repaired_share > REPAIRED_LIMIT:
        return f"{percent(run.repaired_share, 0)} REPAIRED DATA", "warn"
    if not verdicts:
        return "NOT JUDGED", "warn"
    if with_status(verdicts, Status.BLOCKED, Status.NOT_RUN):
        return "GATES NOT EVALUATED", "warn"
    if with_status(verdicts, Status.WAIVED):
        return "GATES WAIVED", "warn"
    warned = worst(verdicts) is Status.WARN
    return ("GATES WARN", "warn") if warned else ("ALL GATES PASS", "good")


def _messages(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(
        f"{verdict.check}: {verdict.message}" if verdict.message else verdict.check
        for verdict in verdicts
    )


def _reasons(missing: Sequence[Verdict]) -> str:
    """Return every reason once, with the gates that were not evaluated because of it."""
    groups: dict[str, list[str]] = {}
    for verdict in missing:
        reason = verdict.cause or verdict.message or "never evaluated"
        groups.setdefault(reason, []).append(verdict.check)
    return "; ".join(f"{reason}: {', '.join(checks)}" for reason, checks in groups.items())


def _liquidated(run: RunView) -> Banner:
    events = run.events_of("liquidation")
    first = pd.Timestamp(run.liquidated_at[0], tz="UTC")
    places = ", ".join(sorted(events["venue"].unique()))
    lost = run.summary["attribution"]["liquidation"]
    text = (
        f"{count_of(len(events), 'liquidation')} at {places}, the first on "
        f"{first:%Y-%m-%d %H:%M} UTC. Liquidation component of the profit and loss: "
        f"{run.money(lost)} {run.currency}."
    )
    return Banner("alarm", "Liquidated", text)


def _repaired(run: RunView) -> Banner:
    share, hours = run.repaired_share, int(run.repaired.sum())
    datasets = ", ".join(
        f"{name} {int(flags.sum()):,} h" for name, flags in run.repaired_by_dataset.items()
    )
    title = f"{percent(share, 1)} of the hours rest on repaired data"
    text = f"{hours:,} of {run.stamps.size:,} hours, shaded in every chart: {datasets}."
    return Banner("warn" if share > REPAIRED_LIMIT else "note", title, text)
