"""The page of the quality gates: first what stops the pipeline, one entry per fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from basis_pipeline.config.control import ControlLimits
from basis_pipeline.error_codes import PHASES
from basis_pipeline.reports.banners import in_order, with_status
from basis_pipeline.reports.gate_tables import History, gate_tables, measured
from basis_pipeline.reports.page import Provenance, render
from basis_pipeline.verdict import (
    WORST_FIRST,
    Status,
    Verdict,
    amount,
    by_fault,
    counts,
    failing,
    worst,
)

_SECONDS = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the verdict that states it, and the other gates that it stops.

    stated_by: None where only the gates that it blocks are known; then `name` describes it.
    """

    name: str
    stated_by: Verdict | None
    stopped: list[Verdict]

    @property
    def stopped_by_place(self) -> dict[str, list[str]]:
        """The stopped checks of each asset and mode."""
        places: dict[str, list[str]] = {}
        for verdict in self.stopped:
            places.setdefault(verdict.place, []).append(verdict.check)
        return places


def gates_html(
    verdicts: Sequence[Verdict],
    provenance: Provenance,
    *,
    strict: bool = False,
    ui: str = "",
    history: History = MappingProxyType({}),
    control: ControlLimits | None = None,
) -> str:
    """Return the page of all gates.

    Every fault that stops the pipeline comes first, then warnings; then every phase with its
    assets, and every asset with its gates and the evidence of each verdict.

    Parameters
    ----------
    strict: whether a gate that was never evaluated fails.
    ui: address of the Dagster UI, where each gate's history is; without one there are no links.
    history: evaluations of the gates that are not passed, by name, the latest first.
    control: the limits of emergency control.
    """
    dated = [verdict.evaluated_at for verdict in verdicts if verdict.evaluated_at]
    phases = by_phase(verdicts)
    return render(
        "gates.html.j2",
        provenance,
        headline=headline(verdicts, strict=strict),
        strict=strict,
        counts=counts(verdicts),
        total=len(verdicts),
        latest=f"{max(dated):{_SECONDS}} UTC" if dated else "never",
        modes=sorted({verdict.mode for verdict in verdicts if verdict.mode}),
        overview=[(phase_name(n), worst(part), counts(part)) for n, part in phases.items()],
        faults=faults(failing(verdicts, strict=strict)),
        warnings=faults(with_status(verdicts, Status.WARN)),
        tables=gate_tables(verdicts, history, control),
        phases={phase_name(n): _by_asset(part) for n, part in phases.items()},
        matrix=_matrix([verdict for verdict in verdicts if verdict.mode]),
        evidence=_evidence,
        link=check_link,
        ui=ui.rstrip("/"),
    )


def faults(stopping: Sequence[Verdict]) -> list[Fault]:
    """Return one entry per fault; gates that were never evaluated share one."""
    evaluated = [verdict for verdict in stopping if verdict.status is not Status.NOT_RUN]
    entries = []
    for group in by_fault(evaluated):
        stated = group[0] if group[0].evaluated else None
        entries.append(Fault(group[0].fault, stated, group[1:] if stated else group))
    if unrun := with_status(stopping, Status.NOT_RUN):
        entries.append(Fault("never evaluated", None, unrun))
    return entries


def headline(verdicts: Sequence[Verdict], *, strict: bool = False) -> str:
    """Return the overall verdict; gates that were not evaluated have not passed."""
    overall = "FAIL" if failing(verdicts, strict=strict) else "PASS"
    unrun = counts(verdicts)[Status.NOT_RUN]
    return f"{overall}, {unrun} NOT RUN" if unrun and overall == "PASS" else overall


def phase_name(phase: int) -> str:
    """Return number and subject of a phase."""
    return f"{phase} {PHASES[phase]}"


def by_phase(verdicts: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """Return the verdicts of each phase that has any, in the order given."""
    present = sorted({verdict.phase for verdict in verdicts})
    return {phase: [v for v in verdicts if v.phase == phase] for phase in present}


def check_link(verdict: Verdict) -> str:
    """Return the path below the UI's address where the check and its history are shown."""
    return f"/assets/{quote(verdict.asset)}?view=checks&checkDetail={quote(verdict.check)}"


def _by_asset(verdicts: Sequence[Verdict]) -> list[tuple[str, Status, list[Verdict]]]:
    """Return the assets with their worst status and their verdicts, worst first."""
    parts: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        parts.setdefault(verdict.asset, []).append(verdict)
    rows = [(name, worst(part), in_order(part)) for name, part in parts.items()]
    return sorted(rows, key=lambda row: WORST_FIRST.index(row[1]))


def _matrix(verdicts: Sequence[Verdict]) -> list[tuple[str, dict[str, Status]]]:
    """Return the checks of the modes, with their scenario set, and each one's status by mode.

    Sets named after their modes share a row: each is its mode's own set.
    """
    checks: dict[str, dict[str, Status]] = {}
    for verdict in verdicts:
        shared = verdict.scenario_set not in ("", verdict.mode)
        place = f"{verdict.asset}[{verdict.scenario_set}]" if shared else verdict.asset
        checks.setdefault(f"{place} {verdict.check}", {})[verdict.mode] = verdict.status
    return list(checks.items())


def _evidence(verdict: Verdict) -> Mapping[str, str]:
    """Return the evidence of a verdict beside its message, as texts."""
    facts = measured(verdict)
    for name, value in sorted(verdict.evidence.items()):
        facts[name.replace("_", " ")] = value if isinstance(value, str) else amount(value)
    if verdict.evaluated_at:
        facts["evaluated"] = f"{verdict.evaluated_at:{_SECONDS}}"
    return facts | ({"run": verdict.run_id[:8]} if verdict.run_id else {})
