"""Gates as documents: JSON for scripts, JUnit for build servers, Markdown and a page for people."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree as ET

from basis_pipeline.error_codes import PHASES
from basis_pipeline.operations.gates import (
    WORST_FIRST,
    Gate,
    Verdict,
    counts,
    failed,
    short,
    worst,
)
from basis_pipeline.reports.page import render

# What XML 1.0 cannot hold in any form.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_MOMENT = "%Y-%m-%d %H:%M:%S"


def phase_name(phase: int) -> str:
    """Number and subject of a phase."""
    return f"{phase} {PHASES[phase]}"


def by_phase(gates: Sequence[Gate]) -> dict[int, list[Gate]]:
    """The gates of each phase that has any, in the order given."""
    present = sorted({gate.phase for gate in gates})
    return {phase: [gate for gate in gates if gate.phase == phase] for phase in present}


def gates_json(gates: Sequence[Gate], *, strict: bool = False) -> str:
    """All gates, the verdict of each phase and the overall one as JSON, in the order given."""
    rows = []
    for gate in gates:
        at = gate.evaluated_at.isoformat() if gate.evaluated_at else None
        rows.append({**asdict(gate), "evaluated_at": at, "link": gate.link})
    document = {
        "verdict": _overall(gates, strict),
        "strict": strict,
        "counts": {verdict.value: count for verdict, count in counts(gates).items()},
        "phases": {phase_name(n): worst(part).value for n, part in by_phase(gates).items()},
        "gates": rows,
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def gates_junit(gates: Sequence[Gate], *, strict: bool = False) -> str:
    """All gates as JUnit XML: a suite a phase, a case a gate, its evidence as the case's output.

    A gate that stops the line is a failure, one that was never evaluated is skipped otherwise; a
    warning is a passed case whose output begins with WARN.
    """
    root = ET.Element("testsuites", name="basis gates")
    totals = {"tests": 0, "failures": 0, "skipped": 0}
    for phase, part in by_phase(gates).items():
        suite = ET.SubElement(root, "testsuite", name=phase_name(phase))
        stopping = failed(part, strict=strict)
        for gate in part:
            _case(suite, gate, stops=gate in stopping)
        found = {
            "tests": len(part),
            "failures": len(suite.findall("testcase/failure")),
            "skipped": len(suite.findall("testcase/skipped")),
        }
        _count(suite, found)
        totals = {name: totals[name] + number for name, number in found.items()}
    _count(root, totals)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _count(element: ET.Element, found: dict[str, int]) -> None:
    for name, number in {**found, "errors": 0}.items():
        element.set(name, str(number))


def _case(suite: ET.Element, gate: Gate, *, stops: bool) -> None:
    case = ET.SubElement(suite, "testcase", classname=gate.place, name=gate.check, time="0")
    if stops:
        told = {"type": gate.verdict.value, "message": _plain(gate.message)}
        ET.SubElement(case, "failure", told).text = _plain(evidence(gate))
    elif gate.verdict is Verdict.NOT_RUN:
        ET.SubElement(case, "skipped", message=_plain(gate.message))
    ET.SubElement(case, "system-out").text = _plain(evidence(gate))


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def evidence(gate: Gate) -> str:
    """What a verdict stands on, a line a fact."""
    at = gate.evaluated_at.isoformat(timespec="seconds") if gate.evaluated_at else "never"
    figures = [f"{name}: {value}" for name, value in sorted((gate.metrics or {}).items())]
    run = [f"run: {gate.run_id}"] if gate.run_id else []
    said = f"{gate.verdict.value}: {gate.message}"
    return "\n".join([said, *figures, f"evaluated: {at}", *run, f"link: {gate.link}"])


def gates_markdown(gates: Sequence[Gate], *, strict: bool = False) -> str:
    """All gates as Markdown: a table of the phases, then one of each phase's gates."""
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts(gates).items())
    how = ", strict" if strict else ""
    headline = f"# Quality gates: {_headline(gates, strict)}"
    lines = [headline, "", f"{len(gates)} gates: {told}{how}."]
    for phase, part in by_phase(gates).items():
        lines += ["", f"## {phase_name(phase)}: {worst(part).value}", ""]
        lines += ["| verdict | gate | evidence |", "|---|---|---|"]
        for gate in part:
            # A link needs the address the UI is served from; the path alone is what is known here.
            cells = (gate.verdict.value, f"[{gate.name}]({gate.link})", gate.told)
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def gates_html(gates: Sequence[Gate], *, strict: bool = False, ui: str = "") -> str:
    """All gates as a page that needs nothing beside itself.

    What stops the line comes first, then warnings; then every phase with its assets, and every
    asset with its gates and what each verdict stands on.

    Parameters
    ----------
    ui: address of the Dagster UI, where each gate's history is; without one there are no links.
    """
    stopping = failed(gates, strict=strict)
    telling = [gate for gate in gates if gate.verdict is Verdict.WARN and gate not in stopping]
    dated = [gate.evaluated_at for gate in gates if gate.evaluated_at]
    phases = by_phase(gates)
    return render(
        "gates.html.j2",
        (),
        verdict=_headline(gates, strict),
        strict=strict,
        counts=counts(gates),
        total=len(gates),
        latest=f"{max(dated):{_MOMENT}} UTC" if dated else "never",
        modes=sorted({gate.mode for gate in gates if gate.mode}),
        overview=[(phase_name(n), worst(part), counts(part)) for n, part in phases.items()],
        words=WORST_FIRST,
        stopping=stopping,
        warnings=telling,
        phases={phase_name(n): _by_asset(part) for n, part in phases.items()},
        matrix=_matrix([gate for gate in gates if gate.mode]),
        evidence=_evidence_of,
        ui=ui.rstrip("/"),
    )


