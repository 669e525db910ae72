"""The input of every component is killed for real: it alone is at fault, its dependants suffer."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from basis_pipeline.config.health import Room
from basis_pipeline.errors import HealthError
from basis_pipeline.operations import control as emergency
from basis_pipeline.operations.health.check import check_health
from basis_pipeline.operations.health.model import (
    FeedVerdict,
    Health,
    Heartbeat,
    InstanceMetrics,
    Status,
    Trigger,
    require_healthy,
)
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.settings import load_settings, project_root
from tests import postgres
from tests.operations.health.conftest import Place

Kill = Callable[[Place], AbstractContextManager[None]]
PERP = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h_*.csv"


def moved(find: Callable[[Place], Path]) -> Kill:
    """A file or directory is moved away; moving it back fixes it."""

    @contextmanager
    def killed(place: Place) -> Iterator[None]:
        path = find(place)
        aside = place.root / "aside"
        path.rename(aside)
        yield
        aside.rename(path)

    return killed


def replaced(find: Callable[[Place], Path], content: bytes) -> Kill:
    """A file, or a file where a directory was, with other content."""

    @contextmanager
    def killed(place: Place) -> Iterator[None]:
        path = find(place)
        aside = place.root / "aside"
        path.rename(aside)
        path.write_bytes(content)
        yield
        path.unlink()
        aside.rename(path)

    return killed


@contextmanager
def without_room(place: Place) -> Iterator[None]:
    """Every write fails, as on a full disk, though the file system reports free space."""
    assert place.results.is_dir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_variable(place: Place) -> Iterator[None]:
    """An environment file that gives nothing."""
    (place.root / "empty.env").write_text("# nothing\n")
    place.environ["BASIS_ENV_FILE"] = str(place.root / "empty.env")
    yield
    del place.environ["BASIS_ENV_FILE"]


@contextmanager
def short_of_memory(place: Place) -> Iterator[None]:
    """Less memory than a limit asks for."""
    usual = place.limits
    much = Room(degraded_below_mb=1e9, unhealthy_below_mb=1e9)
    place.limits = usual.model_copy(update={"memory": much})
    yield
    place.limits = usual


@contextmanager
def failing_sensor(place: Place) -> Iterator[None]:
    """A sensor whose last tick failed."""
    usual = place.triggers
    place.triggers = (*usual, Trigger("new_files", "no such directory"))
    yield
    place.triggers = usual


OF_BYBIT = {
    "feed/binance_ethusdt_perp",
    "feed/okx_ethusdt_perp",
    "mode/eth_basis",
    "mode/usdt_market_neutral",
    "mode/usdt_market_neutral_no_leverage",
}


def database(place: Place) -> Path:
    """The results database."""
    return place.results / "runs.sqlite"


def runs(place: Place) -> Path:
    """The recorded runs."""
    return place.results / "runs"


def logs(place: Place) -> Path:
    """The log directory."""
    return place.results / "events"


def perp(place: Place) -> Path:
    """A family's only file."""
    (path,) = place.data.glob(PERP)
    return path


def mode_file(place: Place) -> Path:
    """A mode's configuration."""
    return place.configs / "modes" / "eth_basis.yaml"


def limits_file(place: Place) -> Path:
    """The limits of emergency control."""
    return place.configs / "control" / "limits.yaml"


def summary(place: Place) -> Path:
    """A file of the recorded run."""
    (path,) = place.results.glob("runs/*/summary.json")
    return path


@contextmanager
def halted(place: Place) -> Iterator[None]:
    """A person halted work; resuming fixes it."""
    settings = load_settings(place.environ)
    emergency.halt(settings, reason="odd fills", by="ann")
    yield
    emergency.resume(settings, reason="confirmed", by="ann")


@contextmanager
def tampered(place: Place) -> Iterator[None]:
    """The state of emergency control is gone from the database."""
    engine = connect(f"sqlite:///{database(place)}")
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE control_transitions RENAME TO elsewhere"))
    yield
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO control_transitions"))


