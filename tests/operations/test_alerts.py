"""Alerts reach the event log always, and a webhook when it lets them; never at a run's cost."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from basis_pipeline.config.automation import Webhook
from basis_pipeline.errors import PlatformError
from basis_pipeline.operations.alerts import Alert, circuit, deliver, raise_alerts
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.settings import SecretUrl, load_settings

LIMITS = Webhook(
    timeout_seconds=0.3,
    attempts=3,
    first_wait_seconds=0.01,
    longest_wait_seconds=0.02,
    open_after_failures=2,
    closed_after_seconds=0.5,
)
ALERT = Alert(
    "run_failed",
    "full_pipeline",
    "run-1",
    "btc_basis",
    [{"code": "BT-001", "what": "market/panel[btc_basis] does not run", "where": "bybit.csv"}],
)


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

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        state.let_go.set()
        server.shutdown()
        thread.join()
    circuit.cache_clear()


def test_an_alert_arrives_with_what_a_person_needs(receiver: Receiver) -> None:
    """What failed, of which mode and run, why, with code and place."""
    assert deliver([ALERT], receiver.url, LIMITS) == 1
    (document,) = receiver.received
    assert "btc_basis" in str(document["text"])
    (told,) = document["alerts"]  # type: ignore[misc]
    assert told["run_id"] == "run-1"
    assert told["reasons"][0] == ALERT.reasons[0]


@pytest.mark.parametrize("failures", [[500, 503], [429, 0], [0, 502]])
def test_it_is_tried_again_while_the_receiver_recovers(
    receiver: Receiver, failures: list[int]
) -> None:
    """Errors of the server, too many requests and no answer in time are worth another attempt."""
    receiver.answers = list(failures)
    assert deliver([ALERT], receiver.url, LIMITS) == 3
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_a_refusal_is_not_tried_again(receiver: Receiver, status: int) -> None:
    """What is wrong with the request stays wrong."""
    receiver.answers = [status]
    with pytest.raises(PlatformError, match=f"answered {status}") as refused:
        deliver([ALERT], receiver.url, LIMITS)
    assert refused.value.code == "PLATFORM-004"
    assert receiver.asked == 1


def test_a_receiver_that_hangs_costs_no_more_than_its_timeouts(receiver: Receiver) -> None:
    """Three attempts of 0.3 s and their waits, and not a second more."""
    receiver.answers = [0] * 3
    began = time.monotonic()
    with pytest.raises(PlatformError, match="no answer in time"):
        deliver([ALERT], receiver.url, LIMITS)
    assert time.monotonic() - began < 3.0
    assert receiver.asked == 3


def test_a_dead_receiver_is_left_alone_for_a_while_and_tried_again(receiver: Receiver) -> None:
    """After two failed deliveries none is tried; later one is, and the circuit closes."""
    receiver.answers = [500] * 6
    for _ in range(2):
        with pytest.raises(PlatformError):
            deliver([ALERT], receiver.url, LIMITS)
    assert receiver.asked == 6
    with pytest.raises(PlatformError, match="2 deliveries in a row failed"):
        deliver([ALERT], receiver.url, LIMITS)
    assert receiver.asked == 6
    deadline = time.monotonic() + 10
    while not receiver.received and time.monotonic() < deadline:
        try:
            deliver([ALERT], receiver.url, LIMITS)
        except PlatformError:
            threading.Event().wait(0.05)
    assert len(receiver.received) == 1
    assert deliver([ALERT], receiver.url, LIMITS) == 1


def test_what_cannot_be_delivered_is_told_in_the_log_without_the_secret(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The alert, and why it went nowhere; neither holds the webhook's path. Nothing is raised."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = SecretUrl(f"http://127.0.0.1:{free.getsockname()[1]}/hooks/very-secret-path")
    settings = load_settings(results_dir=tmp_path)
    urls = (nobody, receiver.url, SecretUrl(""))
    to = [settings.model_copy(update={"alert_webhook_url": url}) for url in urls]
    assert [raise_alerts([ALERT], place, LIMITS) for place in to] == [False, True, False]
    events = list(read_events(log_directory(settings)))
    assert [e.type for e in events] == ["alert", "alert_delivery"] * 2 + ["alert"]
    assert [e.fields.get("delivered") for e in events if e.type == "alert_delivery"] == [
        False,
        True,
    ]
    assert events[1].fields["code"] == "PLATFORM-004"
    assert "very-secret-path" not in "".join(p.read_text() for p in tmp_path.rglob("*.jsonl"))
    assert "very-secret-path" not in repr(receiver.url)
