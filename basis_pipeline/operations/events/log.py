"""The log of this process, for everybody who has something to say.

`open_log` once at the start of a command or a worker; `emit` and the component loggers then write
to it from anywhere. Before it is opened they say nothing: the research path needs no log.
"""

import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from basis_pipeline.errors import BasisError, correlation
from basis_pipeline.masking import masked
from basis_pipeline.operations.events.files import Limits
from basis_pipeline.operations.events.model import Category, EventType, Level
from basis_pipeline.operations.events.writer import CONTEXT, EventLog, Status

_lock = threading.Lock()
_log: EventLog | None = None


def open_log(directory: Path, *, limits: Limits | None = None) -> EventLog:
    """Open the log of this process, or return it when it is open on that directory already.

    Raises
    ------
    EventError: EVENT-001 when the directory cannot be written.
    """
    global _log  # noqa: PLW0603 - a process has one log, as it has one standard output
    with _lock:
        if _log and _log.directory == directory.resolve():
            return _log
        opened = EventLog(directory, limits=limits)
        if _log:
            _log.close()
        _log = opened
        return opened


def close_log() -> Status | None:
    """Write what was offered and close the log; None when there is none. Not needed at exit."""
    global _log
    with _lock:
        closed, _log = _log, None
    return closed.close() if closed else None


def emit(kind: EventType, component: str, /, **fields: Any) -> None:
    """Offer an event to the log of this process; never waits, never raises.

    `category, level, run_id, mode` among the fields describe the event and win over the context.
    """
    if _log:
        _log.emit(kind, component, **fields)


def emit_table(kind: EventType, component: str, /, columns: Mapping[str, Sequence[Any]]) -> None:
    """Offer an event for each row of the columns; see `EventLog.emit_table`."""
    if _log:
        _log.emit_table(kind, component, columns=columns)


@contextmanager
def correlated(run_id: str, mode: str = "") -> Iterator[None]:
    """Everything offered inside carries this run, and mode, as its correlation id.

    Bound to the context variables of the thread or task, to structlog's own and to errors. A
    thread started inside sees it only when it is run in a copy of the context.
    """
    context = {"run_id": run_id, "mode": mode} if mode else {"run_id": run_id}
    token = CONTEXT.set({**CONTEXT.get(), **context})
    try:
        with structlog.contextvars.bound_contextvars(**context), correlation(run_id):
            yield
    finally:
        CONTEXT.reset(token)


class _Sink:
    """Where structlog's lines end: the log of this process."""

    def put(self, level: str, event: EventDict) -> None:
        if not _log:
            return
        said, component, category = (event.pop(key) for key in ("event", "component", "category"))
        event["level"] = level.upper()
        if said in _TYPES:
            _log.emit(EventType(said), component, **event)
        else:
            _log.emit(EventType.MESSAGE, component, text=said, category=category, **event)

    debug = info = warning = error = critical = put


_TYPES = frozenset(EventType)


def _with_level(_: Any, level: str, event: EventDict) -> tuple[tuple[str, EventDict], EventDict]:
    return (level, event), {}


def get_logger(
    component: str, category: Category = Category.BUSINESS, level: Level = Level.INFO
) -> FilteringBoundLogger:
    """The structlog logger of a component.

    `log.info(EventType.RUN_STARTED, mode=…)` is an event of that type; any other text is a message.
    Lines below `level` cost nothing. `log.exception(…)` adds the stack trace.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Sink(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _with_level,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        component=component,
        category=category,
    )
    return logger


def error_event(error: BasisError, component: str = "", /, **context: Any) -> dict[str, Any]:
    """Log an error and return it as JSON values, secrets masked.

    Keys: code, severity, component, what, where, available, action, context, timestamp (UTC),
    run_id (the correlation id), mode, and trace: the stack it was raised in, with its causes.
    """
    bound = CONTEXT.get()
    laid_out = {
        "code": error.code,
        "severity": str(error.severity),
        "component": component,
        "what": error.what,
        "where": error.where,
        "available": error.available,
        "action": error.action,
        "context": context,
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
        "run_id": context.pop("run_id", bound.get("run_id", "")),
        "mode": context.pop("mode", bound.get("mode", "")),
        "trace": "".join(traceback.format_exception(error)),
    }
    emit(EventType.ERROR, component, level=str(error.severity), **laid_out)
    return dict(masked(laid_out))