KILLED = {
    "no file of a family": (moved(perp), "feed/bybit_ethusdt_perp", "DATA-001"),
    "a file is the database": (replaced(database, b"garbage" * 999), "results_store", "RS-005"),
    "no database": (moved(database), "results_store", "RS-005"),
    "a file for the runs": (replaced(runs, b""), "results_store", "RS-001"),
    "a run was edited": (replaced(summary, b"{}"), "results_store", "RS-003"),
    "a file for the log": (replaced(logs, b""), "event_log", "EVENT-001"),
    "work is halted": (halted, "control", "BT-005"),
    "the state was tampered with": (tampered, "control", "RS-005"),
    "no YAML in the limits": (replaced(limits_file, b"name: ["), "configuration", "CONFIG-004"),
    "no variable": (without_variable, "settings", "CONFIG-001"),
    "no room": (without_room, "disk", "HEALTH-002"),
    "no memory": (short_of_memory, "memory", "HEALTH-003"),
    "a tick failed": (failing_sensor, "sensors", "HEALTH-005"),
}


def affected(health: Health) -> set[str]:
    """Components that suffer from others."""
    return {component.name for component in health.components if component.affected_by}


@pytest.mark.parametrize("how", KILLED)
def test_what_is_killed_is_at_fault_and_its_dependants_suffer_until_it_is_fixed(
    how: str, place: Place
) -> None:
    """One component is unhealthy and only its dependants are affected, until it is fixed."""
    killed, name, code = KILLED[how]
    with killed(place):
        health = place.look()
    assert [c.name for c in health.unhealthy] == [name]
    fault = health.by_name[name]
    assert fault.code == code
    assert fault.action
    assert affected(health) == set(fault.dependants)
    assert {cause for c in health.components for cause in c.affected_by} <= {name}
    assert health.status is Status.UNHEALTHY
    for component in health.components:
        if component.name not in {name, *fault.dependants}:
            assert component.status is Status.HEALTHY
    with pytest.raises(HealthError, match="HEALTH-001") as raised:
        require_healthy(health)
    assert raised.value.context["affected"] == sorted(fault.dependants)
    assert place.look().status is Status.HEALTHY


def test_dependants_of_a_feed_are_repairs_panels_and_modes(place: Place) -> None:
    """Feeds repaired from it are degraded, modes that read it wait, and no other is affected."""
    perp(place).unlink()
    found = place.look().by_name
    assert set(found["feed/bybit_ethusdt_perp"].dependants) == OF_BYBIT
    assert found["feed/okx_ethusdt_perp"].status is Status.DEGRADED
    assert found["mode/eth_basis"].status is Status.NOT_READY
    assert found["mode/btc_basis"].status is Status.HEALTHY


def test_a_feed_that_was_never_delivered_is_no_fault(place: Place) -> None:
    """Where only some modes have their files, the others are not ready; nothing is broken."""
    perp(place).unlink()
    metrics = place.metrics()
    feeds = {name: v for name, v in metrics.feeds.items() if name != "bybit_ethusdt_perp"}
    health = place.look(replace(metrics, feeds=feeds))
    assert health.unhealthy == ()
    assert health.by_name["feed/bybit_ethusdt_perp"].status is Status.NOT_READY
    assert health.by_name["mode/eth_basis"].status is Status.NOT_READY
    assert health.by_name["mode/pure_lending"].status is Status.HEALTHY
    require_healthy(health)


def test_a_feed_that_no_mode_reads_may_be_absent(place: Place) -> None:
    """Its checks were evaluated, and found no file."""
    modes = [place.configs / f"modes/{mode}.yaml" for mode in ("sol_basis", "funding_arbitrage")]
    absent = {path.stem for path in place.configs.glob("datasets/*_sol*.yaml")}
    for path in (*modes, *place.data.rglob("*SOL*")):
        path.unlink()
    health = place.look()
    assert {health.by_name[f"feed/{name}"].status for name in absent} == {Status.NOT_READY}
    require_healthy(health)


