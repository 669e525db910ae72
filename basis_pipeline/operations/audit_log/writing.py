"""Writing events: one line each, appended by one system call before `emit` returns.

A run records about 150 events, too few for a queue and a thread to save time. Without them a killed
process has written every event it recorded, and a forked one needs no special care.
"""

import itertools
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import structlog

from basis_pipeline.errors import EventError, correlation
from basis_pipeline.masking import masked
from basis_pipeline.operations.audit_log.files import log_directory, log_path
from basis_pipeline.operations.audit_log.model import Category, EventType, Level
from basis_pipeline.settings import Settings

_sequence = itertools.count(1)
_reported: set[Path] = set()


def emit(settings: Settings, kind: EventType, component: str, /, **fields: Any) -> None:
    """Record an event in the log of `settings`; never raises.

    A log that cannot be written stops no work; it is reported on stderr once per process. Events of
    the category audit are always written, others from `settings.log_level` on.

    Parameters
    ----------
    component: the source of the event: an asset, a job or a part of the platform.
    fields: details, JSON values; secrets are masked. `level`, `run_id` and `mode` among them
        replace those of the type and of the context.
    """
    level = Level(fields.pop("level", kind.level))
    if kind.category is not Category.AUDIT and level.rank < Level(settings.log_level).rank:
        return
    directory = log_directory(settings)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _logger(directory).info(
            kind.value,
            component=component,
            category=kind.category.value,
            level=level.value,
            environment=settings.environment,
            fields=fields,
        )
    except OSError as error:
        _report(directory, error)


@contextmanager
def correlated(run_id: str, mode: str = "") -> Iterator[None]:
    """Let events and errors inside carry a run, and a mode, as their correlation id.

    A thread started inside needs a copy of the context.
    """
    context = {"run_id": run_id, "mode": mode} if mode else {"run_id": run_id}
    with structlog.contextvars.bound_contextvars(**context), correlation(run_id):
        yield


class _DailyFile:
    """Writes each line to the file of its day and of this process.

    The file is opened for each line, so that a new day, a fork or a removed directory needs no
    special care.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def info(self, line: bytes) -> None:
        """Append a line, which begins with its time, in one system call."""
        day = line[len(b'{"at":"') :][:10].decode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(log_path(self._directory, day, os.getpid()), flags, 0o644)
        try:
            os.write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)


def _lay_out(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Order the parts of an event as in `Event`: the time first, the masked fields last."""
    fields = event["fields"]
    own = {name: fields.pop(name, event.get(name, "")) for name in ("run_id", "mode")}
    return {
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seq": next(_sequence),
        "pid": os.getpid(),
        "type": event["event"],
        **{name: event[name] for name in ("category", "level", "component")},
        **own,
        "environment": event["environment"],
        "fields": masked(fields),
    }


@lru_cache(maxsize=16)
def _logger(directory: Path) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _DailyFile(directory),
        processors=[
            structlog.contextvars.merge_contextvars,
            _lay_out,
            structlog.processors.JSONRenderer(orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
    )
    return logger


def _report(directory: Path, error: OSError) -> None:
    if directory in _reported:
        return
    _reported.add(directory)
    what = f"events cannot be written: {error.strerror}"
    problem = EventError("EVENT-001", what, where=str(directory))
    print(f"warning: the audit log is incomplete\n{problem.block()}", file=sys.stderr)
