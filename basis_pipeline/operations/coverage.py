"""How much of floors 0 to 3 the tests reach: the record a checkout carries, and its gate.

`docs/coverage.json` says of every file how many of its statements the tests reached, and the hash
of the content that was measured. A file that is new or has changed since counts as reached by none.
`make coverage` writes the record anew.
"""

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from basis_pipeline.verdict import Verdict, against, blocked, judge

PHASE = 5
RECORD = "docs/coverage.json"
FLOORS = ("config", "market", "engine", "results", "runs", "operations")
FLOOR_0 = ("errors.py", "settings.py", "error_codes.py", "masking.py")
MIN_COVERED = 0.90
ASKS = f"tests reach at least {MIN_COVERED:.0%} of floors 0 to 3"
SHOWN = 4  # files that are named


def coverage_check(root: Path) -> Verdict:
    """Share of the statements of the project at `root` that its tests are known to reach."""
    record = root / RECORD
    if not record.is_file():
        return blocked("coverage", "ERROR", f"there is no {RECORD}: make coverage", phase=PHASE)
    measured: dict[str, dict[str, Any]] = json.loads(record.read_bytes())
    statements = covered = 0
    unmeasured = []
    for file in _files(root):
        name = str(file.relative_to(root))
        entry = measured.get(name, {})
        if entry.get("sha256") == _hash(file):
            statements += entry["statements"]
            covered += entry["covered"]
        else:
            statements += _statements(file)
            unmeasured.append(name)
    share = covered / statements if statements else 0.0
    message = against("the share of statements reached", share, MIN_COVERED, "share", floor=True)
    if unmeasured:
        more = f" and {len(unmeasured) - SHOWN} more" if len(unmeasured) > SHOWN else ""
        message += f"; changed since they were measured: {', '.join(unmeasured[:SHOWN])}{more}"
    return judge(
        "coverage",
        "ERROR",
        share >= MIN_COVERED,
        message,
        measured=share,
        limit=MIN_COVERED,
        unit="share",
        evidence={"statements": statements, "unmeasured_files": len(unmeasured)},
        phase=PHASE,
    )


def write_record(report: Mapping[str, Any], root: Path) -> None:
    """Keep what a JSON report of coverage.py says of the project at `root` as it stands."""
    measured = {Path(name).as_posix(): entry["summary"] for name, entry in report["files"].items()}
    lines = []
    for file in _files(root):
        name = file.relative_to(root).as_posix()
        if (summary := measured.get(name)) is None:
            continue
        entry = {
            "sha256": _hash(file),
            "statements": summary["num_statements"],
            "covered": summary["covered_lines"],
        }
        lines.append(f"  {json.dumps(name)}: {json.dumps(entry)}")
    (root / RECORD).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _files(root: Path) -> Iterator[Path]:
    package = root / "basis_pipeline"
    for file in sorted(package.rglob("*.py")):
        if file.relative_to(package).parts[0] in (*FLOORS, *FLOOR_0):
            yield file


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _statements(file: Path) -> int:
    """Lines on which a statement begins: what a file counts for that was not measured."""
    tree = ast.parse(file.read_bytes())
    return len({node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)})


if __name__ == "__main__":
    write_record(json.load(sys.stdin), Path.cwd())
