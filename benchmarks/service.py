"""The service under load: 1,000 requests while everything is killed, and the latency of reads.

`python -m benchmarks.service kills [COUNT [SERVED]]` needs PostgreSQL's programs; it kills API,
PostgreSQL and daemon once each while requests come in and are served, waits until the first SERVED
of them (all, when it is not given) have ended, and counts what became of them.
`python -m benchmarks.service reads` measures every read at 200 calls a second from a second
process, with 1,000 runs recorded and every mode run by Dagster, beside a static file of the same
server; and the processor time that the service takes for a call.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import httpx
import numpy as np
import psutil

from basis_pipeline.service.processes import Ports, Running
from basis_pipeline.settings import Settings

RATE, SECONDS = 200.0, 15.0
READS = (
    *("/static/dashboard.js", "/health", "/health/ready", "/health/services", "/health/latency"),
    *("/backtests", "/backtests/one", "/backtests/one/result", "/backtests/one/verdicts"),
    *("/backtests/one/tables/equity?limit=500", "/runs", "/runs/{run}", "/gates?phase=2"),
    *("/accounts", "/signals", "/events?limit=50", "/control", "/metrics", "/"),
)
BODY = {"mode": "pure_lending", "start": "2024-06-01", "end": "2024-06-08"}


async def post_all(address: str, count: int) -> Counter[int]:
    """Post requests at once, each again with its key until it is answered; statuses by count."""
    answered: Counter[int] = Counter()

    async def post(client: httpx.AsyncClient, number: int) -> None:
        key = {"Idempotency-Key": f"r{number:05}"}
        while True:
            try:
                answer = await client.post(f"{address}/backtests", json=BODY, headers=key)
            except httpx.TransportError:
                await asyncio.sleep(0.5)
                continue
            answered[answer.status_code] += 1
            if answer.status_code == 202:
                return
            await asyncio.sleep(0.5)

    limits = httpx.Limits(max_connections=count, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=120.0, trust_env=False) as client:
        await asyncio.gather(*(post(client, number) for number in range(count)))
    return answered


class Postgres:
    """A server of its own, that can be killed and started again."""

    def __init__(self, home: Path, port: int) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.programs = found[-1] if found else Path(str(shutil.which("initdb"))).parent
        self.home, self.port, self.user = home, port, "postgres" if os.geteuid() == 0 else None
        home.mkdir(exist_ok=True)
        if self.user:
            shutil.chown(home, self.user)
        self.run("initdb", "-D", str(home / "data"), "-U", "basis", "-A", "trust", "-E", "UTF8")

    def run(self, name: str, *words: str) -> None:
        """Run one of its programs to the end."""
        command = [str(self.programs / name), *words]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, stdout=quiet, cwd=self.home, user=self.user)

    def start(self) -> None:
        """Start it and wait."""
        options = f"-p {self.port} -k {self.home} -c max_connections=100"
        log = str(self.home / "log")
        self.run("pg_ctl", "-D", str(self.home / "data"), "-o", options, "-l", log, "-w", "start")

    def kill(self) -> None:
        """End it as a power cut would."""
        pid = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, 10)

    def stop(self) -> None:
        """Stop it."""
        self.run("pg_ctl", "-D", str(self.home / "data"), "-m", "fast", "stop")


def kills(count: int, to_serve: int) -> None:
    """Post `count` requests while API, PostgreSQL and daemon are killed; see the first served."""
    from basis_pipeline.service import processes
    from basis_pipeline.settings import load_settings

    place = Path(tempfile.mkdtemp(prefix="basis-kills-"))
    place.chmod(0o755)
    postgres = Postgres(place / "postgres", 54391)
    postgres.start()
    os.environ["BASIS_RESULTS_DIR"] = str(place / "results")
    os.environ["BASIS_RESULTS_DB_URL"] = f"postgresql://basis@127.0.0.1:{postgres.port}/postgres"
    settings, ports = load_settings(), processes.Ports(3391, 8391, 6391)
    try:
        processes.start(settings, ports)
        _post_and_kill(settings, ports, postgres, count, to_serve)
    finally:
        processes.stop(settings)
        postgres.stop()
        shutil.rmtree(place)


def _post_and_kill(
    settings: Settings, ports: Ports, postgres: Postgres, count: int, to_serve: int
) -> None:
    from basis_pipeline.operations.audit_log import EventType, log_directory, read_events
    from basis_pipeline.operations.requests import Status
    from basis_pipeline.operations.requests.queue import requests_of
    from basis_pipeline.service import processes

    address = f"http://127.0.0.1:{ports.api}"
    home = {**os.environ, "DAGSTER_HOME": str(settings.results_dir / "dagster_home")}
    for name in ("backtest_requests", "lost_runs"):
        sensor = ["dagster", "sensor", "start", name, "-m", "basis_pipeline.definitions"]
        subprocess.run([sys.executable, "-m", *sensor], check=True, env=home)
    load = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service", "post", address, str(count)]
    )
    began = time.monotonic()

    def counted(*statuses: Status) -> int:
        return len(requests_of(settings, statuses or Status))

    def note(what: str) -> None:
        states = Counter(str(served.status) for served in requests_of(settings))
        print(f"{time.monotonic() - began:6.1f} s {what}: {dict(states)}", flush=True)

    wait_for(lambda: counted() > count // 8, 300.0)
    kill(processes.status(settings), "api")
    note("killed the API")
    processes.start(settings, ports)
    wait_for(lambda: counted() > count // 3, 300.0)
    postgres.kill()
    wait_for(lambda: not answers(address), 60.0)
    postgres.start()
    note("killed PostgreSQL")
    wait_for(lambda: counted(Status.DONE) > to_serve // 8, 600.0)
    kill(processes.status(settings), "daemon")
    note(f"killed the daemon, with the run that serves; the load runs: {load.poll() is None}")
    processes.start(settings, ports)
    load.wait(600)
    note("every call is answered")
    wait_for(lambda: counted() - counted(Status.QUEUED, Status.RUNNING) >= to_serve, 1800.0)
    processes.stop(settings)
    note(f"{to_serve} are served")
    found = requests_of(settings)
    ended = [served for served in found if served.finished_at]
    times = [served.finished_at for served in ended if served.finished_at]
    logged = read_events(log_directory(settings), types=[EventType.REQUEST_SERVED])
    often = Counter(event.fields["sequence"] for event in logged)
    print(f"requests {len(found)}, ids {len({r.request.request_id for r in found})}")
    print(f"numbers without a gap: {[r.sequence for r in found] == list(range(1, count + 1))}")
    in_order = ended == found[: len(ended)] and times == sorted(times)
    print(f"those that have ended are the first {len(ended)}, in order: {in_order}")
    print(f"served more than once: {sum(times > 1 for times in often.values())}", flush=True)


def kill(running: list[Running], name: str) -> None:
    """Kill one process of the platform, with those it has started."""
    pid = next(p.pid for p in running if p.name == name)
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, 10)


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds; a store that is down does not hold."""
    from basis_pipeline.errors import BasisError

    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except BasisError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"what was waited for did not happen within {seconds:.0f} s")
        time.sleep(1.0)


