"""Following the log: every event of all processes once, complete and in order."""

import multiprocessing
import time
from pathlib import Path

import pytest

from basis_pipeline.operations.audit_log import Event, EventType, emit, log_directory
from basis_pipeline.operations.audit_log.following import Follower, order
from basis_pipeline.settings import Settings, load_settings

PROCESSES, EACH = 4, 100


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Results of its own."""
    return load_settings({}, results_dir=tmp_path)


def write(settings: Settings, name: str) -> None:
    """Events of one process."""
    for number in range(EACH):
        emit(settings, EventType.MESSAGE, name, number=number)


def read_all(follower: Follower, count: int) -> list[Event]:
    """Read repeatedly until a number of events have been read."""
    found: list[Event] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += follower.read()
        time.sleep(0.02)
    return found + follower.read()


def test_only_what_is_written_later_is_read(settings: Settings) -> None:
    """Earlier events are left out; new files are included."""
    emit(settings, EventType.MESSAGE, "before")
    follower = Follower(log_directory(settings))
    emit(settings, EventType.MESSAGE, "after")
    assert [event.component for event in read_all(follower, 1)] == ["after"]


def test_what_several_processes_write_at_once_comes_once_and_in_order(settings: Settings) -> None:
    """Read while they write."""
    follower = Follower(log_directory(settings))
    context = multiprocessing.get_context("fork")
    names = [f"writer-{number}" for number in range(PROCESSES)]
    writers = [context.Process(target=write, args=(settings, name)) for name in names]
    for writer in writers:
        writer.start()
    found = read_all(follower, PROCESSES * EACH)
    for writer in writers:
        writer.join()
    assert len(found) == PROCESSES * EACH
    assert [order(event) for event in found] == sorted(map(order, found))


def test_a_line_that_is_being_written_is_waited_for(settings: Settings) -> None:
    """An incomplete line is read later; a line that is not an event is left out."""
    emit(settings, EventType.MESSAGE, "whole")
    (file,) = log_directory(settings).iterdir()
    line = file.read_bytes()
    follower = Follower(log_directory(settings))
    with file.open("ab") as log:
        log.write(b"no event\n" + line[:50])
        log.flush()
        assert read_all(follower, 0) == []
        log.write(line[50:])
    assert [event.component for event in read_all(follower, 1)] == ["whole"]
