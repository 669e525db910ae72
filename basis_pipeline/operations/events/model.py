"""What an event is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

DIRECTORY = "events"  # of the log, below the results directory


class Category(StrEnum):
    """Whose business an event is."""

    DATA = "data"
    RISK = "risk"
    BUSINESS = "business"
    AUDIT = "audit"
    PERFORMANCE = "performance"


class Level(StrEnum):
    """How loud an event is."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class EventType(StrEnum):
    """Every type of event there is; the audit trail comes first."""

    CONFIGURATION_USED = "configuration_used"  # config_hash, overrides, configuration
    DATA_READ = "data_read"  # dataset, sha256
    GATE_VERDICT = "gate_verdict"  # gate, verdict, evidence, figures
    RUN_REQUESTED = "run_requested"  # asked, assets, tags
    RUN_STARTED = "run_started"
    RUN_FINISHED = "run_finished"  # outcome
    RUN_REFUSED = "run_refused"  # code, reason
    ALERTED = "alerted"  # version, state, previous, by, reason; as the next three
    HALTED = "halted"
    SHUT_DOWN = "shut_down"
    RESUMED = "resumed"
    ALERT = "alert"  # kind, told, reasons: what a person should look at
    ALERT_DELIVERY = "alert_delivery"  # alerts, delivered, attempts, reason
    REQUEST_ACCEPTED = "request_accepted"  # request_id, sequence
    REQUEST_REJECTED = "request_rejected"  # file, code, reason
    REQUEST_SERVED = "request_served"  # request_id, status, record or code
    ERROR = "error"  # as `error_event` lays it out
    EVENTS_DROPPED = "events_dropped"  # count, total
    LOG_FILES_REMOVED = "log_files_removed"  # files
    RUNS_PRUNED = "runs_pruned"  # runs
    RESULTS_BACKED_UP = "results_backed_up"  # backup
    RESULTS_RESTORED = "results_restored"  # backup, runs
    DATA_LANDED = "data_landed"  # dataset, rows, span, files
    DATA_REFUSED = "data_refused"  # dataset, code, reason
    DATA_REPAIRED = "data_repaired"  # dataset, repaired
    LIMIT_BREACHED = "limit_breached"  # limit, figures
    LIQUIDATION = "liquidation"  # count
    RUN_RESULT = "run_result"  # record, headline figures
    LEDGER_ENTRY = "ledger_entry"  # one row of a backtest's ledger
    MESSAGE = "message"  # text: a logger's line that is of no other type
    TIMING = "timing"  # operation, seconds


CATEGORIES: dict[EventType, Category] = {
    EventType.CONFIGURATION_USED: Category.AUDIT,
    EventType.DATA_READ: Category.AUDIT,
    EventType.GATE_VERDICT: Category.AUDIT,
    EventType.RUN_REQUESTED: Category.AUDIT,
    EventType.RUN_STARTED: Category.AUDIT,
    EventType.RUN_FINISHED: Category.AUDIT,
    EventType.RUN_REFUSED: Category.AUDIT,
    EventType.ALERTED: Category.AUDIT,
    EventType.HALTED: Category.AUDIT,
    EventType.SHUT_DOWN: Category.AUDIT,
    EventType.RESUMED: Category.AUDIT,
    EventType.ALERT: Category.AUDIT,
    EventType.ALERT_DELIVERY: Category.AUDIT,
    EventType.REQUEST_ACCEPTED: Category.AUDIT,
    EventType.REQUEST_REJECTED: Category.AUDIT,
    EventType.REQUEST_SERVED: Category.AUDIT,
    EventType.ERROR: Category.AUDIT,
    EventType.EVENTS_DROPPED: Category.AUDIT,
    EventType.LOG_FILES_REMOVED: Category.AUDIT,
    EventType.RUNS_PRUNED: Category.AUDIT,
    EventType.RESULTS_BACKED_UP: Category.AUDIT,
    EventType.RESULTS_RESTORED: Category.AUDIT,
    EventType.DATA_LANDED: Category.DATA,
    EventType.DATA_REFUSED: Category.DATA,
    EventType.DATA_REPAIRED: Category.DATA,
    EventType.LIMIT_BREACHED: Category.RISK,
    EventType.LIQUIDATION: Category.RISK,
    EventType.RUN_RESULT: Category.BUSINESS,
    EventType.LEDGER_ENTRY: Category.BUSINESS,
    EventType.MESSAGE: Category.BUSINESS,
    EventType.TIMING: Category.PERFORMANCE,
}

LEVELS: dict[EventType, Level] = {
    EventType.RUN_REFUSED: Level.ERROR,
    EventType.ALERTED: Level.WARNING,
    EventType.HALTED: Level.ERROR,
    EventType.SHUT_DOWN: Level.ERROR,
    EventType.ALERT: Level.ERROR,
    EventType.REQUEST_REJECTED: Level.WARNING,
    EventType.ERROR: Level.ERROR,
    EventType.EVENTS_DROPPED: Level.WARNING,
    EventType.DATA_REFUSED: Level.ERROR,
    EventType.LIMIT_BREACHED: Level.WARNING,
    EventType.LIQUIDATION: Level.WARNING,
}  # the others are INFO


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it stands in the log.

    at: UTC, microseconds; never runs backwards within a process · pid, seq: the process, and the
    event's number in it, from 1 without holes · type: of `EventType`, unless another version wrote
    it · run_id, mode: empty when it belongs to none · fields: what the event says, JSON values.
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
    fields: Mapping[str, Any]
