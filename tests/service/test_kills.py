"""Requests that many callers make at once, while the service and who serves them are killed."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import psutil

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.requests import Status
from basis_pipeline.operations.requests.queue import requests_of, waiting
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.settings import Settings
from tests import shell
from tests.service.conftest import called, environment
from tests.service.server import Server, serving, wait_for

COUNT = 12
SERVER = """
from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.requests.queue import waiting
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.settings import load_settings
serve(load_settings(), current_configs(), waiting(load_settings(), 50), "a run")
"""


def is_served(settings: Settings, count: int) -> bool:
    """Whether more than so many requests are done."""
    return len(requests_of(settings, [Status.DONE])) > count


def family(server: Server) -> Callable[[], list[psutil.Process]]:
    """Look up the processes that a server has started."""
    return partial(psutil.Process(server.process.pid).children, recursive=True)


def test_each_request_is_accepted_once_in_order_and_served_once(settings: Settings) -> None:
    """The API is killed while requests come in, and who serves them while they are served.

    What collects for the API ends with it.
    """
    env = environment(settings.results_dir, settings.data_dir)
    clients: list[httpx.Client] = []

    def post(number: int) -> int:
        key = {"Idempotency-Key": f"many-{number:03}"}
        body = {"mode": "pure_lending", "end": "2024-01-05"}
        while True:
            try:
                return clients[-1].post("/backtests", json=body, headers=key).status_code
            except httpx.TransportError:
                threading.Event().wait(0.2)

    def accepted() -> int:
        return len(requests_of(settings)) - 1  # the one of the module

    with (
        ThreadPoolExecutor(COUNT) as callers,
        called(settings) as (own, _),
        serving(env) as first,
        httpx.Client(base_url=first.url, timeout=60) as client,
    ):
        clients.append(client)
        answered = [callers.submit(post, number) for number in range(COUNT)]
        wait_for(lambda: accepted() > COUNT // 4, 120.0)
        wait_for(family(first))
        left = family(first)()
        first.process.kill()
        clients.append(own)
        assert {future.result() for future in answered} == {202}
        assert psutil.wait_procs(left, timeout=10)[1] == []
    found = requests_of(settings)
    assert [served.sequence for served in found] == list(range(1, COUNT + 2))
    assert len({served.request.request_id for served in found}) == COUNT + 1

    command = [sys.executable, "-c", SERVER]
    process = subprocess.Popen(command, env={**shell.clean(), **env}, cwd=shell.ROOT)
    try:
        wait_for(partial(is_served, settings, COUNT // 3), 120.0)
    finally:
        process.kill()
        process.wait()
    serve(settings, current_configs(), waiting(settings, COUNT), "the next run")
    found = requests_of(settings)
    assert {served.status for served in found} == {Status.DONE}
    times = [served.finished_at for served in found]
    assert times == sorted(times)
