"""Ctrl-C, SIGTERM and kill -9 of `basis run`: it ends at once, and blocks nobody after it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from basis_pipeline.orchestration.instance import opened_instance
from basis_pipeline.settings import project_root
from tests import shell

SMALL, LARGE = ("--mode", "pure_lending"), ("--mode", "btc_basis")
WINDOW = ("--start", "2024-01-03", "--end", "2024-02-20")
PATIENCE_SECONDS = 180.0
END_SECONDS = 2.5


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> tuple[str, ...]:
    """Options that name the sample data and a results directory."""
    results = tmp_path_factory.mktemp("interrupted") / "results"
    return "--data-dir", str(sample), "--results-dir", str(results)


@dataclass
class Command:
    """A `basis run` in a process of its own, and what it prints on stderr."""

    process: "subprocess.Popen[str]"
    stderr: Path

    def reach(self, phase: str) -> None:
        """Wait until the command says that it is at this phase."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while f"] {phase}\n" not in self.stderr.read_text():
            assert self.process.poll() is None, self.stderr.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit code and what was printed on stderr."""
        return self.process.wait(timeout=PATIENCE_SECONDS), self.stderr.read_text()


Begin = Callable[..., Command]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start `basis run`; processes that are left when the test ends are killed."""
    commands: list[Command] = []

    def begin(*options: str) -> Command:
        stderr = tmp_path / f"stderr-{len(commands)}"
        command = [sys.executable, "-m", "basis_pipeline", "run", *options, *WINDOW]
        with stderr.open("w") as file, (tmp_path / "stdout").open("a") as out:
            process = subprocess.Popen(
                command, cwd=project_root(), env=shell.clean(), stdout=out, stderr=file, text=True
            )
        commands.append(Command(process, stderr))
        return commands[-1]

    yield begin
    for command in commands:
        command.process.kill()
        command.process.wait()


def runs_of(places: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> list[dg.DagsterRun]:
    """Every run in the instance of these results."""
    home = Path(places[-1]) / "dagster_home"
    if not (home / "dagster.yaml").exists():
        return []
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with opened_instance(home) as instance:
        return list(instance.get_runs())


@contextmanager
def longest_write(directory: Path) -> Iterator[list[float]]:
    """Yield how long the slowest of many small writes took; they go on beside the test.

    The kernel ends no process whose write is on its way to the disk: what the disk keeps anybody
    waiting is no delay of the command.
    """
    slowest, stopped = [0.0], threading.Event()

    def write() -> None:
        while not stopped.is_set():
            begun = time.monotonic()
            with (directory / "probe").open("wb") as file:
                file.write(b"x")
                os.fsync(file.fileno())
            slowest[0] = max(slowest[0], time.monotonic() - begun)
            stopped.wait(0.05)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield slowest
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize(
    ("modes", "phase", "delay", "number"),
    [
        (SMALL, "starting", 0.0, signal.SIGTERM),
        (LARGE, "raw files and datasets", 0.7, signal.SIGTERM),
        (SMALL, "pure_lending", 0.3, signal.SIGTERM),
        (SMALL, "reports", 0.0, signal.SIGINT),
    ],
)
def test_an_interrupt_ends_the_command(
    places: tuple[str, ...],
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    modes: tuple[str, ...],
    phase: str,
    delay: float,
    number: signal.Signals,
) -> None:
    """Within two seconds, with exit code 130; its run is canceled and nothing more is started."""
    before = {run.run_id for run in runs_of(places, monkeypatch)}
    command = begin(*modes, *places)
    command.reach(phase)
    time.sleep(delay)
    if command.process.poll() is not None:
        pytest.skip("it was through before the signal")
    with longest_write(Path(places[-1]).parent) as held_up:
        sent = time.monotonic()
        command.process.send_signal(number)
        code, err = command.end()
        taken = time.monotonic() - sent
    assert taken < END_SECONDS + held_up[0], (taken, held_up)
    assert code == 130, err
    assert err.splitlines()[-1].startswith("Interrupted")
    assert "Traceback" not in err
    runs = [run for run in runs_of(places, monkeypatch) if run.run_id not in before]
    assert all(run.is_finished for run in runs)
    if phase == "raw files and datasets" and delay:
        assert [run.status for run in runs] == [DagsterRunStatus.CANCELED]


def test_the_next_run_of_another_mode_is_not_blocked(places: tuple[str, ...], begin: Begin) -> None:
    """Checks that interrupted or killed runs had planned say nothing about the data."""
    command = begin(*LARGE, *places)
    command.reach("raw files and datasets")
    command.process.kill()
    command.end()
    done = shell.call("run", *SMALL, *places, *WINDOW)
    assert done.returncode == 0, done.stderr


def test_two_first_runs_side_by_side(tmp_path: Path, places: tuple[str, ...], begin: Begin) -> None:
    """Two commands that make the same empty results directory, each of a mode of its own."""
    own = (*places[:2], "--results-dir", str(tmp_path / "results"))
    both = [begin("--mode", mode, *own) for mode in ("pure_lending", "pure_lending_eth")]
    for code, err in [command.end() for command in both]:
        assert code == 0, err


ENDS_DURING = """
import os, signal, sys, time
from basis_pipeline.commands import interrupts

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        sum(range(1000))

{before}
interrupts.listen()
try:
    Last()
    print("went on", flush=True)
    time.sleep(60.0)
except KeyboardInterrupt:
    interrupts.end()
"""


IN_BACKGROUND = "signal.signal(signal.SIGINT, signal.SIG_IGN)"


@pytest.mark.parametrize(
    ("name", "before"), [("SIGINT", ""), ("SIGTERM", ""), ("SIGTERM", IN_BACKGROUND)]
)
def test_an_interrupt_during_the_end_of_an_object_is_heard_and_not_printed(
    name: str, before: str
) -> None:
    """Futures end in destructors, and Python drops exceptions raised in them.

    A shell lets a command that a script puts in the background ignore SIGINT: SIGTERM ends it.
    """
    command = [sys.executable, "-c", ENDS_DURING.format(name=name, before=before)]
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=project_root(), capture_output=True, text=True, timeout=50.0, check=False
    )
    assert time.monotonic() - begun < 30.0
    assert (done.returncode, done.stdout) == (130, "went on\n"), done.stderr
    assert done.stderr.startswith("Interrupted: ")


def test_a_second_interrupt_while_the_first_is_ending_changes_nothing() -> None:
    """`timeout` sends two signals, and a person may too: exit code 130, and no traceback."""
    program = (
        "import atexit, os, signal, threading, time\n"
        "from basis_pipeline.commands import interrupts\n"
        "interrupts.listen()\n"
        "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGTERM)\n"
        "interrupts.end()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=project_root(), capture_output=True, text=True, timeout=50.0, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Interrupted: finished work is kept.\n"
