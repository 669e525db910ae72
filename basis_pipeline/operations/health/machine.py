"""The machine: room on disk, room in memory."""

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from basis_pipeline.config.health import Room
from basis_pipeline.errors import HealthError
from basis_pipeline.operations.health.model import Found, Status, faulty

MIB = 2**20
PROBE = bytes(64 * 1024)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def write_probe(directory: Path) -> None:
    """Write some blocks into a directory and remove them again. Raises OSError."""
    probe = directory / f".health-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):
            probe.unlink()


def disk(places: Iterable[Path], room: Room) -> Found:
    """Room where results are written: what the file system says, and what it does."""
    found = []
    for place in dict.fromkeys(map(nearest, places)):
        free = shutil.disk_usage(place).free / MIB
        if place.is_dir() and _is_full(place):
            free = 0.0
        found.append((free, place))
    free, place = min(found)
    return _judged(free, room, "HEALTH-002", f"{free:,.0f} MiB free on disk", str(place))


def _is_full(directory: Path) -> bool:
    """Whether a write fails for want of room; what else may stop it is others' business."""
    try:
        write_probe(directory)
    except OSError as error:
        return error.errno in FULL
    return False


def memory(room: Room) -> Found:
    """Memory that can still be had, of the machine and of the group of processes."""
    if (free := available_memory()) is None:
        return Found(Status.UNKNOWN, "this system does not say how much memory is available")
    return _judged(free / MIB, room, "HEALTH-003", f"{free / MIB:,.0f} MiB of memory available", "")


def available_memory() -> float | None:
    """Bytes; None where the system does not say."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        found.append(float(lines["MemAvailable"].split()[0]) * 1024)
        limit = (CGROUP / "memory.max").read_text().strip()
        if limit != "max":
            found.append(float(limit) - float((CGROUP / "memory.current").read_text()))
    except (OSError, KeyError, ValueError):
        pass  # another system, or no limit for the group
    return min(found, default=None)


def _judged(free: float, room: Room, code: str, told: str, where: str) -> Found:
    if free >= room.degraded_below_mb:
        return Found(Status.HEALTHY, told, where=where)
    is_short = free < room.unhealthy_below_mb
    limit = room.unhealthy_below_mb if is_short else room.degraded_below_mb
    error = HealthError(code, f"{told}, less than {limit:g}", where=where)
    return faulty(error, Status.UNHEALTHY if is_short else Status.DEGRADED)
