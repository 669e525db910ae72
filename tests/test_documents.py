"""The commands that documents show, executed as a reader would, one after the other."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.market.sample import write_sample
from basis_pipeline.settings import project_root
from tests import shell

WINDOW = {"START": "2024-01-03", "END": "2024-02-20"}
# What stands for the reader's own: the dates of documents lie outside sixty days of sample data.
INSTEAD = {"2024-06-01": WINDOW["START"], "2025-03-01": WINDOW["END"], "CODE": "DATA-001"}
FENCED = re.compile(r"^```(?:bash|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:basis|dagster) [^`\n…]+)`")
# Said without the arguments that they need, or that they stand with elsewhere.
NAMES = ("basis backtest", "basis request", "basis run")
# What never ends, what made the data, and what has a test of its own that is slow enough.
ELSEWHERE = (
    "dagster dev",
    "dagster job execute",
    "basis data sample",
    "basis gates --phase 4 --execute",
    "basis walk-forward",  # which needs a longer window
)


def commands(text: str) -> Iterator[str]:
    """Whole commands of a page; in a sentence `basis backtest` may be the name of one."""
    for block in FENCED.findall(text):
        for line in block.splitlines():
            shown = line.partition(" # ")[0].strip()
            if shown.startswith(("basis ", "dagster ")):
                yield shown
    yield from INLINE.findall(FENCED.sub("", text))


def shown() -> dict[str, list[str]]:
    """Every page with the commands it shows, each once, in the order they stand."""
    pages = [project_root() / "README.md", *sorted((project_root() / "docs").glob("*.md"))]
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for page in pages:
        for command in commands(page.read_text(encoding="utf-8")):
            if command not in seen and command not in NAMES and not command.startswith(ELSEWHERE):
                seen.add(command)
                found.setdefault(page.name, []).append(command)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's directory: raw files, and an environment file that names them."""
    directory = tmp_path_factory.mktemp("reader")
    write_sample(directory / "data", days=60)
    lines = (project_root() / "configs" / "env" / "local.env").read_text().splitlines()
    own = {
        "BASIS_DATA_DIR": directory / "data",
        "BASIS_RESULTS_DIR": directory / "results",
        "BASIS_DATA_START_DATE": WINDOW["START"],
        "BASIS_DATA_END_DATE": WINDOW["END"],
    }
    named = (line for line in lines if line.partition("=")[0] not in own)
    own_lines = (f"{name}={value}" for name, value in own.items())
    (directory / "reader.env").write_text("\n".join([*own_lines, *named]) + "\n")
    return directory


def executed(command: str, place: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with what stands for the reader's own filled in."""
    words = [INSTEAD.get(word, word) for word in shlex.split(command)]
    words = [str(place / "data") if word == "DIR" else word for word in words]
    program = "dagster" if words[0] == "dagster" else "basis_pipeline"
    own = {
        "BASIS_ENV_FILE": str(place / "reader.env"),
        "DAGSTER_HOME": str(place / "results" / "dagster_home"),
        "PYTHONPATH": str(project_root()),
    }
    return shell.run(program, *words[1:], env={**shell.clean(), **own}, cwd=place)


@pytest.mark.parametrize("page", shown())
def test_every_command_that_a_document_shows_works(place: Path, page: str) -> None:
    """A reader who types what stands there gets an answer: nothing unusable, no traceback."""
    for command in shown()[page]:
        done = executed(command, place)
        # 1 is an answer, too: a gate that fails, a component that is unwell.
        assert done.returncode in (0, 1), f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{command}\n{done.stderr}"


def test_the_readme_shows_commands() -> None:
    """Commands are found where a reader finds them."""
    assert len(shown()["README.md"]) > 10
