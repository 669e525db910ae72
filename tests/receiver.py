"""A webhook's other end on this machine: a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from basis_pipeline.settings import SecretUrl


@dataclass
class Receiver:
    """A webhook's other end on this machine; `answers` are given in turn, then 204 for ever.

    An answer of 0 hangs until the receiver is let go.
    """

    answers: list[int] = field(default_factory=list)
    received: list[dict[str, object]] = field(default_factory=list)
    asked: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> SecretUrl:
        """Where it listens; the path is the secret."""
        return SecretUrl(f"http://127.0.0.1:{self.port}/hooks/very-secret-path")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server."""
    with receiving() as state:
        yield state


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver on a port, a free one where none is given, until the end of the block."""
    state = Receiver()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked += 1
            status = state.answers.pop(0) if state.answers else 204
            if status == 0:
                state.let_go.wait(10)
                return
            if status < 300:
                state.received.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Answering) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            state.let_go.set()
            server.shutdown()
            thread.join()
