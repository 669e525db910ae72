"""What a reader must not overlook: failed gates, liquidations, repaired data, a run not judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from basis_pipeline.reports.run_view import RunView
from basis_pipeline.results.definitions import percent
from basis_pipeline.verdict import WORST_FIRST, Status, Verdict, count_of, worst

REPAIRED_LIMIT = 0.10  # above it the share of repaired hours is a warning of its own


@dataclass(frozen=True, slots=True)
class Banner:
    """A message across the page; `level` is alarm, warn or note."""

    level: str
    title: str
    text: str


def in_order(gates: Sequence[Verdict]) -> list[Verdict]:
    """Gates, the worst first."""
    return sorted(gates, key=lambda gate: WORST_FIRST.index(gate.status))


def banners(run: RunView, gates: Sequence[Verdict]) -> list[Banner]:
    """Everything about a run that changes how its figures are to be read, the worst first."""
    found = []
    if failing := [gate for gate in gates if gate.status is Status.FAIL]:
        told = "; ".join(f"{gate.check}: {gate.message}" for gate in failing)
        found.append(Banner("alarm", count_of(len(failing), "failed gate"), told))
    if run.liquidated_at:
        found.append(_liquidated(run))
    if run.repaired.any():
        found.append(_repaired(run))
    if not gates:
        text = "No gate verdict is recorded for this run: nothing vouches for its figures."
        found.append(Banner("warn", "Not judged", text))
    if halted := [gate for gate in gates if not gate.evaluated]:
        told = ", ".join(gate.check for gate in halted)
        found.append(Banner("warn", count_of(len(halted), "gate") + " not evaluated", told))
    if warned := [gate for gate in gates if gate.status is Status.WARN]:
        told = "; ".join(f"{gate.check}: {gate.message}" for gate in warned)
        found.append(Banner("warn", count_of(len(warned), "warning"), told))
    return sorted(found, key=lambda banner: ("alarm", "warn", "note").index(banner.level))


def stamp_of(run: RunView, gates: Sequence[Verdict]) -> tuple[str, str]:
    """One word for a run, and its level: alarm, warn or good."""
    failed = any(gate.status is Status.FAIL for gate in gates)
    if run.liquidated_at:
        return "LIQUIDATED, GATE FAILED" if failed else "LIQUIDATED", "alarm"
    if failed:
        return "GATE FAILED", "alarm"
    if run.repaired_share > REPAIRED_LIMIT:
        return f"{percent(run.repaired_share, 0)} REPAIRED DATA", "warn"
    if not gates:
        return "NOT JUDGED", "warn"
    if worst(gates) in (Status.PASS, Status.NOT_APPLICABLE):
        return "ALL GATES PASS", "good"
    return "GATES WARN", "warn"


def _liquidated(run: RunView) -> Banner:
    events = run.events_of("liquidation")
    first = pd.Timestamp(run.liquidated_at[0], tz="UTC")
    places = ", ".join(sorted(events["venue"].unique()))
    lost = run.summary["attribution"]["liquidation"]
    text = (
        f"{count_of(len(events), 'position')} closed by force at {places}, first on "
        f"{first:%Y-%m-%d %H:%M} UTC. Liquidation component of the profit and loss: "
        f"{run.money(lost)} {run.currency}."
    )
    return Banner("alarm", "Liquidated", text)


def _repaired(run: RunView) -> Banner:
    share, hours = run.repaired_share, int(run.repaired.sum())
    told = ", ".join(
        f"{name} {int(flags.sum()):,} h" for name, flags in run.repaired_by_dataset.items()
    )
    title = f"{percent(share, 1)} of the hours rest on repaired data"
    text = f"{hours:,} of {run.stamps.size:,} hours, shaded in every chart: {told}."
    return Banner("warn" if share > REPAIRED_LIMIT else "note", title, text)
