"""The check of each component. A probe creates nothing where nothing has run yet."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from basis_pipeline.config import DatasetConfig
from basis_pipeline.config.health import Room
from basis_pipeline.errors import (
    BacktestError,
    DataError,
    EventError,
    HealthError,
    ResultsError,
    error_from_code,
)
from basis_pipeline.market.raw import expected_at
from basis_pipeline.operations.audit_log import log_directory
from basis_pipeline.operations.control import State, read_state
from basis_pipeline.operations.control.state import UNREACHABLE
from basis_pipeline.operations.health.model import (
    FeedVerdict,
    Finding,
    InstanceMetrics,
    Status,
    faulty,
)
from basis_pipeline.results.database.archive import RUNS_DIRECTORY
from basis_pipeline.results.database.connection import place as place_of
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import runs, verify
from basis_pipeline.settings import Settings

MIB = 2**20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OUTSIDE_WINDOW = "DATA-012"  # a fault of the window, not of the data
CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = Finding(Status.UNKNOWN, "nothing is known about the Dagster instance")


def settings(secret_files: Iterable[Path]) -> Finding:
    """Check that no environment file with a secret can be read or changed by every user."""
    by_others = stat.S_IROTH | stat.S_IWOTH
    if exposed := [file for file in secret_files if file.stat().st_mode & by_others]:
        files = ", ".join(map(str, exposed))
        what = "an environment file with a secret can be read or changed by every user"
        return faulty(HealthError("HEALTH-006", what, where=files), Status.DEGRADED)
    return Finding(Status.HEALTHY, "every variable is set and usable")


def memory(room: Room) -> Finding:
    """Check the memory available to the machine and to the container."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit = float((CGROUP / "memory.max").read_text())
        free = min(free, limit - float((CGROUP / "memory.current").read_text()))
    return _room_left(free / MIB, room, "HEALTH-003", "MiB of memory available", "")


def disk(settings: Settings, room: Room) -> Finding:
    """Check the free disk space for results, as reported and by a write."""
    database = sqlite_file(settings.results_db_url)
    rooms = []
    for place in (settings.results_dir, *([database.parent] if database else [])):
        directory = next(p for p in (place, *place.parents) if p.is_dir())
        try:
            with tempfile.TemporaryFile(dir=directory) as file:
                file.write(bytes(64 * 1024))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in FULL:
                what = f"results cannot be written: {error.strerror}"
                raise HealthError("HEALTH-002", what, where=str(directory)) from error
            rooms.append((0.0, directory))
        else:
            rooms.append((shutil.disk_usage(directory).free / MIB, directory))
    free, directory = min(rooms)
    return _room_left(free, room, "HEALTH-002", "MiB free on disk", str(directory))


def _room_left(free: float, room: Room, code: str, unit: str, where: str) -> Finding:
    message = f"{free:,.0f} {unit}"
    if free >= room.degraded_below_mb:
        return Finding(Status.HEALTHY, message, where=where)
    is_short = free < room.unhealthy_below_mb
    limit = room.unhealthy_below_mb if is_short else room.degraded_below_mb
    error = HealthError(code, f"{message}, the limit is {limit:g}", where=where)
    return faulty(error, Status.UNHEALTHY if is_short else Status.DEGRADED)


def _is_writable(directory: Path) -> bool:
    return directory.is_dir() and os.access(directory, os.W_OK)


def results_store(settings: Settings) -> Finding:
    """Check that the database answers and that the latest run of every mode is intact."""
    directories = settings.results_dir / RUNS_DIRECTORY
    file = sqlite_file(settings.results_db_url)
    for place in (settings.results_dir, directories, *([file.parent] if file else [])):
        if place.exists() and not _is_writable(place):
            what = "results cannot be stored: the directory cannot be written"
            raise ResultsError("RS-001", what, where=str(place))
    try:
        engine = existing(settings.results_db_url)
        if engine is None:
            if directories.is_dir() and any(directories.iterdir()):
                what = "the results database is missing, but there are runs"
                raise ResultsError("RS-005", what, where=str(file or ""))
            return Finding(Status.NOT_READY, "nothing is stored yet: the first run creates it")
        recorded = runs(engine)
        latest = {record.mode: record for record in recorded}
        for record in latest.values():
            verify(record)
    except ResultsError as error:
        # Results wait in their directories while the server cannot be reached.
        return faulty(error, stops=error.code != UNREACHABLE)
    message = f"{len(recorded)} runs; the latest of {len(latest)} modes verified"
    return Finding(Status.HEALTHY, message, where=place_of(engine))