def _by_asset(gates: Sequence[Gate]) -> list[tuple[str, Verdict, list[Gate]]]:
    """Assets with their worst verdict and their gates, worst first."""
    names = dict.fromkeys(gate.asset for gate in gates)
    parts = {name: [gate for gate in gates if gate.asset == name] for name in names}
    found = [(name, worst(part), sorted(part, key=_badness)) for name, part in parts.items()]
    return sorted(found, key=lambda asset: WORST_FIRST.index(asset[1]))


def _badness(gate: Gate) -> int:
    return WORST_FIRST.index(gate.verdict)


def _matrix(gates: Sequence[Gate]) -> list[tuple[str, dict[str, Verdict]]]:
    """Gates that every mode has: the check, with its scenario set, and its verdict by mode.

    Sets that are named as their modes share a row: they are one thing to every mode, its own.
    """
    checks: dict[str, dict[str, Verdict]] = {}
    for gate in gates:
        shared = gate.scenario_set not in ("", gate.mode)
        place = f"{gate.asset}[{gate.scenario_set}]" if shared else gate.asset
        checks.setdefault(f"{place} {gate.check}", {})[gate.mode] = gate.verdict
    return list(checks.items())


def _evidence_of(gate: Gate) -> dict[str, str]:
    """What a verdict stands on beside its message, as texts."""
    figures = {name: short(value) for name, value in sorted((gate.metrics or {}).items())}
    at = f"{gate.evaluated_at:{_MOMENT}}" if gate.evaluated_at else "never"
    return {**figures, "evaluated": at, **({"run": gate.run_id[:8]} if gate.run_id else {})}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _overall(gates: Sequence[Gate], strict: bool) -> str:
    return "FAIL" if failed(gates, strict=strict) else "PASS"


def _headline(gates: Sequence[Gate], strict: bool) -> str:
    """The verdict for a reader who stops there: what was never evaluated has not passed."""
    overall, unrun = _overall(gates, strict), counts(gates)[Verdict.NOT_RUN]
    return f"{overall}, {unrun} NOT RUN" if unrun and overall == "PASS" else overall