def test_a_full_file_system_is_the_disks_fault(place: Place) -> None:
    """A small file system without free space, where this process may mount one."""
    shutil.rmtree(place.results / "events")
    kept = place.root / "kept"
    place.results.rename(kept)
    place.results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place.results)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        shutil.copytree(kept, place.results, dirs_exist_ok=True)
        (place.results / "events").mkdir()
        assert place.look().status is Status.HEALTHY
        with pytest.raises(OSError, match="No space"), (place.results / "f").open("wb") as file:
            file.write(bytes(9 * 2**20))
        health = place.look()
        assert [c.name for c in health.unhealthy] == ["disk"]
        assert affected(health) == set(health.by_name["disk"].dependants)
        assert {"results_store", "event_log", "mode/eth_basis"} <= affected(health)
        (place.results / "f").unlink()
        assert place.look().status is Status.HEALTHY
        remount = ["mount", "-o", "remount,ro", str(place.results)]
        subprocess.run(remount, check=True)
        health = place.look()
        assert [c.name for c in health.unhealthy] == ["disk"]
    finally:
        subprocess.run(["umount", str(place.results)], check=True)


def test_a_silent_daemon_is_a_fault_once_something_waits_for_it(place: Place) -> None:
    """Never started where nothing is switched on is not ready; silent at work is a fault."""
    old = Heartbeat("SCHEDULER", datetime.now(UTC) - timedelta(minutes=10))
    waiting = place.look(replace(place.metrics(), heartbeats=[old]))
    assert [(c.name, c.code) for c in waiting.unhealthy] == [("daemon", "HEALTH-004")]
    assert affected(waiting) == {"sensors"}
    empty = InstanceMetrics(heartbeats=[old]), InstanceMetrics()
    for metrics in empty:
        found = place.look(metrics).by_name
        assert found["daemon"].status is found["sensors"].status is Status.NOT_READY
    troubled = replace(old, at=datetime.now(UTC), error="code location is gone")
    found = place.look(replace(place.metrics(), heartbeats=[troubled])).by_name
    assert (found["daemon"].status, found["daemon"].code) == (Status.DEGRADED, "HEALTH-005")
    places = {"environ": place.environ, "config_dir": place.configs, "limits": place.limits}
    found = check_health(None, **places).by_name
    assert found["daemon"].status is found["sensors"].status is Status.UNKNOWN


def test_the_checks_of_a_feed_hold_until_its_files_change(place: Place) -> None:
    """A dataset that fails its policy is a fault; files that changed since are not judged yet."""
    name, later = "bybit_ethusdt_perp", datetime.now(UTC) + timedelta(seconds=1)
    failed = FeedVerdict(later, "DATA-013", "a gap of 9 hours", "bybit")
    found = place.look(place.metrics(**{name: failed})).by_name[f"feed/{name}"]
    assert (found.status, found.code) == (Status.UNHEALTHY, "DATA-013")
    other_window = replace(failed, code="DATA-012")
    assert place.look(place.metrics(**{name: other_window})).status is Status.HEALTHY
    outdated = replace(failed, at=datetime(2024, 1, 1, tzinfo=UTC))
    health = place.look(place.metrics(**{name: outdated}))
    assert health.by_name[f"feed/{name}"].status is Status.NOT_READY
    assert health.by_name["mode/eth_basis"].status is Status.HEALTHY


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace("{venue: bybit}", "{venue: kraken}", 1), "CONFIG-008"),
        (lambda _: "mode: [", "CONFIG-004"),
    ],
)
def test_a_broken_mode_file_stops_its_mode_alone(
    place: Place, change: Callable[[str], str], code: str
) -> None:
    """The other modes are not affected."""
    mode_file(place).write_text(change(mode_file(place).read_text()))
    health = place.look()
    assert [(c.name, c.code) for c in health.unhealthy] == [("mode/eth_basis", code)]
    assert affected(health) == set()


