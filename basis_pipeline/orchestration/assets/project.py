"""`project/housekeeping` and `project/code`: documents, lock and code as gates of phase 5."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from basis_pipeline.operations import code, documents
from basis_pipeline.operations.code import code_checks
from basis_pipeline.operations.documents import Commands, document_checks
from basis_pipeline.orchestration.checks import check_results, check_spec, results_only
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Verdict

HOUSEKEEPING = dg.AssetKey(["project", "housekeeping"])
CODE = dg.AssetKey(["project", "code"])
CODE_VERSION = "1"
Steps = Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]
# The command line lies on a floor above: it is asked, in a process of its own, what it offers.
_TREE = """
import json, typer
from basis_pipeline.cli import app
def walk(command, path=()):
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), [option for p in command.params for option in p.opts]
print(json.dumps(dict(walk(typer.main.get_command(app)))))
"""


def project_assets(root: Path | None = None) -> list[dg.AssetsDefinition]:
    """What the project at `root`, else this one, holds beside its results."""
    return [_housekeeping(root), _code(root)]


def _specs(key: dg.AssetKey, checks: Mapping[str, tuple[Any, str]]) -> list[dg.AssetCheckSpec]:
    return [check_spec(key, name, told[0], told[1], code.PHASE) for name, told in checks.items()]


def _housekeeping(root: Path | None) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        HOUSEKEEPING,
        group_name="project",
        kinds={"markdown"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "The pages people read, the lock and the tracked files: every command, mode, dataset, "
            "key, variable and code they name exists, and no secret lies among them.\n\n"
            "**Units:** numbers of problems. **Source:** the working tree as git tracks it.\n\n"
            "**What is at stake:** a reader who follows a page that is out of date, and whoever a "
            "published secret belongs to."
        ),
    )

    # What cannot be evaluated stays unrecorded: only a step of subsets may leave a check out.
    @dg.multi_asset(
        name="project_housekeeping",
        specs=[spec],
        check_specs=_specs(HOUSEKEEPING, documents.CHECKS),
        can_subset=True,
    )
    def housekeeping(context: dg.AssetExecutionContext) -> Steps:
        """Read the documents and hold them against the code."""
        found = document_checks(root or project_root(), current_configs(), command_tree)
        yield from _told(HOUSEKEEPING, found, context)

    return housekeeping


def _code(root: Path | None) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        CODE,
        group_name="project",
        kinds={"python"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "The code as its tools judge it: formatting, lint, strict types, the walls between the "
            "floors, and how much of floors 0 to 3 the tests reach.\n\n"
            "**Units:** numbers of findings; coverage as a share of statements and branches. "
            "**Source:** the tools that are installed, run on the working tree, and the coverage "
            "file of the last run of the tests.\n\n"
            "**What is at stake:** the next change: code that its tools reject is code whose "
            "figures nobody should release."
        ),
    )

    # What cannot be evaluated stays unrecorded: only a step of subsets may leave a check out.
    @dg.multi_asset(
        name="project_code", specs=[spec], check_specs=_specs(CODE, code.CHECKS), can_subset=True
    )
    def judged_code(context: dg.AssetExecutionContext) -> Steps:
        """Run every tool that is installed; one that is not leaves its gate unevaluated."""
        yield from _told(CODE, code_checks(root or project_root()), context)

    return judged_code


def _told(key: dg.AssetKey, found: Sequence[Verdict], context: dg.AssetExecutionContext) -> Steps:
    unknown = {f"not_evaluated/{f.check}": f.message for f in found if not f.evaluated}
    checks = check_results(key, found, context.selected_asset_check_keys)
    result = dg.MaterializeResult[None](key, metadata=unknown, check_results=checks)
    yield from results_only(context, result)


def command_tree() -> Commands:
    """Every command of `basis` with its options."""
    done = subprocess.run(
        [sys.executable, "-c", _TREE],
        capture_output=True,
        text=True,
        check=True,
        cwd=project_root(),
    )
    return {name: set(options) for name, options in json.loads(done.stdout).items()}
