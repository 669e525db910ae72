"""Alerts: what a person should look at, told in the event log and to a webhook where there is one.

An alert that cannot be delivered stops nothing: the event log has it, and says why it went nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import requests
from pybreaker import CircuitBreaker, CircuitBreakerError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from basis_pipeline.config.automation import Webhook
from basis_pipeline.errors import PlatformError
from basis_pipeline.masking import masked
from basis_pipeline.operations.audit_log import AlertKind, EventType, emit
from basis_pipeline.settings import SecretUrl, Settings

COMPONENT = "alerts"
SHOWN_REASONS = 5


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that failed.

    Parameters
    ----------
    subject: the job, the asset or the control.
    reasons: why, each with `what`, and with `code`, `where` and `gate` where it has them.
    """

    kind: AlertKind
    subject: str
    run_id: str = ""
    mode: str = ""
    reasons: list[dict[str, str]] = field(default_factory=list)
    scenario_set: str = ""

    @property
    def told(self) -> str:
        """The alert in one sentence."""
        of = "".join(f" of {name}" for name in (self.scenario_set, self.mode) if name)
        said = [" ".join(filter(None, (r.get("gate"), r["what"]))) for r in self.reasons]
        more = f"; and {len(said) - SHOWN_REASONS} more" if len(said) > SHOWN_REASONS else ""
        why = "; ".join(said[:SHOWN_REASONS]) + more
        return f"{self.kind.replace('_', ' ')}: {self.subject}{of}{f': {why}' if why else ''}"

    def as_json(self) -> dict[str, Any]:
        """The alert as JSON values, secrets masked."""
        told: dict[str, Any] = masked(
            {
                "kind": self.kind,
                "subject": self.subject,
                "run_id": self.run_id,
                "mode": self.mode,
                "scenario_set": self.scenario_set,
                "told": self.told,
                "reasons": self.reasons,
            }
        )
        return told


def raise_alerts(alerts: Sequence[Alert], settings: Settings, limits: Webhook) -> bool:
    """Record alerts in the audit log, then deliver them together; whether that did.

    Nothing is raised: what keeps them from being delivered is an event of its own.
    """
    url = settings.alert_webhook_url
    for alert in alerts:
        emit(settings, EventType.ALERT, COMPONENT, **alert.as_json())
    if not alerts or not url:
        return False
    try:
        attempts = deliver(alerts, url, limits)
    except PlatformError as error:
        emit(
            settings,
            EventType.ALERT_DELIVERY,
            COMPONENT,
            level="ERROR",
            alerts=len(alerts),
            delivered=False,
            code=error.code,
            reason=error.what,
        )
        return False
    facts = {"alerts": len(alerts), "delivered": True, "attempts": attempts}
    emit(settings, EventType.ALERT_DELIVERY, COMPONENT, **facts)
    return True


def deliver(alerts: Sequence[Alert], url: SecretUrl, limits: Webhook) -> int:
    """Post alerts as one JSON document `{text, alerts}`; how many attempts it took.

    What a second attempt may mend (no connection, no answer in time, 429, 5xx) is tried again with
    exponential waits and jitter. After too many failed deliveries in a row none is tried for a
    while, so that a dead receiver costs nothing.

    Raises
    ------
    PlatformError: PLATFORM-004 when it is not delivered.
    """
    document = {
        "text": "\n".join(alert.as_json()["told"] for alert in alerts),
        "alerts": [alert.as_json() for alert in alerts],
    }
    trying = Retrying(
        stop=stop_after_attempt(limits.attempts),
        wait=wait_random_exponential(limits.first_wait_seconds, limits.longest_wait_seconds),
        retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout, _Unwilling)),
        reraise=True,
    )
    try:
        circuit(url, limits).call(trying, _post, url, document, limits.timeout_seconds)
    except CircuitBreakerError:
        wait = f"none is tried for {limits.closed_after_seconds:g} s after the last one"
        what = f"{limits.open_after_failures} deliveries in a row failed: {wait}"
        raise PlatformError("PLATFORM-004", what, where=str(url)) from None
    except requests.RequestException as error:
        # Its own text holds the whole URL, which is a secret.
        told = f"{type(error).__name__}: {_answer(error)}"
        raise PlatformError("PLATFORM-004", told, where=str(url)) from None
    return int(trying.statistics["attempt_number"])


@lru_cache(maxsize=8)
def circuit(_: SecretUrl, limits: Webhook) -> CircuitBreaker:
    """The circuit breaker of a receiver; a process has one for each."""
    return CircuitBreaker(
        fail_max=limits.open_after_failures,
        reset_timeout=limits.closed_after_seconds,
        throw_new_error_on_trip=False,
    )


class _Unwilling(requests.HTTPError):
    """The receiver answered that it cannot now."""


def _post(url: SecretUrl, document: dict[str, Any], timeout: float) -> None:
    # Only the status is looked at: a body that never ends is not waited for.
    with requests.post(
        url.get_secret_value(), json=document, timeout=timeout, allow_redirects=False, stream=True
    ) as answer:
        status = answer.status_code
    if status == requests.codes.too_many_requests or status >= 500:
        raise _Unwilling(f"answered {status}")
    if not 200 <= status < 300:
        raise requests.HTTPError(f"answered {status}")


def _answer(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"
