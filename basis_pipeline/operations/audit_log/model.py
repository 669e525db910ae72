"""Events: their categories, levels, types and fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class Category(StrEnum):
    """The subject of an event."""

    AUDIT = "audit"
    DATA = "data"
    RISK = "risk"
    BUSINESS = "business"
    PERFORMANCE = "performance"


class Level(StrEnum):
    """Severity of an event, in rising order."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """Place in the rising order, from 0."""
        return list(Level).index(self)


class EventType(StrEnum):
    """Every type of event, with its category and level; the comment names the fields."""

    category: Category
    level: Level

    def __new__(cls, value: str, category: Category, level: Level = Level.INFO) -> Self:
        """Make a member from its text, category and level."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.category, member.level = category, level
        return member

    # config_hash, overrides, configuration
    CONFIGURATION_USED = "configuration_used", Category.AUDIT
    # dataset, sha256
    DATA_READ = "data_read", Category.AUDIT
    # gate, verdict, evidence, figures
    GATE_VERDICT = "gate_verdict", Category.AUDIT
    # gate, status, by, reason, at, until
    GATE_WAIVED = "gate_waived", Category.AUDIT, Level.WARNING
    # options, assets, tags
    RUN_REQUESTED = "run_requested", Category.AUDIT
    RUN_STARTED = "run_started", Category.AUDIT
    # outcome
    RUN_FINISHED = "run_finished", Category.AUDIT
    # code, reason
    RUN_BLOCKED = "run_blocked", Category.AUDIT, Level.ERROR
    # version, state, previous, by, reason: as the next three
    ALERTED = "alerted", Category.AUDIT, Level.WARNING
    HALTED = "halted", Category.AUDIT, Level.ERROR
    SHUT_DOWN = "shut_down", Category.AUDIT, Level.ERROR
    RESUMED = "resumed", Category.AUDIT
    # kind (an `AlertKind`), severity, message, reasons
    ALERT = "alert", Category.AUDIT, Level.ERROR
    # alerts, delivered, attempts, reason
    ALERT_DELIVERY = "alert_delivery", Category.AUDIT
    # request_id, sequence
    REQUEST_ACCEPTED = "request_accepted", Category.AUDIT
    # file, code, reason
    REQUEST_REJECTED = "request_rejected", Category.AUDIT, Level.WARNING
    # request_id, status, record or code
    REQUEST_SERVED = "request_served", Category.AUDIT
    # as `BasisError.as_json`
    ERROR = "error", Category.AUDIT, Level.ERROR
    # runs
    RUNS_PRUNED = "runs_pruned", Category.AUDIT
    # account, signals (how many), before (the oldest remaining hour)
    SIGNALS_PRUNED = "signals_pruned", Category.AUDIT
    # backup
    RESULTS_BACKED_UP = "results_backed_up", Category.AUDIT
    # backup, runs
    RESULTS_RESTORED = "results_restored", Category.AUDIT
    # account, leg, start, capital
    LEG_STARTED = "leg_started", Category.AUDIT
    # account, and the fields of a `Revision`: as the next
    REVISION_FOUND = "revision_found", Category.AUDIT, Level.WARNING
    REVISION_ACCEPTED = "revision_accepted", Category.AUDIT
    # account, dataset, reason
    FEED_STALE = "feed_stale", Category.DATA, Level.WARNING
    FEED_CAUGHT_UP = "feed_caught_up", Category.DATA
    # account, hour, leg, action, trigger, orders
    SIGNAL = "signal", Category.BUSINESS
    # dataset, rows, span, files
    FEED_READ = "feed_read", Category.DATA
    # dataset, code, reason
    DATA_REJECTED = "data_rejected", Category.DATA, Level.ERROR
    # dataset, repaired
    DATA_REPAIRED = "data_repaired", Category.DATA
    # limit, figures
    LIMIT_BREACHED = "limit_breached", Category.RISK, Level.WARNING
    # count
    LIQUIDATION = "liquidation", Category.RISK, Level.WARNING
    # record, headline figures
    RUN_RESULT = "run_result", Category.BUSINESS
    # text
    MESSAGE = "message", Category.BUSINESS
    # operation, seconds
    TIMING = "timing", Category.PERFORMANCE


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log.

    Parameters
    ----------
    at: UTC, microseconds. seq: number of the event in its process, rising. pid: the process.
    type: a value of `EventType`, unless another version of the program wrote it.
    run_id: the Dagster run, which is the correlation id; empty outside of any, as is `mode`.
    environment: BASIS_ENVIRONMENT of the process. fields: details, JSON values.
    """

    at: datetime
    seq: int
    pid: int
    type: str
    category: str
    level: str
    component: str
    run_id: str
    mode: str
    environment: str
    fields: Mapping[str, Any]
