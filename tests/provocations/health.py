"""Failures of health: each is a machine or a platform gone wrong."""

import resource
from datetime import UTC, datetime
from pathlib import Path

from basis_pipeline.config.health import Room
from basis_pipeline.operations.health.check import check_health
from basis_pipeline.operations.health.machine import disk, memory
from basis_pipeline.operations.health.memory import FILE, Memory, recall, remember
from basis_pipeline.operations.health.model import require_healthy
from basis_pipeline.operations.health.platform import Facts, Heartbeat, Trigger, daemon, sensors

LITTLE = Room(degraded_below_mb=2.0, unhealthy_below_mb=1.0)
MUCH = Room(degraded_below_mb=1e9, unhealthy_below_mb=1e9)
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
WAITING = (Trigger("hourly_health"),)


def without_settings(place: Path) -> None:
    """An environment file that gives nothing."""
    (place / "empty.env").write_text("# nothing\n")
    require_healthy(check_health(environ={"BASIS_ENV_FILE": str(place / "empty.env")}))


def full_disk(place: Path) -> str:
    """No write goes through."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        return disk([place], LITTLE).code
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def silent_daemon(_: Path) -> str:
    """A daemon last heard of an hour ago."""
    beat = Heartbeat("SCHEDULER", NOON.replace(hour=11))
    return daemon(Facts(heartbeats=[beat], triggers=WAITING), NOON, 120.0).code


def damaged_memory(place: Path) -> None:
    """A report's memory that was cut short."""
    (place / FILE).write_text('{"since": ')
    recall(place)


def memory_in_the_way(place: Path) -> None:
    """A directory where a report's memory should be."""
    (place / FILE / "deep").mkdir(parents=True)
    remember(place, Memory())


PROVOCATIONS = {
    "HEALTH-001": without_settings,
    "HEALTH-002": full_disk,
    "HEALTH-003": lambda _: memory(MUCH).code,
    "HEALTH-004": silent_daemon,
    "HEALTH-005": lambda _: sensors(Facts(triggers=[Trigger("new_files", "failed")])).code,
    "HEALTH-006": damaged_memory,
    "HEALTH-007": memory_in_the_way,
}