async def measure(address: str, paths: list[str]) -> None:
    """Call every path in turn at a steady rate, and print the latency of each."""
    taken: dict[str, list[float]] = {path: [] for path in paths}

    async def call(client: aiohttp.ClientSession, path: str, due: float) -> None:
        async with client.get(address + path) as answer:
            await answer.read()
        taken[path].append(time.perf_counter() - due)
        assert answer.status in (200, 503), (path, answer.status)

    # The client that takes least processor time: it must not be what is measured.
    connector = aiohttp.TCPConnector(limit=50)
    async with aiohttp.ClientSession(connector=connector) as client:
        for path in paths:
            await call(client, path, time.perf_counter())
            taken[path].clear()
        began, calls = time.perf_counter(), []
        for number in range(int(RATE * SECONDS)):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            calls.append(asyncio.create_task(call(client, paths[number % len(paths)], due)))
        await asyncio.gather(*calls)
    print(f"{'ms':46} {'p50':>8} {'p95':>8} {'p99':>8}")
    for path, seconds in taken.items():
        figures = (f"{1000.0 * value:8.1f}" for value in np.percentile(seconds, (50, 95, 99)))
        print(f"{path:46} {' '.join(figures)}")


def reads() -> None:
    """Record 1,000 runs, serve them, and measure."""
    from basis_pipeline.config.current import current_configs
    from basis_pipeline.operations.requests import BacktestRequest, submit
    from basis_pipeline.operations.requests.serving import serve
    from basis_pipeline.results.database.connection import connect, writing
    from basis_pipeline.results.database.runs import runs
    from basis_pipeline.results.database.tables import RUNS
    from basis_pipeline.settings import load_settings

    basis = [sys.executable, "-m", "basis_pipeline"]
    with tempfile.TemporaryDirectory(prefix="basis-reads-") as place:
        os.environ["BASIS_RESULTS_DIR"] = place
        os.environ["BASIS_RESULTS_DB_URL"] = f"sqlite:///{place}/runs.sqlite"
        settings = load_settings()
        request = BacktestRequest(request_id="one", mode="pure_lending")
        (served,) = serve(settings, current_configs(), [submit(settings, request).sequence])
        if not served.run_id:
            sys.exit(f"{served.code}: {served.message}")
        engine = connect(settings.results_db_url)
        (row,) = runs(engine)
        copies = [
            {**row._mapping, "run_id": f"{number:016x}", "number": number}  # noqa: SLF001
            for number in range(row.number + 1, 1001)
        ]
        with writing(engine) as connection:
            connection.execute(RUNS.insert(), copies)
        subprocess.run([*basis, "run"], check=True, stdout=subprocess.DEVNULL)
        server = psutil.Popen([*basis, "serve", "--port", "8392"])
        try:
            address = "http://127.0.0.1:8392"
            wait_for(lambda: answers(address), 60.0)
            paths = [path.format(run=served.run_id) for path in READS]
            for asked in (paths[:1], paths):
                load = [sys.executable, "-m", "benchmarks.service", "load", address, *asked]
                before = server.cpu_times()
                subprocess.run(load, check=True)
                after, calls = server.cpu_times(), RATE * SECONDS
                taken = after.user + after.system - before.user - before.system
                print(f"processor time: {1000.0 * taken / calls:.2f} ms a call", flush=True)
        finally:
            server.terminate()
            server.wait()


def answers(address: str) -> bool:
    """Whether the service is ready."""
    try:
        return httpx.get(f"{address}/health/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kills", *given]:
            count = int(given[0]) if given else 1000
            kills(count, int(given[1]) if len(given) > 1 else count)
        case ["post", address, count]:
            print(asyncio.run(post_all(address, int(count))))
        case ["load", address, *paths]:
            asyncio.run(measure(address, paths))
        case _:
            reads()
