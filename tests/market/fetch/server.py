"""A real HTTP server on this machine that answers by a function and fails as a test demands."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: path, query, and the JSON of its body."""

    path: str
    query: dict[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; content that is not bytes is sent as JSON."""

    content: Any
    status: int = 200

    @property
    def payload(self) -> bytes:
        """What is sent."""
        if isinstance(self.content, bytes):
            return self.content
        return json.dumps(self.content).encode()


NOT_FOUND = Answer(b"not found", 404)


@dataclass(frozen=True, slots=True)
class Fault:
    """How the server answers one request badly.

    status: instead of the answer, with `retry_after`. half: the body ends in its middle.
    hang: nothing comes until the server is let go. trickle: a byte now and then. garbage: this
    instead of the answer. change: what becomes of the right answer. path: only where this is in it.
    """

    status: int = 0
    retry_after: str = ""
    half: bool = False
    hang: bool = False
    trickle: bool = False
    garbage: bytes = b""
    change: Callable[[Any], Any] | None = None
    path: str = ""


@dataclass
class Server:
    """A running server: the requests it received, and its pending faults in order."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    let_go: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, *faults: Fault, times: int = 1) -> None:
        """Commit these faults at the next requests that they concern."""
        self.faults.extend(faults * times)

    def fault_for(self, path: str) -> Fault | None:
        """Return the next fault for a path, and remove it."""
        with self.lock:
            for fault in self.faults:
                if fault.path in path:
                    self.faults.remove(fault)
                    return fault
        return None

    def count(self, path: str) -> int:
        """Count the requests with this in their path or query."""
        return sum(path in f"{one.path}?{one.query}" for one in self.asked)


class _Answering(BaseHTTPRequestHandler):
    """One connection; a test's server gives it `state` and `respond` by a class of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Server
    respond: Callable[[Asked], Answer]

    def do_GET(self) -> None:
        """Answer a question in the path."""
        self._answer(None)

    def do_POST(self) -> None:
        """Answer a question in the body."""
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        parts = urlsplit(self.path)
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), body)
        self.state.asked.append(asked)
        fault = self.state.fault_for(self.path) or Fault()
        if fault.hang:
            self.state.let_go.wait(20)
            self.close_connection = True
        elif fault.status:
            self._send(fault.status, b"{}", fault)
        else:
            answer = type(self).respond(asked)
            if fault.change:
                answer = Answer(fault.change(answer.content), answer.status)
            self._send(answer.status, fault.garbage or answer.payload, fault)

    def _send(self, status: int, payload: bytes, fault: Fault) -> None:
        self.send_response(status)
        html = payload.startswith(b"<")
        kind = "text/html" if html else "application/json" if payload[:1] in b"[{" else "x/y"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        if fault.retry_after:
            self.send_header("Retry-After", fault.retry_after)
        self.end_headers()
        if not fault.half and not fault.trickle:
            self.wfile.write(payload)
            return
        self.close_connection = True
        self.wfile.write(payload[: len(payload) // 2])
        while fault.trickle and not self.state.let_go.wait(0.2):
            self.wfile.write(b" ")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Serve the connection; whoever asked may have given up."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()


@contextmanager
def serving(respond: Callable[[Asked], Answer], port: int = 0) -> Iterator[Server]:
    """Run a server until the end of the block."""
    server = Server()
    answering = type(
        "Answering", (_Answering,), {"state": server, "respond": staticmethod(respond)}
    )
    with ThreadingHTTPServer(("127.0.0.1", port), answering) as running:
        running.daemon_threads = True
        running.block_on_close = False
        server.port = running.server_address[1]
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            running.shutdown()
            thread.join()
