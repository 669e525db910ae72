"""Failures of health: each is a machine or a platform gone wrong."""

import resource
from datetime import UTC, datetime
from pathlib import Path

from basis_pipeline.config.health import Room
from basis_pipeline.operations.health.check import Node, check_health, propagate
from basis_pipeline.operations.health.model import (
    Heartbeat,
    InstanceMetrics,
    Trigger,
    require_healthy,
)
from basis_pipeline.operations.health.probes import daemon, disk, memory, sensors, settings
from basis_pipeline.settings import load_settings

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
        return disk(load_settings(results_dir=place), LITTLE).code
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def silent_daemon(_: Path) -> None:
    """A daemon last heard of an hour ago."""
    beat = Heartbeat("SCHEDULER", NOON.replace(hour=11))
    daemon(InstanceMetrics(heartbeats=[beat], triggers=WAITING), 120.0)


def open_secret(place: Path) -> str:
    """An environment file with a secret that every user can read."""
    file = place / "secret.env"
    file.touch(mode=0o644)
    return settings([file]).code


def vanished_file(place: Path) -> str:
    """An environment file that is gone by the time it is looked at."""
    found = propagate({"settings": Node(lambda: settings([place / "gone.env"]))})
    return found["settings"][0].code


PROVOCATIONS = {
    "HEALTH-001": without_settings,
    "HEALTH-002": full_disk,
    "HEALTH-003": lambda _: memory(MUCH).code,
    "HEALTH-004": silent_daemon,
    "HEALTH-005": lambda _: sensors(InstanceMetrics(triggers=[Trigger("new_files", "failed")])),
    "HEALTH-006": open_secret,
    "HEALTH-007": vanished_file,
}
