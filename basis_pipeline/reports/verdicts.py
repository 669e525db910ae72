"""What a reader must not overlook: failed gates, liquidations, repaired data, a run not judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from basis_pipeline.reports.run_view import RunView
from basis_pipeline.results.definitions import percent

WORST_FIRST = ("FAIL", "SKIP", "WARN", "PASS")
REPAIRED_LIMIT = 0.10  # above it the share of repaired hours is a warning of its own


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate's verdict as a page shows it: PASS, WARN, FAIL or SKIP; value and limit as text."""

    name: str
    verdict: str
    value: str = ""
    limit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """A message across the page; `level` is alarm, warn or note."""

    level: str
    title: str
    text: str


def worst_of(gates: Sequence[GateVerdict]) -> str:
    """The worst verdict; empty where no gate was evaluated."""
    found = {gate.verdict for gate in gates}
    return next((verdict for verdict in WORST_FIRST if verdict in found), "")


def in_order(gates: Sequence[GateVerdict]) -> list[GateVerdict]:
    """Gates, the worst first."""
    return sorted(gates, key=lambda gate: WORST_FIRST.index(gate.verdict))


def banners(run: RunView, gates: Sequence[GateVerdict]) -> list[Banner]:
    """Everything about a run that changes how its figures are to be read, the worst first."""
    found = []
    if failing := [gate for gate in gates if gate.verdict == "FAIL"]:
        told = "; ".join(_gate_told(gate) for gate in failing)
        found.append(Banner("alarm", _counted(len(failing), "failed gate"), told))
    if run.liquidated_at:
        found.append(_liquidated(run))
    if run.repaired.any():
        found.append(_repaired(run))
    if not gates:
        text = "No gate verdict is recorded for this run: nothing vouches for its figures."
        found.append(Banner("warn", "Not judged", text))
    if halted := [gate for gate in gates if gate.verdict == "SKIP"]:
        told = ", ".join(gate.name for gate in halted)
        found.append(Banner("warn", _counted(len(halted), "gate") + " not evaluated", told))
    if warned := [gate for gate in gates if gate.verdict == "WARN"]:
        told = "; ".join(_gate_told(gate) for gate in warned)
        found.append(Banner("warn", _counted(len(warned), "warning"), told))
    return sorted(found, key=lambda banner: ("alarm", "warn", "note").index(banner.level))


def stamp_of(run: RunView, gates: Sequence[GateVerdict]) -> tuple[str, str]:
    """One word for a run, and its level: alarm, warn or good."""
    failed = any(gate.verdict == "FAIL" for gate in gates)
    if run.liquidated_at:
        return "LIQUIDATED, GATE FAILED" if failed else "LIQUIDATED", "alarm"
    if failed:
        return "GATE FAILED", "alarm"
    if run.repaired_share > REPAIRED_LIMIT:
        return f"{percent(run.repaired_share, 0)} REPAIRED DATA", "warn"
    if not gates:
        return "NOT JUDGED", "warn"
    verdict = worst_of(gates)
    return ("ALL GATES PASS", "good") if verdict == "PASS" else ("GATES WARN", "warn")


def _liquidated(run: RunView) -> Banner:
    events = run.events_of("liquidation")
    first = pd.Timestamp(run.liquidated_at[0], tz="UTC")
    places = ", ".join(sorted(events["venue"].unique()))
    lost = run.summary["attribution"]["liquidation"]
    text = (
        f"{_counted(len(events), 'position')} closed by force at {places}, first on "
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


def _gate_told(gate: GateVerdict) -> str:
    held = f"measured {gate.value} against a limit of {gate.limit}" if gate.limit else ""
    told = ", ".join(part for part in (held, gate.note) if part)
    return f"{gate.name}: {told}" if told else gate.name


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
