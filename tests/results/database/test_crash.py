"""Nothing accepted is lost or doubled: processes killed, disks full, a thousand at once."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import orjson
import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.queue import Entry
from basis_pipeline.results.database.rows import RUN, run_entry
from basis_pipeline.results.database.runs import rows_of, runs
from basis_pipeline.results.database.tables import DAILY_PERFORMANCE
from basis_pipeline.results.database.worker import follow
from basis_pipeline.results.store import write_run
from basis_pipeline.settings import project_root
from tests.results.made_run import make_run

KILLS = {"sqlite": (120, 20), "postgresql": (40, 10)}  # at steps of the code, after random times
THOUSAND = 1000


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
    """What was accepted is there once with all its rows, what was not can be done again."""
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
    told = json.loads(done.stdout)
    assert told["kills"] == steps + times
    assert told["steps"] > 500
    seen = told["outcomes"]
    assert sum(seen.values()) == told["kills"]
    assert {"made again", "found by its files", "recorded"} <= seen.keys()


@pytest.fixture
def template(tmp_path: Path) -> bytes:
    """Content of the entry of a small run."""
    made = make_run(hours=48)
    return run_entry(made, write_run(made, tmp_path / "elsewhere" / made.run_id)).content


def entries(template: bytes, count: int) -> list[Entry]:
    """Entries of so many runs."""
    content = orjson.loads(template)
    found = []
    for number in range(count):
        content["run"]["run_id"] = name = f"{number:016x}"
        found.append(Entry(RUN, name, orjson.dumps(content)))
    return found


def asked_at_once(archive: Archive, asked: list[Entry]) -> tuple[dict[int, str], list[str]]:
    """Every entry offered in a thread of its own: numbers given, and codes of the refusals."""
    accepted: dict[int, str] = {}
    refused: list[str] = []

    def offer(entry: Entry) -> None:
        try:
            (sequence,) = archive.queue.accept([entry])
        except ResultsError as error:
            refused.append(error.code)
        else:
            accepted[sequence] = entry.run_id

    threads = [Thread(target=offer, args=(entry,)) for entry in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accepted, refused


def test_a_thousand_requests_at_once_are_a_thousand_results_in_order(
    tmp_path: Path, database_url: str, template: bytes
) -> None:
    """Through a queue of a hundred, while its worker drains: numbered as they were accepted."""
    archive = Archive(tmp_path / "results", database_url, depth=100, wait_seconds=60.0)
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(follow, Archive(tmp_path / "results", database_url), ended)
        accepted, refused = asked_at_once(archive, entries(template, THOUSAND))
        ended.set()
        assert counted.result() == THOUSAND
    assert refused == []
    recorded = [(record.number, record.run_id) for record in runs(archive.engine)]
    in_order = [accepted[sequence] for sequence in sorted(accepted)]
    assert recorded == list(enumerate(in_order, start=1))
    days = rows_of(archive.engine, DAILY_PERFORMANCE, in_order)
    assert len(days) == 3 * THOUSAND


def test_a_thousand_requests_without_a_worker_are_refused_beyond_the_depth(
    tmp_path: Path, template: bytes
) -> None:
    """Back-pressure instead of growth: exactly the depth is accepted, the rest is told RS-009."""
    url = f"sqlite:///{tmp_path}/runs.sqlite"
    archive = Archive(tmp_path / "results", url, depth=100, wait_seconds=0.0)
    accepted, refused = asked_at_once(archive, entries(template, THOUSAND))
    assert (len(accepted), refused) == (100, ["RS-009"] * 900)
    assert archive.drain() == 100
    recorded = [record.run_id for record in runs(archive.engine)]
    assert recorded == [accepted[sequence] for sequence in sorted(accepted)]


WORKER = """
import sys
import tempfile
from pathlib import Path
from threading import Event
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.worker import follow
follow(Archive(Path(sys.argv[1]), sys.argv[2]), Event(), lambda _: print("up", flush=True))
"""


def test_a_worker_killed_again_and_again_loses_nothing(
    tmp_path: Path, database_url: str, template: bytes
) -> None:
    """Each is killed as soon as it is at work; the last start finishes what they left."""
    archive = Archive(tmp_path / "results", database_url)
    asked = entries(template, 300)
    for first in range(0, len(asked), 100):
        archive.queue.accept(asked[first : first + 100])
        command = [sys.executable, "-c", WORKER, str(tmp_path / "results"), database_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            while len(archive.queue.waiting()) > 90 and worker.poll() is None:
                pass
            worker.kill()
        assert worker.returncode == -signal.SIGKILL
    archive.start()
    assert [record.run_id for record in runs(archive.engine)] == [e.run_id for e in asked]
    assert [record.number for record in runs(archive.engine)] == list(range(1, 301))


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_or_keeps_a_result(tmp_path: Path) -> None:
    """RS-001: not accepted where the queue cannot grow; kept where only the database cannot."""
    archive = Archive(tmp_path / "results", f"sqlite:///{tmp_path}/runs.sqlite")
    archive.start()
    first, second = make_run(capital=1.0), make_run(capital=2.0)
    places = [write_run(made, archive.runs / made.run_id) for made in (first, second)]
    with full_disk(4096), pytest.raises(ResultsError, match="RS-001"):
        archive.accept([(first, places[0])])
    assert archive.queue.waiting() == []
    archive.accept([(second, places[1])])
    with full_disk(4096), pytest.raises(ResultsError, match="RS-001"):
        archive.drain()
    assert archive.queue.waiting() == [second.run_id]
    found = archive.start()
    assert (found.drained, found.added) == (1, [first.run_id])
    assert [record.run_id for record in runs(archive.engine)] == [second.run_id, first.run_id]
