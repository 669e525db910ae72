"""The stream of events, and what the service collects beside it, on a server that runs."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import httpx
import psutil
import pytest

from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.service.collector import Collector
from basis_pipeline.settings import Settings
from tests.service.conftest import environment
from tests.service.server import Server, serving, wait_for


def ids(lines: list[str]) -> list[str]:
    """Return the ids of the events of a stream."""
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    """Of the place of the module, which the last test that uses it ends."""
    with serving(environment(settings.results_dir, settings.data_dir)) as started:
        yield started


def test_events_arrive_as_they_happen_and_are_resumed(server: Server, settings: Settings) -> None:
    """By their filters; after an interruption each one that was missed, once and in order."""
    seen: list[str] = []
    server.lines(seen, query="?type=message")
    wait_for(lambda: "retry: 2000" in seen)
    for number in range(3):
        emit(settings, EventType.MESSAGE, "test", number=number)
        emit(settings, EventType.TIMING, "test", number=number)
    wait_for(lambda: len(ids(seen)) == 3)
    emit(settings, EventType.MESSAGE, "test", number=3)
    again: list[str] = []
    server.lines(again, last=ids(seen)[0], query="?type=message")
    wait_for(lambda: len(ids(again)) == 3)
    assert ids(again)[:2] == ids(seen)[1:3]
    assert '"number":3' in "".join(again)


def test_a_collector_that_is_killed_is_started_again(server: Server) -> None:
    """The service goes on, and collects again."""
    first = httpx.get(f"{server.url}/health/services", timeout=30).json()["at"]
    for child in psutil.Process(server.process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    asked = {"service": "disk"}
    again = httpx.post(f"{server.url}/health/services", json=asked, timeout=30).json()
    assert again["last_check"] > first


def test_it_ends_at_once_and_leaves_nothing(server: Server) -> None:
    """A reader of the stream does not hold it up, and its collector ends with it."""
    seen: list[str] = []
    reading = server.lines(seen)
    wait_for(lambda: seen)
    httpx.get(f"{server.url}/health/services", timeout=30)
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    reading.join(5)


def test_a_service_that_ends_does_not_wait_for_a_snapshot() -> None:
    """On a large instance, or a busy machine, one takes longer than a person waits."""
    collector = Collector()
    with ThreadPoolExecutor(1) as threads:
        snapshot = threads.submit(collector._run, partial(time.sleep, 60.0))
        wait_for(lambda: collector._pool and collector._pool._processes)
        collector.close()
        with pytest.raises(BrokenProcessPool):
            snapshot.result(10.0)
