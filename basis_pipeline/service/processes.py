"""The platform's processes: web interface, daemon, API, and Redis on request.

A file below the results directory names each process by its id and its start time, so that a
reused id is not mistaken for it. The file is changed under a lock.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from basis_pipeline.errors import PlatformError
from basis_pipeline.files import locked, write_atomically
from basis_pipeline.settings import Settings, make_dagster_home, project_root

DIRECTORY, FILE, LOCK = "platform", "processes.json", "processes.lock"
START_SECONDS, STOP_SECONDS, LOCK_SECONDS = 180.0, 20.0, 300.0
SILENT_SECONDS = 120.0
POLL_SECONDS = 0.2
LOG_LINES = 15
CODE = ("-m", "basis_pipeline.definitions")
LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the processes on this machine."""

    web: int = 3000
    api: int = 8000
    redis: int = 6379


@dataclass(frozen=True, slots=True)
class Program:
    """One process: how it is started, and how to test that it works.

    address: for display; empty where nothing connects to the process. port: 0 for none.
    """

    name: str
    command: tuple[str, ...]
    is_up: Callable[[psutil.Process], bool]
    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """The state of one process; `pid` is 0 when it does not run."""

    name: str
    pid: int
    address: str
    is_up: bool


def programs(settings: Settings, ports: Ports, *, redis: bool) -> list[Program]:
    """List the processes in the order of their start."""
    place, module = settings.results_dir / DIRECTORY, (sys.executable, "-m")
    web, api = (f"http://{LOCAL}:{port}" for port in (ports.web, ports.api))
    listening = ("-h", LOCAL, "-p", str(ports.web))
    serving = ("serve", "--host", LOCAL, "--port", str(ports.api))
    found = [
        Program(
            "web",
            (*module, "dagster_webserver", *CODE, *listening),
            lambda _: _answers(f"{web}/server_info"),
            web,
            ports.web,
        ),
        Program(
            "daemon",
            (*module, "dagster._daemon", "run", *CODE),
            lambda process: _beats(settings, process),
        ),
        Program(
            "api",
            (*module, "basis_pipeline", *serving),
            lambda _: _answers(f"{api}/health"),
            api,
            ports.api,
        ),
    ]
    if redis:
        options = ("--bind", LOCAL, "--port", str(ports.redis), "--dir", str(place), "--save", "")
        url = f"redis://{LOCAL}:{ports.redis}/0"
        command = ("redis-server", *options)
        found.insert(
            0, Program("redis", command, lambda _: _listens(ports.redis), url, ports.redis)
        )
    return found


def start(settings: Settings, ports: Ports, *, redis: bool = False) -> list[Running]:
    """Start the processes that do not run, and wait until all work; on failure stop these again.

    If a process already runs, the others start on the ports it was started with.

    Raises
    ------
    PlatformError: PLATFORM-005 when a process does not start, with the end of its log;
        PLATFORM-001 when the Dagster instance cannot be used.
    """
    environ = {**os.environ, "DAGSTER_HOME": str(make_dagster_home(settings))}
    environ["BASIS_RESULTS_DIR"] = str(settings.results_dir)
    if redis:
        environ["BASIS_REDIS_URL"] = f"redis://{LOCAL}:{ports.redis}/0"
    with _register(settings) as (known, before):
        ports = before if known else ports
        begun: list[str] = []
        _make_instance(settings)
        try:
            for program in programs(settings, ports, redis=redis):
                if program.name not in known:
                    _require_free(program)
                    known[program.name] = _spawn(settings, program, environ)
                    begun.append(program.name)
                    _write(settings, known, ports)
            for program in programs(settings, ports, redis=redis):
                _wait(settings, program, known[program.name])
        except BaseException:
            _end([known.pop(name) for name in begun if name in known])
            raise
    return status(settings)


def stop(settings: Settings) -> list[str]:
    """Stop every process, the last started first, and return their names.

    Raises
    ------
    PlatformError: PLATFORM-005 when one does not end.
    """
    with _register(settings) as (known, _):
        names = list(known)[::-1]
        _end([known[name] for name in names])
        known.clear()
    return names


def restart(settings: Settings) -> list[Running]:
    """Stop every process, and start all again on their ports. Raises as `start`."""
    known, ports = _read(settings)
    stop(settings)
    return start(settings, ports, redis="redis" in known)


def status(settings: Settings) -> list[Running]:
    """Return the state of every process."""
    known, ports = _read(settings)
    return [
        Running(p.name, known[p.name].pid, p.address, p.is_up(known[p.name]))
        if p.name in known
        else Running(p.name, 0, p.address, is_up=False)
        for p in programs(settings, ports, redis="redis" in known)
    ]


