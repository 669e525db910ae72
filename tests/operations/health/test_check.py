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
from basis_pipeline.operations.health.families import Ingested
from basis_pipeline.operations.health.model import Health, Status, require_healthy
from basis_pipeline.operations.health.platform import Facts, Heartbeat, Trigger
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.settings import load_settings
from tests.operations.health.conftest import Place

Kill = Callable[[Place], AbstractContextManager[None]]
PERP = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h_*.csv"


def moved(find: Callable[[Place], Path]) -> Kill:
    """Something is moved away; moving it back mends it."""

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
    """No write goes through, as on a full disk; the file system says there is room."""
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


MODES_ON_BYBIT = ("eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage")
OF_BYBIT = {
    "family/binance_ethusdt_perp",
    "family/okx_ethusdt_perp",
    *(f"{kind}/{mode}" for kind in ("panel", "mode") for mode in MODES_ON_BYBIT),
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


def summary(place: Place) -> Path:
    """A file of the recorded run."""
    (path,) = place.results.glob("runs/*/summary.json")
    return path


@contextmanager
def halted(place: Place) -> Iterator[None]:
    """A person halted work; resuming mends it."""
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
    "no file of a family": (moved(perp), "family/bybit_ethusdt_perp", "DATA-001"),
    "a family's file is empty": (replaced(perp, b""), "family/bybit_ethusdt_perp", "DATA-002"),
    "a file is the database": (replaced(database, b"garbage" * 999), "results_store", "RS-005"),
    "no database": (moved(database), "results_store", "RS-005"),
    "a file for the runs": (replaced(runs, b""), "results_store", "RS-001"),
    "a run was edited": (replaced(summary, b"{}"), "results_store", "RS-003"),
    "a file for the log": (replaced(logs, b""), "event_log", "EVENT-001"),
    "work is halted": (halted, "control", "BT-005"),
    "the state was tampered with": (tampered, "control", "RS-005"),
    "no YAML": (replaced(mode_file, b"mode: ["), "configuration", "CONFIG-004"),
    "no variable": (without_variable, "settings", "CONFIG-001"),
    "no room": (without_room, "disk", "HEALTH-002"),
    "no memory": (short_of_memory, "memory", "HEALTH-003"),
    "a tick failed": (failing_sensor, "sensors", "HEALTH-005"),
}


def affected(health: Health) -> set[str]:
    """Components that suffer from others."""
    return {component.name for component in health.components if component.affected_by}


def test_everything_is_healthy_where_nothing_is_wrong(place: Place) -> None:
    """The base of the tests below, and the green morning."""
    health = place.look()
    told = {c.name: c.told for c in health.components if c.status is not Status.HEALTHY}
    assert told == {}
    assert health.status is Status.HEALTHY
    assert health.notes == ()
    require_healthy(health)


@pytest.mark.parametrize("how", KILLED)
def test_what_is_killed_is_at_fault_its_dependants_suffer_and_mending_clears(
    how: str, place: Place
) -> None:
    """Exactly one component unhealthy, exactly its dependants affected, and all well again."""
    killed, name, code = KILLED[how]
    before = place.look().by_name
    with killed(place):
        health = place.look()
    assert [c.name for c in health.unhealthy] == [name]
    fault = health.by_name[name]
    assert fault.code == code
    assert fault.action
    assert affected(health) == set(fault.dependants) == set(before[name].dependants)
    assert {cause for c in health.components for cause in c.affected_by} <= {name}
    assert health.status is Status.UNHEALTHY
    for component in health.components:
        if component.name not in {name, *fault.dependants}:
            assert component.status is Status.HEALTHY
            # Without settings nobody knows where the last report was kept.
            assert name == "settings" or component.since == before[component.name].since
    with pytest.raises(HealthError, match="HEALTH-001") as refused:
        require_healthy(health)
    assert refused.value.context["affected"] == sorted(fault.dependants)
    mended = place.look()
    assert mended.status is Status.HEALTHY
    # Where a report could not be kept it says so, or does not know where.
    is_kept = name != "settings" and not health.notes
    assert is_kept == (mended.by_name[name].since > fault.since)


def test_dependants_of_a_family_are_repairs_panels_and_modes(place: Place) -> None:
    """Who substitutes from it works less well; who reads it waits; nobody else is named."""
    place.look()
    perp(place).unlink()
    found = place.look().by_name
    assert set(found["family/bybit_ethusdt_perp"].dependants) == OF_BYBIT
    assert found["family/okx_ethusdt_perp"].status is Status.DEGRADED
    assert found["panel/eth_basis"].status is Status.NOT_READY
    assert found["mode/btc_basis"].status is Status.HEALTHY


def test_what_was_never_delivered_is_no_fault(place: Place) -> None:
    """Where only some modes have their files, the others are not ready; nothing is broken."""
    perp(place).unlink()
    health = place.look()
    assert health.unhealthy == ()
    assert health.by_name["family/bybit_ethusdt_perp"].status is Status.NOT_READY
    assert health.by_name["mode/eth_basis"].status is Status.NOT_READY
    assert health.by_name["mode/pure_lending"].status is Status.HEALTHY
    require_healthy(health)


