"""Gates of the code: formatting, lint, types, floors and coverage, judged by their own tools."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

from basis_pipeline.operations import coverage
from basis_pipeline.verdict import Severity, Value, Verdict, blocked, judge

PHASE = 5
# Check → what it asks, the package and the arguments of its tool; a tool exits 0 when content.
TOOLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "formatting": ("every file is formatted", "ruff", ("ruff", "format", "--check", ".")),
    "lint": ("the linter finds nothing", "ruff", ("ruff", "check", "--output-format=concise", ".")),
    "types": ("the strict type check finds nothing", "mypy", ("mypy",)),
    "floors": ("files import only from floors below", "importlinter", ("lint-imports",)),
}
CHECKS: dict[str, tuple[Severity, str]] = {
    **{name: ("ERROR", asks) for name, (asks, _, _) in TOOLS.items()},
    "coverage": ("ERROR", coverage.ASKS),
}
SHOWN = 6  # lines of what a tool says


def code_checks(root: Path) -> list[Verdict]:
    """Evaluate every check of `CHECKS` on the project at `root`.

    A tool that is not installed leaves its check unevaluated: it has not passed.
    """
    return [*(_judged(root, name) for name in TOOLS), coverage.coverage_check(root)]


def _judged(root: Path, name: str) -> Verdict:
    asks, package, arguments = TOOLS[name]
    tool = Path(sysconfig.get_path("scripts")) / arguments[0]
    if importlib.util.find_spec(package) is None or not tool.exists():
        cause = f"{arguments[0]} is not installed beside {sys.executable}"
        return blocked(name, "ERROR", cause, phase=PHASE)
    command = [str(tool), *arguments[1:]]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=600, check=False
    )
    output = (done.stdout.strip() or done.stderr.strip()).splitlines()
    message = asks if done.returncode == 0 else " · ".join(output[-SHOWN:])
    figures: dict[str, Value] = {"command": " ".join(arguments), "exit_code": done.returncode}
    return judge(name, "ERROR", done.returncode == 0, message, evidence=figures, phase=PHASE)
