"""Alerts: what a person should look at, in the audit log and at a webhook where there is one.

An alert waits in the results database until the webhook has taken it; alerts are delivered in
order. Only the sensor `alerts` waits for a delivery: no run does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Engine, delete, func, insert, select, update
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from basis_pipeline.config.automation import AlertKind, AlertLimits, AlertSeverity
from basis_pipeline.errors import PlatformError
from basis_pipeline.masking import masked
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.results.database.connection import connect, reading, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.tables import ALERTS
from basis_pipeline.settings import SecretUrl, Settings

COMPONENT = "alerts"
STORED_FOR = timedelta(days=30)  # after the delivery, so that nothing is delivered twice
LEVELS = {AlertSeverity.INFO: "INFO", AlertSeverity.WARN: "WARNING", AlertSeverity.ERROR: "ERROR"}
_SHOWN_REASONS = 5


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should look at.

    Parameters
    ----------
    subject: the job, component, schedule or sensor it is about.
    key: of the occurrence; a key is delivered once.
    reasons: why, each with `what`, and with `code`, `where` and `gate` where it has them.
    """

    kind: AlertKind
    subject: str
    key: str
    severity: AlertSeverity = AlertSeverity.ERROR
    run_id: str = ""
    mode: str = ""
    scenario_set: str = ""
    reasons: list[dict[str, str]] = field(default_factory=list)

    @property
    def message(self) -> str:
        """Return the alert in one sentence."""
        of = "".join(f" of {name}" for name in (self.scenario_set, self.mode) if name)
        why = [" ".join(filter(None, (r.get("gate"), r["what"]))) for r in self.reasons]
        more = f"; and {len(why) - _SHOWN_REASONS} more" if len(why) > _SHOWN_REASONS else ""
        text = f"{self.kind.replace('_', ' ')}: {self.subject}{of}"
        return f"{text}: {'; '.join(why[:_SHOWN_REASONS])}{more}" if why else text

    def to_json(self) -> dict[str, Any]:
        """Return the alert as JSON values, secrets masked."""
        fields = {name: value for name, value in asdict(self).items() if name != "key"}
        values: dict[str, Any] = masked({**fields, "message": self.message})
        return values


def raise_alerts(alerts: Sequence[Alert], settings: Settings, limits: AlertLimits) -> None:
    """Store the alerts that the webhook is to receive, and record all of them in the audit log.

    Raises
    ------
    ResultsError: they cannot be stored; none is recorded then.
    """
    known: set[str] = set()
    if settings.alert_webhook_url:
        wanted = [a for a in alerts if limits.accepts(a.kind, a.severity, a.mode)]
        known = _store(wanted, settings) if wanted else known
    _record([alert for alert in alerts if alert.key not in known], settings)


def deliver_waiting(settings: Settings, limits: AlertLimits) -> int:
    """Post the alerts that wait, the earliest first, as one message; return how many.

    Raises
    ------
    PlatformError: PLATFORM-004 when they are not delivered; they go on waiting.
    ResultsError: the database cannot be used.
    """
    if not settings.alert_webhook_url:
        return 0
    engine = _database(settings)
    waiting = select(ALERTS.c.sequence, ALERTS.c.content).where(ALERTS.c.delivered_at.is_(None))
    with reading(engine) as connection:
        earliest = waiting.order_by(ALERTS.c.sequence).limit(limits.alerts_a_message)
        rows = connection.execute(earliest).all()
    if not rows:
        return 0
    _post_all([json.loads(row.content) for row in rows], settings, limits)
    now, delivered = datetime.now(UTC), [row.sequence for row in rows]
    with writing(engine, exclusive=COMPONENT) as connection:
        sent = ALERTS.c.sequence.in_(delivered)
        connection.execute(update(ALERTS).where(sent).values(delivered_at=now))
        connection.execute(delete(ALERTS).where(ALERTS.c.delivered_at < now - STORED_FOR))
    return len(rows)


def deliver_now(alerts: Sequence[Alert], settings: Settings, limits: AlertLimits) -> None:
    """Record and post alerts that cannot be stored.

    Raises
    ------
    PlatformError: PLATFORM-004 when they are not delivered.
    """
    _record(alerts, settings)
    wanted = [a.to_json() for a in alerts if limits.accepts(a.kind, a.severity, a.mode)]
    if wanted and settings.alert_webhook_url:
        _post_all(wanted, settings, limits)


def post(alerts: Sequence[dict[str, Any]], url: SecretUrl, limits: AlertLimits) -> int:
    """Post alerts as one JSON document `{text, alerts}`; return how many attempts it took.

    What another attempt may cure (no connection, no answer in time, 429, 5xx) is tried again with
    exponential waits and jitter.

    Raises
    ------
    PlatformError: PLATFORM-004 when it is not delivered.
    """
    document = {"text": "\n".join(alert["message"] for alert in alerts), "alerts": alerts}
    attempts = Retrying(
        stop=stop_after_attempt(limits.attempts),
        wait=wait_random_exponential(limits.first_wait_seconds, limits.longest_wait_seconds),
        retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout, _Unwilling)),
        reraise=True,
    )
    try:
        attempts(_post, url, document, limits.timeout_seconds)
    except requests.RequestException as error:
        # Its own text holds the whole URL, which is a secret.
        what = f"{type(error).__name__}: {_answer(error)}"
        raise PlatformError("PLATFORM-004", what, where=str(url)) from None
    return int(attempts.statistics["attempt_number"])


def _record(alerts: Sequence[Alert], settings: Settings) -> None:
    for alert in alerts:
        level = LEVELS[alert.severity]
        emit(settings, EventType.ALERT, COMPONENT, level=level, **alert.to_json())


def _database(settings: Settings) -> Engine:
    engine = connect(settings.results_db_url)
    migrate(engine)
    return engine


def _store(alerts: Sequence[Alert], settings: Settings) -> set[str]:
    """Store alerts to be delivered; return the keys that were stored before."""
    keys = [alert.key for alert in alerts]
    with writing(_database(settings), exclusive=COMPONENT) as connection:
        known = set(connection.scalars(select(ALERTS.c.key).where(ALERTS.c.key.in_(keys))))
        last = connection.scalar(select(func.max(ALERTS.c.sequence))) or 0
        new = {alert.key: alert for alert in alerts if alert.key not in known}
        for sequence, (key, alert) in enumerate(new.items(), last + 1):
            row = {"sequence": sequence, "key": key, "raised_at": datetime.now(UTC)}
            content = json.dumps(alert.to_json())
            connection.execute(insert(ALERTS).values(**row, content=content))
    return known


def _post_all(alerts: Sequence[dict[str, Any]], settings: Settings, limits: AlertLimits) -> None:
    """Post alerts, and record whether they were delivered."""
    fields: dict[str, Any] = {"alerts": len(alerts), "delivered": True}
    try:
        fields["attempts"] = post(alerts, settings.alert_webhook_url, limits)
    except PlatformError as error:
        fields |= {"delivered": False, "level": "ERROR", "code": error.code, "reason": error.what}
        raise
    finally:
        emit(settings, EventType.ALERT_DELIVERY, COMPONENT, **fields)


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
