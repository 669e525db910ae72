"""Gates as JSON, for scripts."""

import json
from collections.abc import Sequence
from typing import Any

from basis_pipeline.reports.gates import by_phase, check_link, phase_name
from basis_pipeline.verdict import Verdict, by_fault, counts, failing, worst


def gates_json(gates: Sequence[Verdict], *, strict: bool = False) -> str:
    """Return all gates, in the order given, with phase verdicts and the overall one, as JSON."""
    document = {
        "verdict": "FAIL" if failing(gates, strict=strict) else "PASS",
        "strict": strict,
        "counts": {status.value: count for status, count in counts(gates).items()},
        "phases": {phase_name(n): worst(part).value for n, part in by_phase(gates).items()},
        "faults": [_fault(group) for group in by_fault(failing(gates, strict=strict))],
        "gates": [{**gate.to_json(), "link": check_link(gate)} for gate in gates],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _fault(group: Sequence[Verdict]) -> dict[str, Any]:
    """Return a fault and the gates that it stops."""
    first = group[0]
    return {
        "fault": first.fault,
        "verdict": first.status.value,
        "message": first.message,
        "gates": [gate.name for gate in group],
    }
