"""The log of a process: nothing lost in silence, nobody held up."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits, log_files
from basis_pipeline.operations.events.lines import render
from basis_pipeline.operations.events.model import Event, EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import EventLog

TIMING = EventType.TIMING
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    """A log that is closed afterwards."""
    log = EventLog(tmp_path / "logs", interval=0.02)
    yield log
    log.close()


def events_of(directory: Path, *types: EventType) -> list[Event]:
    """Everything in a log that nobody writes any more."""
    return list(query(directory, types=types))


def scribe_of(log: EventLog) -> int:
    """Process number of the log's scribe."""
    pipe = log._carrier._pipe
    assert pipe
    return pipe.pid


def run(program: str, directory: Path, *, kill_at: str = "") -> int:
    """Run a program with the log directory as its argument; kill it when it says the word."""
    command = [sys.executable, "-c", textwrap.dedent(program), str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    if kill_at:
        assert process.stdout.readline().strip() == kill_at
        process.kill()
    with process.stdout:
        process.wait(60)
    return process.returncode


def wait_for_scribe(directory: Path) -> None:
    """Return when the files are closed and compressed: their writer's scribe has finished."""
    deadline = time.monotonic() + 20
    while not all(name.path.suffix == ".gz" for name in log_files(directory)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_offered_is_written_in_order(log: EventLog) -> None:
    """Numbered from one without holes, fields as they were when they were offered."""
    fields = {"rows": [1]}
    for number in range(1000):
        log.emit(TIMING, "engine", number=number, fields=fields)
        fields["rows"][0] += 1
    log.flush()
    events = events_of(log.directory)
    assert [event.seq for event in events] == list(range(1, 1001))
    assert [event.fields["number"] for event in events] == list(range(1000))
    assert [event.fields["fields"]["rows"] for event in events] == [[n] for n in range(1, 1001)]
    assert {(e.pid, e.type, e.category, e.level, e.component) for e in events} == {
        (os.getpid(), "timing", "performance", "INFO", "engine")
    }
    assert log.status().written == 1000
    assert all(a.at <= b.at for a, b in pairwise(events))


def test_a_table_is_as_many_events_as_it_has_rows(log: EventLog) -> None:
    """Numbers of arrays arrive to the bit, other columns as text or JSON."""
    prices = np.array([0.1, 1e300, -0.0, float("nan")])
    columns = {
        "price": prices,
        "hour": np.arange(4)[::-1],
        "kind": ["a", "b", "c", None],
        "at": np.array(["2024-06-01"] * 4, dtype="M8[s]"),
        "small": np.ones(4, dtype=np.float32),
        "any": np.array([True, False] * 2),
    }
    log.emit(TIMING, "before")
    log.emit_table(EventType.LEDGER_ENTRY, "engine", columns=columns)
    log.emit_table(EventType.LEDGER_ENTRY, "engine", columns={"price": []})
    log.emit(TIMING, "after")
    log.flush()
    assert log.status().written == 6
    before, *rows, after = events_of(log.directory)
    assert (before.component, after.component) == ("before", "after")
    assert [row.fields["price"] for row in rows] == [0.1, 1e300, -0.0, "nan"]
    assert [row.fields["hour"] for row in rows] == [3, 2, 1, 0]
    assert [row.fields["kind"] for row in rows] == ["a", "b", "c", None]
    assert rows[0].fields["at"] == "2024-06-01T00:00:00"
    assert rows[0].fields["small"] == 1.0
    assert rows[1].fields["any"] is False
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        log.emit_table(TIMING, "engine", columns={"a": [1], "b": [1, 2]})


def test_anything_can_be_offered(log: EventLog) -> None:
    """Values JSON does not know are written as text; nothing is raised and no event is lost."""

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    cycle: dict[str, object] = {}
    cycle["again"] = cycle
    odd = [Path("/a"), 2**70, "\ud800", {1: 2}, Unprintable(), cycle, b"x", np.float64(1.5), {3}]
    for value in [*odd, np.arange(6).reshape(2, 3)[:, ::2], ValueError("bad"), object]:
        log.emit(TIMING, "engine", value=value)
    log.flush()
    written = [event.fields["value"] for event in events_of(log.directory)]
    assert len(written) == len(odd) + 3
    assert written[:4] == ["/a", str(2**70), "\\ud800", {"1": 2}]
    assert written[7] == 1.5
    assert written[9] == [[0, 2], [3, 5]]


def test_no_secret_reaches_the_disk(log: EventLog) -> None:
    """Whatever way it came: field, text, table, component, error."""
    secret = "Wh1teRabbit-77"
    log.emit(TIMING, f"x://a:{secret}@h", password=secret, text=f"https://a:{secret}@host")
    log.emit(TIMING, "engine", cause=ValueError(f"token={secret}"), nested={"api": {"key": secret}})
    log.emit(TIMING, "engine", run_id=f"password={secret}", odd={1: {"secret": secret}})
    log.emit_table(TIMING, "engine", columns={"token": [secret], "url": [f"ftp://{secret}@h"]})
    log.flush()
    text = b"".join(name.path.read_bytes() for name in log_files(log.directory))
    assert text.count(b"\n") == 4
    assert secret.encode() not in text


def test_an_overflow_is_counted_and_the_count_is_logged(tmp_path: Path) -> None:
    """EVENT-003: offering neither waits nor raises, and afterwards the log tells what it lacks."""
    log = EventLog(tmp_path, capacity=10_000, interval=60)
    for number in range(1000):
        log.emit(TIMING, "engine", number=number)
    log.emit_table(TIMING, "engine", columns={"n": [1, 2, 3]})
    dropped = log.status().dropped
    with pytest.raises(EventError, match=f"EVENT-003: {dropped} events were dropped"):
        log.flush()
    log.flush()
    log.emit(TIMING, "engine", number="room again")
    status = log.close()
    *kept, told, again = events_of(tmp_path)
    assert (told.type, told.level) == ("events_dropped", "WARNING")
    assert told.fields == {"count": dropped, "total": dropped}
    assert len(kept) + dropped == 1003
    assert again.fields["number"] == "room again"
    assert (status.written, status.dropped, status.queued) == (len(kept) + 2, dropped, 0)


def test_threads_may_offer_at_once(log: EventLog) -> None:
    """Nothing is lost between them, and each one's events keep their order."""

    def offer(thread: int) -> None:
        for number in range(2000):
            log.emit(TIMING, "engine", thread=thread, number=number)

    threads = [threading.Thread(target=offer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush()
    events = events_of(log.directory)
    assert [event.seq for event in events] == list(range(1, 8001))
    for n in range(4):
        of_thread = [e.fields["number"] for e in events if e.fields["thread"] == n]
        assert of_thread == list(range(2000))


def test_a_full_disk_loses_nothing_that_fits_into_the_queue(log: EventLog) -> None:
    """EVENT-002 while it lasts, without half a line; when there is room all events follow."""
    log.emit(TIMING, "engine", number=0)
    log.flush()
    limit = log_files(log.directory)[0].path.stat().st_size + 1000
    resource.prlimit(scribe_of(log), resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(1, 500):
        log.emit(TIMING, "engine", number=number)
    with pytest.raises(EventError, match="EVENT-002: events cannot be written: File too large"):
        log.flush()
    status = log.status()
    assert status.failure
    # Queued with the event about it.
    assert (status.failure.code, status.written, status.queued) == ("EVENT-002", 1, 500)
    assert len(events_of(log.directory)) == 1
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(scribe_of(log), resource.RLIMIT_FSIZE, unlimited)
    log.flush()
    assert log.status().failure is None
    numbers = [event.fields["number"] for event in events_of(log.directory, TIMING)]
    assert numbers == list(range(500))
    (told,) = events_of(log.directory, EventType.ERROR)
    assert told.fields["code"] == "EVENT-002"
    assert log.status().dropped == 0


def test_an_event_log_that_never_gets_room_says_so_at_the_end(tmp_path: Path) -> None:
    """What could not be written until the end counts as dropped."""
    log = EventLog(tmp_path, interval=0.02)
    log.emit(TIMING, "engine")
    log.flush()
    resource.prlimit(scribe_of(log), resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    log.emit(TIMING, "engine")
    status = log.close()
    assert (status.written, status.dropped) == (1, 2)  # with the event about the full disk
    assert status.failure
    assert status.failure.code == "EVENT-002"


def test_a_scribe_that_dies_is_replaced(log: EventLog) -> None:
    """EVENT-011: what it had in its hands is counted as dropped; the log goes on."""
    log.emit(TIMING, "engine", number=1)
    log.flush()
    os.kill(scribe_of(log), signal.SIGKILL)
    time.sleep(0.1)
    log.emit(TIMING, "engine", number=2)
    with pytest.raises(EventError, match="EVENT-011"):
        log.flush()
    log.emit(TIMING, "engine", number=3)
    with pytest.raises(EventError, match="EVENT-003: 1 events were dropped"):
        log.flush()
    events = events_of(log.directory)
    assert [event.type for event in events] == ["timing", "timing", "error", "events_dropped"]
    assert [event.fields.get("number") for event in events[:2]] == [1, 3]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert log.status().failure is None


def test_a_log_without_a_scribe_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVENT-011 to whoever asks, everything counted, and the work goes on."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such python"))
    log = EventLog(tmp_path / "logs", interval=0.01)
    for _ in range(5):
        log.emit(TIMING, "engine")
        with pytest.raises(EventError, match=r"EVENT-011: .* could not be started"):
            log.flush()
    status = log.close()
    assert status.written == 0
    assert status.dropped >= 5
    assert log_files(tmp_path / "logs") == []


def test_a_closed_log_counts_what_comes_too_late(log: EventLog) -> None:
    """Offering stays harmless; EVENT-009 for whoever wants to be sure."""
    log.emit(TIMING, "engine")
    assert log.close().written == 1
    log.emit(TIMING, "engine")
    log.emit_table(TIMING, "engine", columns={"n": [1, 2]})
    assert log.status().dropped == 3
    with pytest.raises(EventError, match="EVENT-009"):
        log.flush()
    assert len(events_of(log.directory)) == 1


OLD = render((1.6e9, {}, "engine", "timing", {}), 1, 1, 1.6e9)


def test_trouble_with_old_files_shows(tmp_path: Path) -> None:
    """EVENT-010 in status and log, and the writing goes on."""
    (tmp_path / "events-2024-06-01T080000-1-0001.jsonl").write_bytes(OLD)
    (tmp_path / "events-2024-06-01T080000-1-0001.jsonl.gz.part").mkdir()
    log = EventLog(tmp_path, limits=Limits(keep_days=100_000), interval=0.02)
    deadline = time.monotonic() + 10
    while not (failure := log.status().failure):
        assert time.monotonic() < deadline
        log.emit(TIMING, "engine")
        log.flush()
    assert failure.code == "EVENT-010"
    log.close()
    assert events_of(tmp_path, EventType.ERROR)[0].fields["code"] == "EVENT-010"


def test_removing_old_files_is_on_record(tmp_path: Path) -> None:
    """The audit trail says which part of it is gone."""
    name = "events-2020-06-01T080000-1-0001.jsonl"
    (tmp_path / name).write_bytes(OLD)
    log = EventLog(tmp_path)
    log.emit(TIMING, "engine")
    log.close()
    (told,) = events_of(tmp_path, EventType.LOG_FILES_REMOVED)
    assert told.fields["files"] == [f"{name}.gz"]


def test_rotation_by_size_under_way(tmp_path: Path) -> None:
    """Full files are compressed while the writing goes on; the numbers run through them all."""
    log = EventLog(tmp_path, limits=Limits(file_bytes=2000), interval=0.01)
    for number in range(100):
        log.emit(TIMING, "engine", number=number)
        if number % 10 == 0:
            log.flush()
    log.close()
    assert len(log_files(tmp_path)) > 3
    assert all(name.path.suffix == ".gz" for name in log_files(tmp_path))
    assert [event.seq for event in events_of(tmp_path)] == list(range(1, 101))


OFFER = """
    import sys
    from pathlib import Path
    from basis_pipeline.operations.events.writer import EventLog
    from basis_pipeline.operations.events.model import EventType
    log = EventLog(Path(sys.argv[1]))
    for number in range(300):
        log.emit(EventType.TIMING, "engine", number=number)
"""


def test_a_process_that_ends_without_closing_has_its_events_written(tmp_path: Path) -> None:
    """Nobody needs to remember to close the log; nor does an error that ends the process."""
    assert run(OFFER, tmp_path) == 0
    assert run(OFFER + "\n    raise SystemExit(3)", tmp_path) == 3
    assert len(events_of(tmp_path)) == 600


def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    """All it had handed over is there, and its file is closed and compressed as any other."""
    program = OFFER + '\n    log.flush(); print("ready", flush=True); import time; time.sleep(60)'
    assert run(program, tmp_path, kill_at="ready") == -signal.SIGKILL
    wait_for_scribe(tmp_path)
    assert [event.seq for event in events_of(tmp_path)] == list(range(1, 301))


def test_a_process_killed_while_it_offers_leaves_no_hole(tmp_path: Path) -> None:
    """The scribe writes what reached it; the log ends, but nothing is missing before its end."""
    program = (
        OFFER
        + """
    import time
    say_at = time.monotonic() + 0.5
    while True:
        log.emit(EventType.TIMING, "engine")
        time.sleep(1e-5)
        if time.monotonic() > say_at:
            print("go", flush=True)
            say_at += 60
    """
    )
    assert run(program, tmp_path, kill_at="go") == -signal.SIGKILL
    wait_for_scribe(tmp_path)
    numbers = [event.seq for event in events_of(tmp_path)]
    assert len(numbers) > 300
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_forked_process_writes_a_log_of_its_own(tmp_path: Path) -> None:
    """Neither the parent's queue nor its scribe is shared, and the parent's log goes on."""
    program = (
        OFFER
        + """
    import multiprocessing
    def work():
        log.emit(EventType.TIMING, "child")
    children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for child in children: child.start()
    for child in children: child.join()
    log.emit(EventType.TIMING, "parent")
    """
    )
    assert run(program, tmp_path) == 0
    wait_for_scribe(tmp_path)
    events = events_of(tmp_path)
    by_process: dict[int, list[int]] = {}
    for event in events:
        by_process.setdefault(event.pid, []).append(event.seq)
    assert sorted(map(len, by_process.values())) == [1, 1, 301]
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_process.values())


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """Each its own file; the reader merges them by time and keeps each one's order."""
    threads = [threading.Thread(target=run, args=(OFFER, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = events_of(tmp_path)
    assert len(events) == 1200
    assert [event.at for event in events] == sorted(event.at for event in events)
    for pid in {event.pid for event in events}:
        assert [e.seq for e in events if e.pid == pid] == list(range(1, 301))


def test_status_is_json(log: EventLog) -> None:
    """What health and commands show needs no translation."""
    with suppress(EventError):
        log.flush()
    status = log.status()
    assert json.dumps([status.written, status.dropped, status.queued]) == "[0, 0, 0]"
