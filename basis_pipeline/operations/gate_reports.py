"""Gates as documents: JSON for scripts, JUnit for build servers, Markdown and a page for people."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from basis_pipeline.error_codes import PHASES
from basis_pipeline.reports.page import render
from basis_pipeline.verdict import (
    WORST_FIRST,
    Status,
    Verdict,
    amount,
    by_fault,
    counts,
    failing,
    tally,
    worst,
)

# What XML 1.0 cannot hold in any form.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_MOMENT = "%Y-%m-%d %H:%M:%S"


def phase_name(phase: int) -> str:
    """Number and subject of a phase."""
    return f"{phase} {PHASES[phase]}"


def link(gate: Verdict) -> str:
    """Path below the UI's address where the check, its history and its evidence are shown."""
    return f"/assets/{quote(gate.asset)}?view=checks&checkDetail={quote(gate.check)}"


def by_phase(gates: Sequence[Verdict]) -> dict[int, list[Verdict]]:
    """The gates of each phase that has any, in the order given."""
    present = sorted({gate.phase for gate in gates})
    return {phase: [gate for gate in gates if gate.phase == phase] for phase in present}


def gates_json(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """All gates, the verdict of each phase and the overall one as JSON, in the order given."""
    document = {
        "verdict": _overall(gates, strict),
        "strict": strict,
        "counts": {status.value: count for status, count in counts(gates).items()},
        "phases": {phase_name(n): worst(part).value for n, part in by_phase(gates).items()},
        "faults": [_fault(group) for group in by_fault(failing(gates, strict=strict))],
        "gates": [{**gate.to_json(), "link": link(gate)} for gate in gates],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _fault(group: Sequence[Verdict]) -> dict[str, Any]:
    """What is at fault, and the gates that it stops."""
    first = group[0]
    return {
        "fault": first.fault,
        "verdict": first.status.value,
        "message": first.message,
        "gates": [gate.name for gate in group],
    }


def gates_junit(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """All gates as JUnit XML: a suite a phase, a case a gate, its evidence as the case's output.

    A gate that stops the line is a failure, one that was never evaluated is skipped otherwise; a
    warning is a passed case whose output begins with WARN.
    """
    root = ET.Element("testsuites", name="basis gates")
    totals = {"tests": 0, "failures": 0, "skipped": 0}
    for phase, part in by_phase(gates).items():
        suite = ET.SubElement(root, "testsuite", name=phase_name(phase))
        stopping = failing(part, strict=strict)
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


def _case(suite: ET.Element, gate: Verdict, *, stops: bool) -> None:
    case = ET.SubElement(suite, "testcase", classname=gate.place, name=gate.check, time="0")
    if stops:
        failure = {"type": gate.status.value, "message": _plain(gate.message)}
        ET.SubElement(case, "failure", failure).text = _plain(evidence(gate))
    elif not gate.evaluated:
        ET.SubElement(case, "skipped", message=_plain(gate.message))
    ET.SubElement(case, "system-out").text = _plain(evidence(gate))


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def evidence(gate: Verdict) -> str:
    """What a verdict stands on, a line a fact."""
    at = gate.evaluated_at.isoformat(timespec="seconds") if gate.evaluated_at else "never"
    figures = [f"{name}: {value}" for name, value in _figures(gate).items()]
    run = [f"run: {gate.run_id}"] if gate.run_id else []
    first = f"{gate.status.value}: {gate.message}"
    return "\n".join([first, *figures, f"evaluated: {at}", *run, f"link: {link(gate)}"])


def _figures(gate: Verdict) -> dict[str, str]:
    held = {"measured": gate.measured_text, "limit": gate.limit_text}
    texts = {name: text for name, text in held.items() if text}
    for name, value in sorted(gate.evidence.items()):
        texts[name] = value if isinstance(value, str) else amount(value)
    return texts


def gates_markdown(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """All gates as Markdown: a table of the phases, then one of each phase's gates."""
    how = ", strict" if strict else ""
    headline = f"# Quality gates: {_headline(gates, strict)}"
    lines = [headline, "", f"{len(gates)} gates: {tally(gates)}{how}."]
    for phase, part in by_phase(gates).items():
        lines += ["", f"## {phase_name(phase)}: {worst(part).value}", ""]
        lines += ["| verdict | gate | evidence |", "|---|---|---|"]
        for gate in part:
            # A link needs the address the UI is served from; the path alone is what is known here.
            cells = (gate.status.value, f"[{gate.name}]({link(gate)})", gate.message)
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def gates_html(gates: Sequence[Verdict], *, strict: bool = False, ui: str = "") -> str:
    """All gates as a page that needs nothing beside itself.

    What stops the line comes first, then warnings; then every phase with its assets, and every
    asset with its gates and what each verdict stands on.

    Parameters
    ----------
    ui: address of the Dagster UI, where each gate's history is; without one there are no links.
    """
    stopping = failing(gates, strict=strict)
    telling = [gate for gate in gates if gate.status is Status.WARN and gate not in stopping]
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
        link=link,
        ui=ui.rstrip("/"),
    )


def _by_asset(gates: Sequence[Verdict]) -> list[tuple[str, Status, list[Verdict]]]:
    """Assets with their worst verdict and their gates, worst first."""
    names = dict.fromkeys(gate.asset for gate in gates)
    parts = {name: [gate for gate in gates if gate.asset == name] for name in names}
    found = [(name, worst(part), sorted(part, key=_badness)) for name, part in parts.items()]
    return sorted(found, key=lambda asset: WORST_FIRST.index(asset[1]))


def _badness(gate: Verdict) -> int:
    return WORST_FIRST.index(gate.status)


def _matrix(gates: Sequence[Verdict]) -> list[tuple[str, dict[str, Status]]]:
    """Gates that every mode has: the check, with its scenario set, and its verdict by mode.

    Sets that are named as their modes share a row: they are one thing to every mode, its own.
    """
    checks: dict[str, dict[str, Status]] = {}
    for gate in gates:
        shared = gate.scenario_set not in ("", gate.mode)
        place = f"{gate.asset}[{gate.scenario_set}]" if shared else gate.asset
        checks.setdefault(f"{place} {gate.check}", {})[gate.mode] = gate.status
    return list(checks.items())


def _evidence_of(gate: Verdict) -> dict[str, str]:
    """What a verdict stands on beside its message, as texts."""
    at = f"{gate.evaluated_at:{_MOMENT}}" if gate.evaluated_at else "never"
    return {**_figures(gate), "evaluated": at, **({"run": gate.run_id[:8]} if gate.run_id else {})}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _overall(gates: Sequence[Verdict], strict: bool) -> str:
    return "FAIL" if failing(gates, strict=strict) else "PASS"


def _headline(gates: Sequence[Verdict], strict: bool) -> str:
    """The verdict for a reader who stops there: what was never evaluated has not passed."""
    overall, unrun = _overall(gates, strict), counts(gates)[Status.NOT_RUN]
    return f"{overall}, {unrun} NOT RUN" if unrun and overall == "PASS" else overall
