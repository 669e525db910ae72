"""Gates of documents and code: a fault planted in a project turns exactly its gate red."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.operations import code, coverage, documents
from basis_pipeline.orchestration.assets.project import CODE, HOUSEKEEPING, project_assets
from basis_pipeline.orchestration.records import gates_of
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status, Verdict
from tests.orchestration.conftest import new_instance

COPIED = ("README.md", "Makefile", "requirements.lock", "docs", "configs", "basis_pipeline")
PYPROJECT = """
[tool.ruff]
line-length = 100
[tool.mypy]
files = ["basis_pipeline"]
strict = true
[tool.importlinter]
root_package = "basis_pipeline"
[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
layers = ["basis_pipeline.runs", "basis_pipeline.config"]
"""
SOUND = '"""Sound."""\n\nSIZE = 1\n'
PACKAGE_HOST = "https://" + "example.org/simple"  # in two parts: no file names a host


def judged(root: Path, key: dg.AssetKey) -> dict[str, Verdict]:
    """Materialise one asset of the project at `root` in an instance of its own."""
    assets = project_assets(root)
    with new_instance(root.parent / "home") as instance:
        done = dg.materialize(assets, instance=instance, selection=[key], raise_on_error=False)
        assert done.success
        specs = [spec for asset in assets for spec in asset.check_specs if spec.asset_key == key]
        return {gate.check: gate for gate in gates_of(instance, specs)}


def verdicts(gates: dict[str, Verdict]) -> dict[str, Status]:
    """Verdict of each gate by name."""
    return {name: gate.status for name, gate in gates.items()}


def track(root: Path) -> None:
    """Make the tree a git checkout in which every file is tracked."""
    subprocess.run(["git", "-C", root, "init", "--quiet"], check=True)
    subprocess.run(["git", "-C", root, "add", "--all"], check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project's documents, configuration and code."""
    root = tmp_path / "project"
    root.mkdir()
    for name in COPIED:
        source = project_root() / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    return root


def add(name: str, text: str) -> Callable[[Path], object]:
    """A fault: text added to a file, which is made when absent."""

    def plant(root: Path) -> None:
        with (root / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return plant


def test_this_projects_documents_are_sound(project: Path) -> None:
    """Every gate of the documents is evaluated and green as the project stands."""
    track(project)
    gates = judged(project, HOUSEKEEPING)
    assert verdicts(gates) == dict.fromkeys(documents.CHECKS, Status.PASS), gates


DOCUMENT_FAULTS = {
    "error_reference": [add("docs/errors.md", "more\n"), lambda r: (r / "docs/errors.md").unlink()],
    "commands": [
        add("README.md", "`basis pray`\n"),
        add("README.md", "`basis gates --hope`\n"),
        add("README.md", "`make money`\n"),
        lambda r: (r / "README.md").unlink(),
    ],
    "names": [
        add("README.md", "`basis run --mode btc_bass`\n"),
        add("README.md", "`basis run --set hedge.ration=1`\n"),
        add("README.md", "`hedge.ration`\n"),
        add("README.md", "`dataset/binance_dogeusdt_perp`\n"),
        add("README.md", "`configs/modes/nope.yaml`\n"),
        add("README.md", "BASIS_DATA_DRI\n"),
        add("README.md", "DATA-999\n"),
    ],
    "lock": [
        add("requirements.lock", "loose>=1\n"),
        add("requirements.lock", f"--index-url {PACKAGE_HOST}\n"),
        lambda r: (r / "requirements.lock").unlink(),
    ],
    "secrets": [
        add("configs/keys.yaml", "aws: AKIA" + "Q7" * 8 + "\n"),
        add("configs/keys.yaml", "api_key: " + "a1B2" * 8 + "\n"),
        add("configs/key.pem", "-----BEGIN PRIVATE " + "KEY-----\n" + "Ab1/" * 16 + "\n"),
    ],
}


@pytest.mark.parametrize(
    ("check", "plant"),
    [(check, plant) for check, plants in DOCUMENT_FAULTS.items() for plant in plants],
)
def test_a_fault_in_the_documents_turns_its_gate_red(
    project: Path, check: str, plant: Callable[[Path], object]
) -> None:
    """What a document names and does not exist, and what must not be published, is found."""
    plant(project)
    track(project)
    gates = judged(project, HOUSEKEEPING)
    red = {name for name, gate in gates.items() if gate.status is Status.FAIL}
    assert red == {check}, gates


def test_without_git_nobody_knows_what_is_published(project: Path) -> None:
    """A tree that is no checkout leaves the search for secrets unevaluated: no pass."""
    gates = judged(project, HOUSEKEEPING)
    assert gates["secrets"].status is Status.NOT_RUN


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small project that all tools are content with."""
    root = tmp_path / "project"
    (root / "basis_pipeline").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    for name in ("__init__", "config", "errors", "runs"):
        (root / "basis_pipeline" / f"{name}.py").write_text(SOUND)
    measure(root, reached=9)
    return root


def measure(root: Path, reached: int) -> None:
    """Keep the record of a measurement that reached so many of ten statements."""
    (root / "docs").mkdir(exist_ok=True)
    summary = {"num_statements": 10, "covered_lines": reached}
    coverage.write_record({"files": {"basis_pipeline/errors.py": {"summary": summary}}}, root)


def test_sound_code_passes_every_tool(package: Path) -> None:
    """All tools are found and judge the project they are pointed at."""
    gates = judged(package, CODE)
    assert verdicts(gates) == dict.fromkeys(code.CHECKS, Status.PASS), gates
    assert gates["coverage"].measured == 0.9


CODE_FAULTS = {
    "formatting": add("basis_pipeline/config.py", "NAMES = [ 'a' ]\n"),
    "lint": add("basis_pipeline/config.py", "import os\n"),
    "types": add("basis_pipeline/config.py", "NAME: str = 1\n"),
    "floors": add("basis_pipeline/config.py", "from basis_pipeline import runs\n\nHIGH = runs\n"),
    "coverage": lambda root: measure(root, reached=8),
}


@pytest.mark.parametrize("check", CODE_FAULTS)
def test_a_fault_in_the_code_turns_its_gate_red(package: Path, check: str) -> None:
    """Each tool sees the fault that is its own."""
    CODE_FAULTS[check](package)
    gates = judged(package, CODE)
    assert gates[check].status is Status.FAIL, gates
    assert gates[check].message


def test_code_that_was_not_measured_counts_as_not_reached(package: Path) -> None:
    """A measurement says nothing of code written after it, and one changed file hides no other."""
    assert coverage.coverage_check(package).passed
    add("basis_pipeline/settings.py", SOUND)(package)  # two statements more, reached by none
    found = coverage.coverage_check(package)
    assert found.measured == 9 / 12
    assert not found.passed
    assert "basis_pipeline/settings.py" in found.message
    (package / "basis_pipeline" / "settings.py").unlink()
    add("basis_pipeline/errors.py", "MORE = 2\n")(package)
    assert coverage.coverage_check(package).measured == 0.0


def test_without_a_record_coverage_is_not_evaluated(package: Path) -> None:
    """Nobody knows what the tests of such a checkout reach: no pass."""
    (package / coverage.RECORD).unlink()
    found = coverage.coverage_check(package)
    assert not found.evaluated
    assert "make coverage" in found.message


def test_a_tool_that_is_missing_is_not_evaluated(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment without the development tools passes no gate of theirs."""
    absent = ("nobody judges", "no_such_package", ("no-such-tool",))
    monkeypatch.setitem(code.TOOLS, "lint", absent)
    found = {result.name: result for result in code.code_checks(package)}
    assert not found["lint"].evaluated
    assert found["formatting"].passed
