"""Alerts reach the audit log always, and a webhook in order, as soon as it answers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from basis_pipeline.config.automation import (
    AlertKind,
    AlertLimits,
    AlertSeverity,
    load_automation_limits,
)
from basis_pipeline.errors import PlatformError
from basis_pipeline.operations.alerts import Alert, deliver_waiting, post, raise_alerts
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.receiver import Receiver, receiver, receiving

__all__ = ["receiver"]

QUICK = {"timeout_seconds": 0.3, "first_wait_seconds": 0.01, "longest_wait_seconds": 0.02}
LIMITS = load_automation_limits(project_root() / "configs").alerts.model_copy(update=QUICK)
REASON = {"code": "BT-001", "what": "market/panel[btc_basis] is blocked", "where": "bybit.csv"}


def alert(number: int = 1, kind: AlertKind = AlertKind.RUN_FAILED, **fields: Any) -> Alert:
    """An alert of a run."""
    return Alert(kind, f"job {number}", mode="btc_basis", reasons=[REASON], **fields)


def settings_of(place: Path, url: str) -> Settings:
    """Settings with a webhook."""
    environ = {"BASIS_ALERT_WEBHOOK_URL": url}
    return load_settings(environ, results_dir=place / "results", data_dir=place / "data")


def subjects(receiver: Receiver) -> list[str]:
    """What every message was about, in order."""
    return [a["subject"] for document in receiver.received for a in document["alerts"]]  # type: ignore[attr-defined]


def test_an_alert_arrives_with_what_a_person_needs(receiver: Receiver) -> None:
    """It names what failed, of which mode and why, with code and place."""
    assert post([alert().to_json()], receiver.url, LIMITS) == 1
    (document,) = receiver.received
    assert "btc_basis" in str(document["text"])
    (received,) = document["alerts"]  # type: ignore[misc]
    assert (received["kind"], received["severity"]) == ("run_failed", "ERROR")
    assert received["reasons"][0] == REASON


@pytest.mark.parametrize("failures", [[500, 429], [0, 502]])
def test_it_is_tried_again_while_the_receiver_recovers(
    receiver: Receiver, failures: list[int]
) -> None:
    """Errors of the server, too many requests and no answer in time are worth another attempt."""
    receiver.answers = list(failures)
    assert post([alert().to_json()], receiver.url, LIMITS) == 3
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [400, 302])
def test_a_rejection_is_not_tried_again(receiver: Receiver, status: int) -> None:
    """Another attempt cannot succeed."""
    receiver.answers = [status]
    with pytest.raises(PlatformError, match=f"answered {status}") as raised:
        post([alert().to_json()], receiver.url, LIMITS)
    assert raised.value.code == "PLATFORM-004"
    assert receiver.asked == 1


def test_alerts_wait_for_their_receiver_and_arrive_in_order(tmp_path: Path) -> None:
    """Down, then up: every alert arrives, once, the earliest first; no secret is logged."""
    with receiving() as known:
        port, url = known.port, known.url.get_secret_value()
    settings = settings_of(tmp_path, url)
    for number in (1, 2, 3):
        raise_alerts([alert(number)], settings, LIMITS)
        with pytest.raises(PlatformError, match="PLATFORM-004"):
            deliver_waiting(settings, LIMITS)
    with receiving(port) as receiver:
        few = LIMITS.model_copy(update={"alerts_a_message": 2})
        assert [deliver_waiting(settings, few) for _ in range(3)] == [2, 1, 0]
        assert subjects(receiver) == ["job 1", "job 2", "job 3"]
    events = list(read_events(log_directory(settings)))
    delivered = [e.fields["delivered"] for e in events if e.type == "alert_delivery"]
    assert delivered == [False, False, False, True, True]
    assert [e.type for e in events].count("alert") == 3
    log = "".join(path.read_text() for path in log_directory(settings).glob("*.jsonl"))
    assert "very-secret-path" not in log + repr(settings)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"modes": ["eth_basis"]}, ["tick_failed"]),
        ({"modes": ["btc_basis"], "kinds": [AlertKind.RUN_FAILED]}, ["run_failed"]),
        ({"severities": [AlertSeverity.WARN]}, ["control_changed"]),
    ],
)
def test_a_filter_chooses_what_is_delivered_and_the_log_has_all(
    tmp_path: Path, receiver: Receiver, chosen: dict[str, Any], expected: list[str]
) -> None:
    """By mode, kind and severity; an alert of no mode passes every filter of modes."""
    settings = settings_of(tmp_path, receiver.url.get_secret_value())
    limits: AlertLimits = LIMITS.model_copy(update=chosen)
    failing = Alert(AlertKind.TICK_FAILED, "nightly")
    state = alert(2, AlertKind.CONTROL_CHANGED, severity=AlertSeverity.WARN)
    raise_alerts([alert(1), failing, state], settings, limits)
    deliver_waiting(settings, limits)
    found = [a["kind"] for document in receiver.received for a in document["alerts"]]  # type: ignore[attr-defined]
    assert found == expected
    assert len(list(read_events(log_directory(settings), types=["alert"]))) == 3


def test_alerts_raised_at_once_all_wait(tmp_path: Path, receiver: Receiver) -> None:
    """Two platforms over one results directory lose none of each other's alerts."""
    settings = settings_of(tmp_path, receiver.url.get_secret_value())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: raise_alerts([alert(number)], settings, LIMITS), range(40)))
    while deliver_waiting(settings, LIMITS):
        pass
    assert sorted(subjects(receiver)) == sorted(f"job {number}" for number in range(40))


def test_without_a_webhook_alerts_are_in_the_log_alone(tmp_path: Path) -> None:
    """Alerts without a receiver do not wait."""
    settings = settings_of(tmp_path, "")
    raise_alerts([alert()], settings, LIMITS)
    assert deliver_waiting(settings, LIMITS) == 0
    assert len(list(read_events(log_directory(settings)))) == 1
    assert not (tmp_path / "results" / "alerts.jsonl").exists()