@contextmanager
def _register(settings: Settings) -> Iterator[tuple[dict[str, psutil.Process], Ports]]:
    """Hold the lock, and yield the running processes and their ports; write them at the end."""
    place = settings.results_dir / DIRECTORY
    try:
        with locked(place / LOCK, LOCK_SECONDS):
            known, ports = _read(settings)
            try:
                yield known, ports
            finally:
                _write(settings, known)
    except TimeoutError as error:
        what = "another command is still starting or stopping the platform"
        raise PlatformError("PLATFORM-005", what, where=str(place)) from error
    except OSError as error:
        what = f"the platform cannot be started or stopped: {error.strerror}"
        raise PlatformError("PLATFORM-005", what, where=str(error.filename or place)) from error


def _read(settings: Settings) -> tuple[dict[str, psutil.Process], Ports]:
    """Return the running processes, and the ports they were started with."""
    try:
        stored = json.loads((settings.results_dir / DIRECTORY / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}, Ports()
    found = {}
    for name, (pid, created) in stored["processes"].items():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.create_time() == created and _is_alive(process):
                found[name] = process
    return found, Ports(**stored["ports"])


def _write(
    settings: Settings, known: Mapping[str, psutil.Process], ports: Ports | None = None
) -> None:
    """Write the running processes, and their ports where they are given."""
    file = settings.results_dir / DIRECTORY / FILE
    ports, processes = ports or _read(settings)[1], {}
    for name, process in known.items():
        with suppress(psutil.NoSuchProcess):
            processes[name] = (process.pid, process.create_time())
    if processes:
        document = {"ports": asdict(ports), "processes": processes}
        write_atomically(file, json.dumps(document).encode())
    else:
        file.unlink(missing_ok=True)


def _make_instance(settings: Settings) -> None:
    """Create Dagster's databases: processes that create them together write a revision twice."""
    from basis_pipeline.orchestration.instance import opened_instance

    with opened_instance(make_dagster_home(settings)):
        pass


def _spawn(settings: Settings, program: Program, environ: Mapping[str, str]) -> psutil.Process:
    if not shutil.which(program.command[0]):
        what = f"{program.command[0]} is not installed"
        raise PlatformError("PLATFORM-005", what, where=program.name)
    with _log(settings, program.name).open("ab") as log:
        started = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=project_root(),
            env=dict(environ),
            start_new_session=True,
        )
    return psutil.Process(started.pid)


def _log(settings: Settings, name: str) -> Path:
    return settings.results_dir / DIRECTORY / f"{name}.log"


def _require_free(program: Program) -> None:
    if program.port and _listens(program.port):
        what = f"port {program.port} of {program.name} is in use by another program"
        raise PlatformError("PLATFORM-005", what, where=program.address)


def _wait(settings: Settings, program: Program, process: psutil.Process) -> None:
    deadline, why = time.monotonic() + START_SECONDS, "has ended"
    while _is_alive(process):
        if program.is_up(process):
            return
        if time.monotonic() > deadline:
            why = f"does not work after {START_SECONDS:g} seconds"
            break
        time.sleep(POLL_SECONDS)
    log = _log(settings, program.name)
    end = " / ".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    what = f"{program.name} {why}: {end or 'its log is empty'}"
    raise PlatformError("PLATFORM-005", what, where=str(log))


def _end(processes: Sequence[psutil.Process]) -> None:
    """Terminate processes with their children, one after the other; kill those that stay."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            family = [process, *process.children(recursive=True)]
            process.terminate()
            _wait_for_end([process], STOP_SECONDS)
            for member in _wait_for_end(family, 2.0):
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            if left := _wait_for_end(family, STOP_SECONDS):
                raise PlatformError("PLATFORM-005", f"process {left[0].pid} does not end")


def _wait_for_end(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if _is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 4)
    return left


def _is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOCAL, port)) == 0


def _beats(settings: Settings, process: psutil.Process) -> bool:
    """Say whether every thread of the daemon has sent a heartbeat since it was started."""
    from basis_pipeline.orchestration.instance import opened_instance

    since = max(process.create_time(), time.time() - SILENT_SECONDS)
    with opened_instance(make_dagster_home(settings)) as instance:
        beats = instance.get_daemon_heartbeats()
        required = instance.get_required_daemon_types()
        return all(name in beats and beats[name].timestamp >= since for name in required)