def event_log(settings: Settings) -> Finding:
    """Check that the directory of the log can be written; the first run creates it."""
    directory = log_directory(settings)
    if not directory.exists():
        return Finding(Status.NOT_READY, "nothing is logged yet: the first run creates it")
    if not _is_writable(directory):
        what = "the event log is not a directory that can be written"
        raise EventError("EVENT-001", what, where=str(directory))
    return Finding(Status.HEALTHY, "can be written", where=str(directory))


def control(settings: Settings) -> Finding:
    """Check that work may continue: a halt or an unreadable state stops every mode."""
    state = read_state(settings)
    if state.stops_work:
        raise BacktestError("BT-005", state.description)
    is_alert = state.name is State.ALERT
    return Finding(Status.DEGRADED if is_alert else Status.HEALTHY, state.description)


def feed(
    data_dir: Path, config: DatasetConfig, verdict: FeedVerdict | None, *, is_needed: bool
) -> Finding:
    """Check that the files of a feed exist, and that their latest checks passed.

    A feed that was never read is not ready: its checks decide whether its data are sound. A feed
    that no mode reads may be missing.
    """
    files = [path for path in data_dir.glob(config.glob) if path.is_file()]
    if not files:
        is_missed = verdict is not None and is_needed
        what = f"{config.name}: no file" if is_missed else f"{config.name}: no file yet"
        error = DataError("DATA-001", what, where=expected_at(config, data_dir))
        return faulty(error, Status.UNHEALTHY if is_missed else Status.NOT_READY, stops=True)
    message = f"{len(files)} file{'s' if len(files) > 1 else ''}"
    if verdict is None:
        return Finding(Status.NOT_READY, f"{message}, not read yet: basis run")
    changed = max(max(s.st_mtime, s.st_ctime) for s in (path.stat() for path in files))
    if datetime.fromtimestamp(changed, UTC) > verdict.at:
        return Finding(Status.NOT_READY, f"{message}, changed since they were read: basis run")
    if verdict.code not in ("", OUTSIDE_WINDOW):
        found = faulty(error_from_code(verdict.code, verdict.message, where=verdict.where))
        return replace(found, cause=verdict.cause or found.cause)
    return Finding(Status.HEALTHY, f"{message}, every check passes")


def daemon(metrics: InstanceMetrics | None, silent_seconds: float) -> Finding:
    """Check Dagster's daemon, which is needed when a schedule or a sensor is switched on."""
    if metrics is None:
        return UNKNOWN
    if metrics.fault:
        raise metrics.fault
    since = datetime.now(UTC) - timedelta(seconds=silent_seconds)
    silent = [beat for beat in metrics.heartbeats if beat.at < since]
    if silent or not metrics.heartbeats:
        last = min((beat.at for beat in silent), default=None)
        message = f"last heartbeat {last:%Y-%m-%d %H:%M:%S} UTC" if last else "no heartbeat yet"
        if not metrics.triggers:
            return Finding(Status.NOT_READY, f"{message}; no schedule or sensor is switched on")
        waiting = ", ".join(trigger.name for trigger in metrics.triggers)
        raise HealthError("HEALTH-004", f"{message}; waiting for the daemon: {waiting}")
    if broken := [beat for beat in metrics.heartbeats if beat.error]:
        message = "; ".join(f"{beat.name}: {beat.error}" for beat in broken)
        error = HealthError("HEALTH-005", message, where="Dagster's daemon")
        return faulty(error, Status.DEGRADED)
    return Finding(Status.HEALTHY, f"{len(metrics.heartbeats)} threads with a recent heartbeat")


def sensors(metrics: InstanceMetrics | None) -> Finding:
    """Check that the last tick of every schedule and sensor that is switched on succeeded."""
    if metrics is None:
        return UNKNOWN
    if not metrics.triggers:
        return Finding(Status.NOT_READY, "no schedule or sensor is switched on")
    if failed := [trigger for trigger in metrics.triggers if trigger.error]:
        message = "; ".join(f"{trigger.name}: {trigger.error}" for trigger in failed)
        names = ", ".join(trigger.name for trigger in failed)
        raise HealthError("HEALTH-005", message, where=names)
    return Finding(Status.HEALTHY, ", ".join(trigger.name for trigger in metrics.triggers))
