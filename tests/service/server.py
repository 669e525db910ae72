"""A service in a process of its own, as `basis serve` starts it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx

from tests import shell


@dataclass
class Server:
    """A service in a process of its own."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def lines(self, seen: list[str], last: str = "", query: str = "") -> threading.Thread:
        """Read the stream into a list, until the server ends it."""
        headers = {"Last-Event-ID": last} if last else {}

        def read() -> None:
            address = f"{self.url}/events/stream{query}"
            with (
                suppress(httpx.RemoteProtocolError),  # a server that is killed
                httpx.stream("GET", address, headers=headers, timeout=60.0) as answer,
            ):
                for line in answer.iter_lines():
                    seen.append(line)  # noqa: PERF402 - as it comes

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


@contextmanager
def serving(env: dict[str, str]) -> Iterator[Server]:
    """`basis serve` on a free port, until it is asked to end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "basis_pipeline", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env={**shell.clean(), **env}, cwd=shell.ROOT)
    try:
        server = Server(port, process)
        wait_for(lambda: answers(server), 180.0)
        yield server
    finally:
        process.kill()
        process.wait()


def answers(server: Server) -> bool:
    """Whether it answers."""
    try:
        return httpx.get(f"{server.url}/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
