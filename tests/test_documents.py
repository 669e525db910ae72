"""The documents and --help: every command and code block runs, every link leads somewhere.

A reader's directory is made, with the data and results of `make run` and with a configuration of
its own: fewer days of sample data, points of scenario sets and modes in a run of all. The
package is the one under test, with what it has compiled. Each page is read from the top: a `bash`
block is executed line by line, a `python` block as a module, a `yaml` block is written to the file
that its first line names. A block marked `notrun` (what never ends, or needs a cluster) is left
out. In sentences and tables, complete `basis` commands between backticks are executed too. All of
it happens in this process, which has loaded the libraries once, except for commands of others.
"""

import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.settings import project_root
from tests import shell

ROOT = project_root()
PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
ORDER = ("docs/tutorial.md", "docs/how-to.md")  # what a reader does first
COPIED = ("configs", "docs")
SAMPLE = ("--start", "2024-05-29", "--days", "150")
# Moments that the shorter sample does not reach.
SHORTER = {
    "2024-01-01_2025-02-03": "2024-05-29_2024-10-25",
    "2024-11-04": "2024-10-04",
    "2024-12-01": "2024-10-20",
    "2025-03-01": "2024-10-20",
}
UNASKED = ("eth_staking_only", "pure_lending_eth")
# Modes whose results no page uses; and those that are there after the first run of all modes.
LEFT_OUT = ("eth_leveraged", "usdt_market_neutral", "usdt_market_neutral_no_leverage")
LEFT_OUT += ("sol_basis", "funding_arbitrage")
ONCE = ("eth_basis", "btc_basis")
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(basis [^`\n…]+)`")
EXAMPLE = re.compile(r"^ +Example: (basis .+)$", re.MULTILINE)
HELP = "the examples of --help"
LINK = re.compile(r"\]\(([^)\s]+)\)")
MANY = re.compile(r"\b(points|paths): \d+")
# Names of commands, without the arguments that they need.
NAMES = re.compile(
    r"basis (serve.*|platform.*|accounts|run|backtest|sweep|request|data|data (add|try|fetch)"
    r"|report|report compare|results|resume|halt)|.*(MODE|NAME|CODE|FILE|RUN).*"
)
# 1 is an answer too.
VERDICTS = ("basis gates", "basis health", "basis data audit", "basis run", "basis accounts")
VERDICTS += ("basis walk-forward",)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of what a page shows, in order; `inline` for commands in sentences."""
    if page == HELP:
        for file in sorted((ROOT / "basis_pipeline" / "commands").glob("*.py")):
            yield from (("inline", command) for command in EXAMPLE.findall(file.read_text("utf-8")))
        return
    text = (ROOT / page).read_text(encoding="utf-8")
    for info, block in FENCED.findall(text):
        if (
            "notrun" not in info and info != "bash api"
        ):  # tests/service/test_processes.py calls them
            yield info.strip(), block
    for command in INLINE.findall(FENCED.sub("", text)):
        if not NAMES.fullmatch(command):
            yield "inline", command


@pytest.fixture
def reader(tmp_path_factory: pytest.TempPathFactory) -> "Reader":
    """A reader in a copy of the project after `make run`."""
    place = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, place)
    for file in (place / "configs" / "scenarios").glob("*.yaml"):
        file.write_text(MANY.sub(r"\1: 32", file.read_text()))
    for mode in UNASKED:
        for file in (place / "configs").rglob(f"{mode}.yaml"):
            file.unlink()
    reader = Reader(place)
    reader.follow(" ".join(("basis data sample --out data/sample", *SAMPLE)))
    reader.seen.add("basis data sample --out data/sample")
    reader.follow("basis run --data-dir DIR")
    return reader


def shortened(text: str) -> str:
    """Replace dates of a page by dates in the sample of this reader."""
    for shown, own in SHORTER.items():
        text = text.replace(shown, own)
    return text


class Reader:
    """A reader who types what a page shows, in one directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environ = shell.clean() | {
            "PYTHONPATH": str(ROOT),
            "BASIS_CONFIG_DIR": str(place / "configs"),
            "BASIS_DATA_DIR": str(place / "data" / "sample"),
            "BASIS_RESULTS_DIR": str(place / "results"),
            "BASIS_DATA_START_DATE": "2024-05-31",
            "BASIS_DATA_END_DATE": "2024-10-24",
        }
        self.seen: set[str] = set()

    def follow(self, line: str) -> None:
        """Execute one line; it must succeed without a traceback."""
        line = shortened(line)
        words = shlex.split(line.replace("$PWD", str(self.place)), comments=True)
        # A waiver needs a gate that warns just then; its own tests have one.
        if not words or line in self.seen or line.startswith("basis gates waive"):
            return
        self.seen.add(line)
        if words[0] == "export":
            self.environ |= dict([words[1].split("=", 1)])
            return
        if words[0] not in ("basis", "dagster"):
            subprocess.run(["bash", "-ec", line], cwd=self.place, check=True)
            return
        # What stands for the reader's own: a directory, the beginning of a run's identity.
        recorded = sorted(path.name for path in (self.place / "results" / "runs").glob("[0-9a-f]*"))
        own = {"DIR": "data/sample", "1f2e": recorded[0] if recorded else ""}
        words = [own.get(word, word) for word in words[1:]]
        if words[0] == "run" and "--mode" not in words:
            ready = ONCE if recorded else ()
            unused = [mode for mode in (*LEFT_OUT, *ready) if mode not in words]
            words += [word for mode in unused for word in ("--without", mode)]
        if line.startswith("basis"):
            done = shell.call(*words, env=self.environ, cwd=self.place)
        else:
            done = shell.run("dagster", *words, env=self.environ, cwd=self.place)
        allowed = (0, 1) if line.startswith(VERDICTS) else (0,)
        assert done.returncode in allowed, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{line}\n{done.stderr}"


def test_every_command_and_block_of_every_page_runs(reader: Reader) -> None:
    """A reader who types what a page shows gets no rejection and no traceback."""
    checkout = reader.place
    rest = [page for page in PAGES if page not in ORDER]
    for page in (*ORDER, *rest, HELP):
        for number, (language, text) in enumerate(blocks(page)):
            if language in ("bash", "inline"):
                for line in text.splitlines():
                    reader.follow(line)
            elif language == "python":
                module = checkout / f"block_{Path(page).stem}_{number}.py"
                module.write_text(text)
                with shell.surroundings(reader.environ, checkout):
                    runpy.run_path(str(module), run_name="__main__")
            elif language == "yaml":
                first, _, _ = text.partition("\n")
                file = checkout / first.removeprefix("# ")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(shortened(text))
                if "inbox" in first:
                    reader.follow(f"basis request {file}")
            else:
                assert language == "text", (
                    f"{page}: a block of {language!r} is neither run nor text"
                )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """Files exist, and so do the headings that a link names; nothing points outside."""
    text = FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.is_file(), f"{page}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page}: {link}"


def test_every_file_that_a_page_names_exists() -> None:
    """`configs/…`, `basis_pipeline/…` and other paths between backticks are those of the tree."""
    path = re.compile(r"`((?:basis_pipeline|benchmarks|configs|docs|tests)/[\w./-]*\w)/?`")
    shown = {
        name: page
        for page in PAGES
        for name in path.findall(FENCED.sub("", (ROOT / page).read_text(encoding="utf-8")))
    }
    missing = {name: page for name, page in shown.items() if not (ROOT / name).exists()}
    assert not missing


def test_the_environment_example_names_every_variable() -> None:
    """The example file and the table of the reference are complete."""
    from basis_pipeline.settings import NAMES as VARIABLES

    for file in (".env.example", "docs/reference.md"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not [name for name in VARIABLES if f"BASIS_{name.upper()}" not in text], file