def test_limits_of_a_mode_that_is_gone_are_reported_and_stop_nothing(place: Place) -> None:
    """A mode that is removed, and that the limits of control still name."""
    (place.configs / "modes" / "pure_lending.yaml").unlink()
    health = place.look()
    configuration = health.by_name["configuration"]
    assert (configuration.status, configuration.code) == (Status.DEGRADED, "CONFIG-007")
    assert "pure_lending" in configuration.message
    assert (health.unhealthy, affected(health)) == ((), set())


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o600])
def test_a_file_with_a_secret_that_every_user_can_read_is_reported(place: Place, mode: int) -> None:
    """A webhook is a secret, and so is the password of a database; others need not hide."""
    file = place.root / "secret.env"
    file.write_text("BASIS_ALERT_WEBHOOK_URL=http://127.0.0.1:9/hooks/secret-path\n")
    file.chmod(mode)
    place.environ["BASIS_ENV_FILE"] = str(file)
    shipped = (project_root() / "configs" / "env" / "local.env").read_text().splitlines()
    place.environ = {**dict(line.split("=", 1) for line in shipped if "=" in line), **place.environ}
    place.environ["BASIS_RESULTS_DB_URL"] = f"sqlite:///{place.results}/runs.sqlite"
    found = place.look().by_name["settings"]
    assert (found.code == "HEALTH-006") == (mode != 0o600)
    assert (found.where == str(file)) == (mode != 0o600)
    file.write_text("# nothing secret\n")
    assert place.look().by_name["settings"].status is Status.HEALTHY


def test_a_server_that_is_down_is_a_fault_that_stops_no_mode(
    place: Place, postgres_url: str
) -> None:
    """The last known state lets modes run, results wait; a halt that was known still holds."""
    with postgres.database(postgres_url) as url:
        place.environ["BASIS_RESULTS_DB_URL"] = url.replace("+psycopg2", "")
        settings = load_settings(place.environ)
        emergency.halt(settings, reason="odd fills", by="ann")
        emergency.resume(settings, reason="confirmed", by="ann")
    place.environ["BASIS_RESULTS_DB_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    health = place.look()
    assert [(c.name, c.code) for c in health.unhealthy] == [("results_store", "RS-008")]
    assert "last known state" in health.by_name["control"].message
    assert health.by_name["mode/pure_lending"].status is Status.DEGRADED
    emergency.halt(load_settings(place.environ), reason="odd fills", by="ann")
    assert "control" in {c.name for c in place.look().unhealthy}


def test_a_url_that_cannot_be_read_is_unhealthy_with_its_code(place: Place) -> None:
    """Unhealthy, not unknown: no work is possible."""
    place.environ["BASIS_RESULTS_DB_URL"] = "postgresql://user:secret@127.0.0.1:port/basis"
    health = place.look()
    assert [(c.name, c.code) for c in health.unhealthy] == [("settings", "CONFIG-002")]
    assert "secret" not in health.json()


def test_a_fresh_place_is_not_ready_and_stays_untouched(place: Place) -> None:
    """A report creates no directories."""
    shutil.rmtree(place.results)
    health = place.look()
    assert health.status is Status.NOT_READY
    assert health.by_name["results_store"].status is Status.NOT_READY
    assert health.by_name["mode/pure_lending"].status is Status.HEALTHY
    assert not place.results.exists()


def test_an_alert_degrades_control_and_stops_nothing(place: Place) -> None:
    """Every mode can still be run."""
    failed = emergency.Measurement(emergency.Limit.FAILED_GATES, 1.0, "", "raw/okx readable")
    emergency.enforce_limits(load_settings(place.environ), [failed])
    health = place.look()
    assert (health.status, health.unhealthy) == (Status.DEGRADED, ())
    assert "raw/okx readable is 1, the limit is 1" in health.by_name["control"].message
    assert affected(health) == set()
