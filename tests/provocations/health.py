"""Failures of health: each is a machine or a platform gone wrong."""

import resource
from datetime import UTC, datetime
from pathlib import Path

from basis_pipeline.config.health import Room
from basis_pipeline.operations.health.check import check_health, look_at
from basis_pipeline.operations.health.graph import SETTINGS, Node
from basis_pipeline.operations.health.history import FILE, load_since, store_since
from basis_pipeline.operations.health.instance import Heartbeat, InstanceMetrics, Trigger
from basis_pipeline.operations.health.model import require_healthy
from basis_pipeline.operations.health.probes import daemon, disk, memory, sensors, settings

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
    return daemon(InstanceMetrics(heartbeats=[beat], triggers=WAITING), NOON, 120.0).code


def damaged_history(place: Path) -> None:
    """A history that was cut short."""
    (place / FILE).write_text('{"since": ')
    load_since(place)


def history_in_the_way(place: Path) -> None:
    """A directory where the history should be."""
    (place / FILE / "deep").mkdir(parents=True)
    store_since(place, {})


def open_secret(place: Path) -> str:
    """An environment file with a secret that every user can read."""
    file = place / "secret.env"
    file.touch(mode=0o644)
    return settings([file]).code


def vanished_file(place: Path) -> str:
    """An environment file that is gone by the time it is looked at."""
    found = look_at({SETTINGS: Node()}, {SETTINGS: lambda: settings([place / "gone.env"])})
    return found[SETTINGS].code


PROVOCATIONS = {
    "HEALTH-001": without_settings,
    "HEALTH-002": full_disk,
    "HEALTH-003": lambda _: memory(MUCH).code,
    "HEALTH-004": silent_daemon,
    "HEALTH-005": lambda _: (
        sensors(InstanceMetrics(triggers=[Trigger("new_files", "failed")])).code
    ),
    "HEALTH-006": damaged_history,
    "HEALTH-007": history_in_the_way,
    "HEALTH-008": open_secret,
    "HEALTH-009": vanished_file,
}
