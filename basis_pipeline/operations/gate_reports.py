"""Gates as documents: JSON for scripts, JUnit for build servers, Markdown for people."""

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from basis_pipeline.reports.gates import by_phase, check_link, headline, phase_name
from basis_pipeline.verdict import Verdict, amount, by_fault, counts, failing, tally, worst

# What XML 1.0 cannot hold in any form.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gates_json(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """All gates, the verdict of each phase and the overall one as JSON, in the order given."""
    document = {
        "verdict": _overall(gates, strict),
        "strict": strict,
        "counts": {status.value: count for status, count in counts(gates).items()},
        "phases": {phase_name(n): worst(part).value for n, part in by_phase(gates).items()},
        "faults": [_fault(group) for group in by_fault(failing(gates, strict=strict))],
        "gates": [{**gate.to_json(), "link": check_link(gate)} for gate in gates],
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
    return "\n".join([first, *figures, f"evaluated: {at}", *run, f"link: {check_link(gate)}"])


def _figures(gate: Verdict) -> dict[str, str]:
    held = {"measured": gate.measured_text, "limit": gate.limit_text}
    texts = {name: text for name, text in held.items() if text}
    for name, value in sorted(gate.evidence.items()):
        texts[name] = value if isinstance(value, str) else amount(value)
    return texts


def gates_markdown(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """All gates as Markdown: a table of the phases, then one of each phase's gates."""
    how = ", strict" if strict else ""
    lines = [f"# Quality gates: {headline(gates, strict=strict)}", ""]
    lines.append(f"{len(gates)} gates: {tally(gates)}{how}.")
    for phase, part in by_phase(gates).items():
        lines += ["", f"## {phase_name(phase)}: {worst(part).value}", ""]
        lines += ["| verdict | gate | evidence |", "|---|---|---|"]
        for gate in part:
            # A link needs the address the UI is served from; the path alone is what is known here.
            cells = (gate.status.value, f"[{gate.name}]({check_link(gate)})", gate.message)
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _overall(gates: Sequence[Verdict], strict: bool) -> str:
    return "FAIL" if failing(gates, strict=strict) else "PASS"
