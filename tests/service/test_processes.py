"""The platform on one machine: started, killed, started again, stopped."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from basis_pipeline.service import processes
from basis_pipeline.settings import load_settings
from tests import shell
from tests.service.conftest import environment


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def env(tmp_path: Path, sample: Path) -> dict[str, str]:
    """Return an empty place."""
    return shell.clean() | environment(tmp_path / "results", sample)


def calls_of_the_guide() -> list[str]:
    """Return what "Operate the platform" shows of the API."""
    guide = (shell.ROOT / "docs" / "how-to.md").read_text()
    calls = re.findall(r"^```bash api\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)[0].splitlines()
    assert len(calls) > 5
    return calls


def platform(env: dict[str, str], *words: str, code: int = 0) -> str:
    """Run `basis platform …`; what it printed."""
    done = shell.run("basis_pipeline", "platform", *words, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_the_platform_starts_survives_and_stops(env: dict[str, str], tmp_path: Path) -> None:
    """A second start changes nothing, one after a kill starts what is missing, a stop all ends."""
    web, api = free_ports(2)
    try:
        platform(env, "start", "--web-port", web, "--api-port", api)
        register = tmp_path / "results" / "platform" / "processes.json"
        first = json.loads(register.read_text())["processes"]
        assert httpx.get(f"http://127.0.0.1:{api}/health").status_code == 200
        platform(env, "start")
        assert json.loads(register.read_text())["processes"] == first
        for call in calls_of_the_guide():
            address = call.replace("127.0.0.1:8000", f"127.0.0.1:{api}")
            done = subprocess.run(["bash", "-ec", address], capture_output=True, check=False)
            assert done.returncode == 0, f"{call}\n{done.stderr.decode()}"

        killed = psutil.Process(first["api"][0])
        killed.kill()
        assert processes._wait_for_end([killed], 30.0) == []
        assert "stopped" in platform(env, "status", code=1)
        platform(env, "start")
        again = json.loads(register.read_text())["processes"]
        assert again["api"] != first["api"]
        assert (again["web"], again["daemon"]) == (first["web"], first["daemon"])
        assert httpx.get(f"http://127.0.0.1:{api}/health").status_code == 200

        family = [psutil.Process(pid) for pid, _ in again.values()]
        family += [child for process in family for child in process.children(recursive=True)]
    finally:
        printed = platform(env, "stop")
    assert "daemon" in printed
    assert not register.exists()
    left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    assert "Nothing is running" in platform(env, "stop")


def test_an_id_that_another_program_has_now_is_left_alone(
    env: dict[str, str], tmp_path: Path
) -> None:
    """What the file says of a process that is gone means nothing."""
    place = tmp_path / "results" / "platform"
    place.mkdir(parents=True)
    own = psutil.Process()
    document = {
        "ports": {"web": 1, "api": 2, "redis": 3},
        "processes": {"api": (own.pid, own.create_time() - 1.0), "web": (2**22 - 1, 1.0)},
    }
    (place / "processes.json").write_text(json.dumps(document))
    assert "Nothing is running" in platform(env, "stop")
    assert not (place / "processes.json").exists()


def test_dagsters_databases_are_made_before_any_process_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that made them at once left two revisions, and no process started again."""
    monkeypatch.setenv("BASIS_RESULTS_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    look = "import os, sys, time; print(*os.walk(sys.argv[1]), flush=True); time.sleep(60)"
    log = tmp_path / "platform" / "web.log"
    program = processes.Program(
        "web", (sys.executable, "-c", look, str(tmp_path / "home")), lambda _: log.read_text() != ""
    )
    monkeypatch.setattr(processes, "programs", lambda *_, **__: [program])
    settings = load_settings()
    try:
        processes.start(settings, processes.Ports())
    finally:
        processes.stop(settings)
    for name in ("runs.db", "schedules.db", "event_log.db"):
        assert name in log.read_text()


def test_a_start_that_fails_leaves_nothing(env: dict[str, str], tmp_path: Path) -> None:
    """The port of the API is in use: web interface and daemon end again, and the port is named."""
    web = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as other:
        api = str(other.getsockname()[1])
        words = ("platform", "start", "--web-port", web, "--api-port", api)
        done = shell.run("basis_pipeline", *words, env=env)
    assert done.returncode == 2
    assert f"PLATFORM-005: port {api} of api is in use" in done.stderr
    assert not (tmp_path / "results" / "platform" / "processes.json").exists()
