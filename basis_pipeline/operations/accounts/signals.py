"""Signals in the results database: one per account and hour, with an alert for due orders."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from basis_pipeline.backtests.signals import Action, Signal
from basis_pipeline.config.automation import AlertKind, AlertSeverity, load_automation_limits
from basis_pipeline.operations.alerts import Alert, raise_alerts
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import read_state
from basis_pipeline.results.database.connection import reading, writing
from basis_pipeline.results.database.migration import existing, opened
from basis_pipeline.results.database.tables import ACCOUNT_SIGNALS as SIGNALS
from basis_pipeline.settings import Settings, config_directory


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A stored signal; `content` is the complete signal, JSON."""

    account: str
    hour: datetime
    leg: int
    action: str
    trigger: str
    orders: int
    equity: float
    made_at: datetime
    content: str


def last_signal(settings: Settings, account: str, before: datetime) -> SignalRow | None:
    """Return the latest signal of an earlier hour that was not halted. Raises ResultsError."""
    if (engine := existing(settings.results_db_url)) is None:
        return None
    earlier = (SIGNALS.c.hour < before) & (SIGNALS.c.action != Action.HALT.value)
    latest = select(SIGNALS).where((SIGNALS.c.account == account) & earlier)
    with reading(engine) as connection:
        row = connection.execute(latest.order_by(SIGNALS.c.hour.desc()).limit(1)).first()
    return SignalRow(*row) if row else None


def latest_signals(settings: Settings, account: str | None = None) -> list[SignalRow]:
    """Return the latest signal of every account, or of one. Raises ResultsError."""
    if (engine := existing(settings.results_db_url)) is None:
        return []
    last = select(SIGNALS.c.account, func.max(SIGNALS.c.hour)).group_by(SIGNALS.c.account)
    with reading(engine) as connection:
        rows: list[Row[Any]] = []
        for name, hour in connection.execute(last).all():
            if account in (None, name):
                one = (SIGNALS.c.account == name) & (SIGNALS.c.hour == hour)
                rows += connection.execute(select(SIGNALS).where(one)).all()
    return sorted((SignalRow(*tuple(row)) for row in rows), key=lambda row: row.account)


def signal_history(
    settings: Settings,
    account: str,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    limit: int,
) -> list[SignalRow]:
    """Return signals of an account, the latest first. Raises ResultsError.

    Parameters
    ----------
    since: of this hour or later. before: only those of earlier hours.
    """
    if (engine := existing(settings.results_db_url)) is None:
        return []
    conditions = [SIGNALS.c.account == account]
    conditions += [SIGNALS.c.hour >= since] if since else []
    conditions += [SIGNALS.c.hour < before] if before else []
    query = select(SIGNALS).where(*conditions).order_by(SIGNALS.c.hour.desc()).limit(limit)
    with reading(engine) as connection:
        return [SignalRow(*row) for row in connection.execute(query)]


def record_signal(settings: Settings, signal: Signal) -> Signal:
    """Store the signal of an account and hour; during a halt it is one without trades.

    A new or changed signal is an audit event, and one with orders due is an alert.

    Raises
    ------
    ResultsError: the database cannot be used. OSError: an alert cannot be stored.
    """
    if read_state(settings).stops_work:
        signal = signal.halted()
    engine = opened(settings.results_db_url)
    content = json.dumps(signal.to_json(), sort_keys=True)
    mine = (SIGNALS.c.account == signal.account) & (SIGNALS.c.hour == signal.hour.to_pydatetime())
    with writing(engine, exclusive="signals") as connection:
        if connection.scalar(select(SIGNALS.c.content).where(mine)) == content:
            return signal
        connection.execute(delete(SIGNALS).where(mine))
        row = SignalRow(
            account=signal.account,
            hour=signal.hour.to_pydatetime(),
            leg=signal.leg,
            action=signal.action.value,
            trigger=signal.trigger,
            orders=len(signal.orders),
            equity=signal.equity,
            made_at=datetime.now(UTC),
            content=content,
        )
        values = {name: getattr(row, name) for name in SignalRow.__slots__}
        connection.execute(insert(SIGNALS).values(**values))
    fields = {"account": signal.account, "hour": signal.hour.isoformat(), "leg": signal.leg}
    fields |= {"action": signal.action.value, "trigger": signal.trigger}
    emit(settings, EventType.SIGNAL, "accounts", **fields, orders=len(signal.orders))
    if signal.is_due:
        raise_alerts([_alert(signal)], settings, load_automation_limits(config_directory()).alerts)
    return signal


def _alert(signal: Signal) -> Alert:
    orders = f"{len(signal.orders)} orders"
    why = f"{signal.action.value} ({signal.trigger}): {orders} at {signal.hour:%Y-%m-%d %H:%M} UTC"
    return Alert(
        AlertKind.ORDERS_DUE,
        subject=f"account {signal.account}",
        severity=AlertSeverity.WARN,
        mode=signal.mode,
        reasons=[{"what": why}],
    )
