"""Alerts: events that need review, in the audit log and at a webhook if there is one.

An alert waits in `alerts.jsonl` in the results directory until the webhook has accepted it, even
when the database is down; alerts are delivered in order. Only the sensor `alerts` delivers them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from basis_pipeline.config.automation import AlertKind, AlertLimits, AlertSeverity
from basis_pipeline.errors import PlatformError
from basis_pipeline.files import locked, write_atomically
from basis_pipeline.masking import masked
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.settings import SecretUrl, Settings

COMPONENT = "alerts"
LEVELS = {AlertSeverity.INFO: "INFO", AlertSeverity.WARN: "WARNING", AlertSeverity.ERROR: "ERROR"}
_SHOWN_REASONS = 5
LOCK_SECONDS = 10.0  # longer than any change of the file takes


@dataclass(frozen=True, slots=True)
class Alert:
    """An event that needs review.

    Parameters
    ----------
    subject: the job, component, schedule or sensor concerned.
    reasons: each with `what`, and with `code`, `where` and `gate` where it has them.
    """

    kind: AlertKind
    subject: str
    severity: AlertSeverity = AlertSeverity.ERROR
    run_id: str = ""
    mode: str = ""
    scenario_set: str = ""
    reasons: list[dict[str, str]] = field(default_factory=list)

    @property
    def message(self) -> str:
        """The alert in one sentence."""
        of = "".join(f" of {name}" for name in (self.scenario_set, self.mode) if name)
        why = [" ".join(filter(None, (r.get("gate"), r["what"]))) for r in self.reasons]
        more = f"; and {len(why) - _SHOWN_REASONS} more" if len(why) > _SHOWN_REASONS else ""
        text = f"{self.kind.replace('_', ' ')}: {self.subject}{of}"
        return f"{text}: {'; '.join(why[:_SHOWN_REASONS])}{more}" if why else text

    def to_json(self) -> dict[str, Any]:
        """Return the alert as JSON values, secrets masked."""
        values: dict[str, Any] = masked({**asdict(self), "message": self.message})
        return values


def raise_alerts(alerts: Sequence[Alert], settings: Settings, limits: AlertLimits) -> None:
    """Record alerts in the audit log, and store those that the webhook receives.

    Raises
    ------
    OSError: they cannot be stored.
    """
    wanted = [a for a in alerts if limits.accepts(a.kind, a.severity, a.mode)]
    if wanted and settings.alert_webhook_url:
        _replace(settings, lambda w: [*w, *(f"{json.dumps(a.to_json())}\n" for a in wanted)])
    for alert in alerts:
        emit(settings, EventType.ALERT, COMPONENT, level=LEVELS[alert.severity], **alert.to_json())


def deliver_waiting(settings: Settings, limits: AlertLimits) -> int:
    """Post the waiting alerts, the earliest first, as one message; return how many.

    Raises
    ------
    PlatformError: PLATFORM-004 when they are not delivered; they still wait.
    OSError: they cannot be read or stored.
    """
    if not settings.alert_webhook_url:
        return 0
    now = _waiting(settings)[: limits.alerts_a_message]
    if not now:
        return 0
    fields: dict[str, Any] = {"alerts": len(now), "delivered": True}
    try:
        alerts = [json.loads(line) for line in now]
        fields["attempts"] = post(alerts, settings.alert_webhook_url, limits)
    except PlatformError as error:
        fields |= {"delivered": False, "level": "ERROR", "code": error.code, "reason": error.what}
        raise
    finally:
        emit(settings, EventType.ALERT_DELIVERY, COMPONENT, **fields)
    _replace(settings, lambda waiting: waiting[len(now) :])
    return len(now)


def _file(settings: Settings) -> Path:
    return settings.results_dir / "alerts.jsonl"


def _waiting(settings: Settings) -> list[str]:
    """Return the lines of the waiting alerts, the earliest first."""
    file = _file(settings)
    return file.read_text().splitlines(keepends=True) if file.exists() else []


def _replace(settings: Settings, change: Callable[[list[str]], list[str]]) -> None:
    """Change the waiting alerts under their lock; OSError when that fails."""
    file = _file(settings)
    with locked(file.with_suffix(".lock"), LOCK_SECONDS):
        write_atomically(file, "".join(change(_waiting(settings))).encode())


def post(alerts: Sequence[dict[str, Any]], url: SecretUrl, limits: AlertLimits) -> int:
    """Post alerts as one JSON document `{text, alerts}`; return how many attempts it took.

    Temporary failures (no connection, no answer in time, 429, 5xx) are tried again with
    exponential waits and jitter.

    Raises
    ------
    PlatformError: PLATFORM-004 when it is not delivered.
    """
    document = {"text": "\n".join(alert["message"] for alert in alerts), "alerts": alerts}
    attempts = Retrying(
        stop=stop_after_attempt(limits.attempts),
        wait=wait_random_exponential(limits.first_wait_seconds, limits.longest_wait_seconds),
        retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout, _Unavailable)),
        reraise=True,
    )
    try:
        attempts(_post, url, document, limits.timeout_seconds)
    except requests.RequestException as error:
        # The text of any other error holds the whole URL, which is a secret.
        reason = "no answer in time" if isinstance(error, requests.Timeout) else "no connection"
        reason = str(error) if isinstance(error, requests.HTTPError) else reason
        what = f"{type(error).__name__}: {reason}"
        raise PlatformError("PLATFORM-004", what, where=str(url)) from None
    return int(attempts.statistics["attempt_number"])


class _Unavailable(requests.HTTPError):
    """The receiver answered that it is temporarily unavailable."""


def _post(url: SecretUrl, document: dict[str, Any], timeout: float) -> None:
    # Only the status is read, so that an endless body does no harm.
    with requests.post(
        url.get_secret_value(), json=document, timeout=timeout, allow_redirects=False, stream=True
    ) as answer:
        status = answer.status_code
    if status == requests.codes.too_many_requests or status >= 500:
        raise _Unavailable(f"answered {status}")
    if not 200 <= status < 300:
        raise requests.HTTPError(f"answered {status}")
