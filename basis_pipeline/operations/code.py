"""Gates of the code: formatting, lint, types, floors and coverage, judged by their own tools."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

from basis_pipeline.market.quality import QualityResult, Severity

PHASE = 5
COVERAGE = "coverage.json"
FLOORS_0_TO_3 = ("config", "market", "engine", "results", "runs", "operations")
MIN_COVERED = 0.90
# Check → what it asks, the package and the arguments of its tool; a tool exits 0 when content.
TOOLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "formatting": ("every file is formatted", "ruff", ("ruff", "format", "--check", ".")),
    "lint": ("the linter finds nothing", "ruff", ("ruff", "check", "--output-format=concise", ".")),
    "types": ("the strict type check finds nothing", "mypy", ("mypy",)),
    "floors": ("files import only from floors below", "importlinter", ("lint-imports",)),
}
CHECKS: dict[str, tuple[Severity, str]] = {
    **{name: ("ERROR", asks) for name, (asks, _, _) in TOOLS.items()},
    "coverage": ("ERROR", f"tests reach at least {MIN_COVERED:.0%} of floors 0 to 3"),
}
SHOWN = 6  # lines of what a tool says


def code_checks(root: Path) -> list[QualityResult]:
    """Evaluate every check of `CHECKS` on the project at `root`.

    A tool that is not installed and a coverage that was not measured since the code last changed
    leave their check unevaluated: it has not passed.
    """
    return [*(_judged(root, name) for name in TOOLS), coverage_check(root)]


def _judged(root: Path, name: str) -> QualityResult:
    asks, package, arguments = TOOLS[name]
    tool = Path(sysconfig.get_path("scripts")) / arguments[0]
    if importlib.util.find_spec(package) is None or not tool.exists():
        return _unknown(name, f"{arguments[0]} is not installed beside {sys.executable}")
    command = [str(tool), *arguments[1:]]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=600, check=False
    )
    told = (done.stdout.strip() or done.stderr.strip()).splitlines()
    metrics: dict[str, float | int | str] = {
        "command": " ".join(arguments),
        "exit_code": done.returncode,
    }
    said = asks if done.returncode == 0 else " · ".join(told[-SHOWN:])
    return QualityResult(name, done.returncode == 0, "ERROR", said, metrics, phase=PHASE)


def coverage_check(root: Path) -> QualityResult:
    """Share of lines that tests reached, from the report `make coverage` writes."""
    report = root / COVERAGE
    sources = list((root / "basis_pipeline").rglob("*.py"))
    if not report.is_file():
        return _unknown("coverage", f"there is no {COVERAGE}: make coverage")
    if report.stat().st_mtime < max((file.stat().st_mtime for file in sources), default=0.0):
        return _unknown("coverage", f"the code changed after {COVERAGE} was written: make coverage")
    files = json.loads(report.read_bytes())["files"]
    held = [file["summary"] for name, file in files.items() if _is_held(Path(name))]
    lines = sum(summary["num_statements"] for summary in held)
    covered = sum(summary["covered_lines"] for summary in held)
    share = covered / lines if lines else 0.0
    metrics: dict[str, float | int | str] = {"covered": share, "limit": MIN_COVERED, "lines": lines}
    told = f"{share:.1%} of {lines} lines in {len(held)} files"
    return QualityResult("coverage", share >= MIN_COVERED, "ERROR", told, metrics, phase=PHASE)


def _is_held(file: Path) -> bool:
    parts = file.parts[file.parts.index("basis_pipeline") + 1 :]
    floor_0 = ("errors.py", "settings.py", "error_codes.py", "masking.py")
    return bool(parts) and (parts[0] in FLOORS_0_TO_3 or parts[0] in floor_0)


def _unknown(name: str, why: str) -> QualityResult:
    told = f"not evaluated: {why}"
    return QualityResult(name, False, "ERROR", told, evaluated=False, phase=PHASE)
