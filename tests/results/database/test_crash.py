"""No accepted run is lost or doubled: killed processes, full disks, hundreds at once."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.runs import rows_of, runs
from basis_pipeline.results.database.tables import DAILY_PERFORMANCE
from basis_pipeline.results.store import RunIdentity, write_run
from basis_pipeline.settings import project_root
from tests.results.database import killed
from tests.results.made_run import make_run

KILLS = {"sqlite": (24, 4), "postgresql": (14, 2)}  # at steps of the code, after random times
OFFERED = 300
AT_ONCE = 40


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a killed process tells the two apart by speed only."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="basis-store-") as directory:
        yield Path(directory)


def test_killed_at_any_step_the_next_start_repairs_itself(
    tmp_path: Path, database_url: str
) -> None:
    """An accepted run is there once with all its rows, any other can be written again."""
    steps, times = KILLS[database_url.partition(":")[0]]
    done = subprocess.run(
        [sys.executable, "-m", "tests.results.database.killed", database_url]
        + [str(value) for value in (tmp_path / "results", steps, times)],
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["kills"] == steps + times
    assert summary["steps"] > 400
    seen = summary["outcomes"]
    assert sum(seen.values()) == summary["kills"]
    assert {"made again", "found by its files", "recorded"} <= seen.keys()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The directory of a small run."""
    made = make_run(hours=48)
    return write_run(made, tmp_path / "elsewhere" / made.run_id)


def directories(archive: Archive, template: Path, count: int) -> list[str]:
    """Directories of so many runs, by identity."""
    summary = json.loads((template / "summary.json").read_bytes())
    found = []
    for number in range(count):
        identity = replace(RunIdentity.from_json(summary["identity"]), capital=1.0 + number)
        directory = archive.runs / identity.run_id
        shutil.copytree(template, directory, copy_function=os.link)
        (directory / "summary.json").unlink()
        named = {**summary, "run_id": identity.run_id, "identity": identity.as_json()}
        (directory / "summary.json").write_text(json.dumps(named))
        found.append(identity.run_id)
    return found


def accepted_at_once(archive: Archive, run_ids: list[str]) -> tuple[dict[int, str], list[str]]:
    """Every run offered in a thread of its own: numbers given, and codes of the rejections."""
    accepted: dict[int, str] = {}
    rejected: list[str] = []

    def offer(run_id: str) -> None:
        try:
            (entry,) = archive.accept([run_id])
        except ResultsError as error:
            rejected.append(error.code)
        else:
            accepted[entry.number] = entry.run_id

    threads = [Thread(target=offer, args=(run_id,)) for run_id in run_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accepted, rejected


def test_many_results_at_once_are_recorded_in_order(
    tmp_path: Path, database_url: str, template: Path
) -> None:
    """Through a queue of thirty, while another drains: numbered as they were accepted."""
    archive = Archive(tmp_path / "results", database_url, depth=30, wait_seconds=600.0)
    run_ids, ended = directories(archive, template, AT_ONCE), Event()

    def drain() -> int:
        other, drained = Archive(tmp_path / "results", database_url), 0
        while not ended.wait(0.05):
            drained += other.drain()
        return drained + other.drain()

    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(drain)
        accepted, rejected = accepted_at_once(archive, run_ids)
        ended.set()
        assert counted.result() == AT_ONCE
    assert rejected == []
    recorded = [(record.number, record.run_id) for record in runs(archive.engine)]
    in_order = [accepted[number] for number in sorted(accepted)]
    assert recorded == list(enumerate(in_order, start=1))
    days = rows_of(archive.engine, DAILY_PERFORMANCE, in_order)
    assert len(days) == 3 * AT_ONCE


def test_requests_that_nobody_drains_are_rejected_beyond_the_depth(tmp_path: Path) -> None:
    """Back-pressure instead of growth: exactly the depth is accepted, the rest gets RS-009."""
    url = f"sqlite:///{tmp_path}/runs.sqlite"
    archive = Archive(tmp_path / "results", url, depth=100, wait_seconds=0.0)
    accepted, rejected = accepted_at_once(archive, [f"{n:016x}" for n in range(OFFERED)])
    assert (len(accepted), rejected) == (100, ["RS-009"] * 200)
    assert [entry.run_id for entry in archive.waiting()] == [accepted[n] for n in sorted(accepted)]


def test_a_process_killed_while_it_drains_again_and_again_loses_nothing(
    tmp_path: Path, database_url: str, template: Path
) -> None:
    """Each is killed as soon as it works; the last start finishes the queue."""
    archive = Archive(tmp_path / "results", database_url)
    run_ids = directories(archive, template, 140)
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload([killed.__name__])
    for first in range(0, len(run_ids), 70):
        archive.accept(run_ids[first : first + 70])
        waiting = len(archive.waiting())
        drainer = fork.Process(target=killed.drain, args=(database_url, archive.directory))
        drainer.start()
        while len(archive.waiting()) == waiting and drainer.is_alive():
            time.sleep(0.001)
        drainer.kill()
        drainer.join()
        assert drainer.exitcode == -signal.SIGKILL
    archive.start()
    assert [record.run_id for record in runs(archive.engine)] == run_ids
    assert [record.number for record in runs(archive.engine)] == list(range(1, 141))


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_rejects_or_keeps_a_result(tmp_path: Path) -> None:
    """RS-001: nothing is left where its files cannot grow; kept where only the database cannot."""
    archive = Archive(tmp_path / "results", f"sqlite:///{tmp_path}/runs.sqlite")
    archive.start()
    first, second = make_run(capital=1.0), make_run(capital=2.0)
    with full_disk(4096), pytest.raises(ResultsError, match="RS-001"):
        archive.keep(first)
    assert list(archive.runs.iterdir()) == []
    assert archive.waiting() == []
    write_run(second, archive.runs / second.run_id)
    with full_disk(4096):
        waits = archive.record(second.run_id)
    assert waits is not None
    assert waits.code == "RS-001"
    assert [entry.run_id for entry in archive.waiting()] == [second.run_id]
    write_run(first, archive.runs / first.run_id)
    found = archive.start()
    assert (found.drained, found.added) == (1, [first.run_id])
    assert [record.run_id for record in runs(archive.engine)] == [second.run_id, first.run_id]