def test_a_full_file_system_is_the_disks_fault(place: Place) -> None:
    """A small file system that is filled to the brim, where this process may mount one."""
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
        assert [note.code for note in health.notes] in ([], ["HEALTH-007"])
        (place.results / "f").unlink()
        assert place.look().status is Status.HEALTHY
        remount = ["mount", "-o", "remount,ro", str(place.results)]
        subprocess.run(remount, check=True)
        health = place.look()
        assert {c.name for c in health.unhealthy} == {"results_store", "event_log"}
        assert [note.code for note in health.notes] == ["HEALTH-007"]
    finally:
        subprocess.run(["umount", str(place.results)], check=True)


def test_a_silent_daemon_is_a_fault_once_something_waits_for_it(place: Place) -> None:
    """Never started where nothing is switched on is not ready; silent at work is a fault."""
    old = Heartbeat("SCHEDULER", datetime.now(UTC) - timedelta(minutes=10))
    asked = {"environ": place.environ, "config_dir": place.configs, "limits": place.limits}
    waiting = check_health(Facts(heartbeats=[old], triggers=place.triggers), **asked)
    assert [(c.name, c.code) for c in waiting.unhealthy] == [("daemon", "HEALTH-004")]
    assert affected(waiting) == {"sensors"}
    for facts in (Facts(heartbeats=[old]), Facts(), Facts(exists=False)):
        found = check_health(facts, **asked).by_name
        assert found["daemon"].status is found["sensors"].status is Status.NOT_READY
    troubled = replace(old, at=datetime.now(UTC), error="code location is gone")
    found = check_health(Facts(heartbeats=[troubled], triggers=place.triggers), **asked).by_name
    assert (found["daemon"].status, found["daemon"].code) == (Status.DEGRADED, "HEALTH-005")
    found = check_health(None, **asked).by_name
    assert found["daemon"].status is found["sensors"].status is Status.UNKNOWN


def test_a_verdict_of_the_ingest_holds_until_the_files_change(place: Place) -> None:
    """A dataset that broke its policy is a fault; a new delivery is judged anew."""
    asked = {"environ": place.environ, "config_dir": place.configs, "limits": place.limits}
    later = datetime.now(UTC) + timedelta(seconds=1)
    refused = Ingested(True, later, "DATA-013", "a hole of 9 hours", "bybit")
    facts = replace(place.facts(), ingested={"bybit_ethusdt_perp": refused})
    found = check_health(facts, **asked).by_name["family/bybit_ethusdt_perp"]
    assert (found.status, found.code) == (Status.UNHEALTHY, "DATA-013")
    outdated = replace(refused, at=datetime(2024, 1, 1, tzinfo=UTC))
    facts = replace(facts, ingested={"bybit_ethusdt_perp": outdated})
    assert check_health(facts, **asked).status is Status.HEALTHY
    asked_for_another_window = replace(refused, code="DATA-012")
    facts = replace(facts, ingested={"bybit_ethusdt_perp": asked_for_another_window})
    assert check_health(facts, **asked).status is Status.HEALTHY


def test_a_broken_rule_stops_its_mode_alone(place: Place) -> None:
    """One mode's mistake is not the others'."""
    text = mode_file(place).read_text()
    assert "spot: {venue: bybit}" in text
    mode_file(place).write_text(text.replace("spot: {venue: bybit}", "spot: {venue: kraken}"))
    health = place.look()
    assert [(c.name, c.code) for c in health.unhealthy] == [("panel/eth_basis", "CONFIG-008")]
    assert affected(health) == {"mode/eth_basis"}


def test_a_damaged_memory_is_told_and_replaced(place: Place) -> None:
    """Times start anew, and nobody is left to believe otherwise; the next report is whole again."""
    place.look()
    (place.results / "health.json").write_text('{"since": ')
    assert [note.code for note in place.look().notes] == ["HEALTH-006"]
    assert place.look().notes == ()


def test_a_fresh_place_is_not_ready_and_stays_untouched(place: Place) -> None:
    """A report makes no directories: it looks."""
    shutil.rmtree(place.results)
    health = place.look()
    assert health.status is Status.NOT_READY
    assert health.by_name["results_store"].status is Status.NOT_READY
    assert health.by_name["mode/pure_lending"].status is Status.HEALTHY
    assert not place.results.exists()


def test_latencies_are_kept_from_report_to_report(place: Place) -> None:
    """Percentiles are of many reports, and of no more than the limit says."""
    place.limits = place.limits.model_copy(update={"kept_latencies": 2})
    for _ in range(3):
        health = place.look()
    assert {entry.operation for entry in health.latencies} == set(health.by_name)
    assert {entry.count for entry in health.latencies} == {2}
    assert all(0.0 <= e.p50 <= e.p95 <= e.p99 <= e.longest for e in health.latencies)


def test_an_alert_asks_for_a_look_and_stops_nothing(place: Place) -> None:
    """Every mode can still be run."""
    emergency.alert(load_settings(place.environ), reason="look at okx", by="ann")
    health = place.look()
    assert (health.status, health.unhealthy) == (Status.DEGRADED, ())
    control = health.by_name["control"]
    assert control.told.endswith("by ann: look at okx")
    assert affected(health) == set()
