"""The service under load: 1,000 requests while everything is killed, and the latency of reads.

`python -m benchmarks.service kills [COUNT]` needs PostgreSQL's programs; it kills daemon, API and
PostgreSQL once each while requests come in, and counts what became of them.
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
from pathlib import Path

import aiohttp
import httpx
import numpy as np
import psutil

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


def kills(count: int) -> None:
    """Post `count` requests while the daemon, the API and PostgreSQL are killed."""
    from basis_pipeline.operations.requests.queue import requests_of
    from basis_pipeline.service import processes
    from basis_pipeline.settings import load_settings

    place = Path(tempfile.mkdtemp(prefix="basis-kills-"))
    place.chmod(0o755)
    postgres = Postgres(place / "postgres", 54391)
    postgres.start()
    os.environ["BASIS_RESULTS_DIR"] = str(place / "results")
    os.environ["BASIS_RESULTS_DB_URL"] = f"postgresql://basis@127.0.0.1:{postgres.port}/postgres"
    settings, ports = load_settings(), processes.Ports(3391, 8391, 6391)
    address = f"http://127.0.0.1:{ports.api}"
    processes.start(settings, ports)
    home = {**os.environ, "DAGSTER_HOME": str(settings.results_dir / "dagster_home")}
    sensor = ["dagster", "sensor", "start", "backtest_requests", "-m", "basis_pipeline.definitions"]
    subprocess.run([sys.executable, "-m", *sensor], check=True, env=home)
    load = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service", "post", address, str(count)]
    )
    for victim in ("daemon", "api", "postgres"):
        wait_for(lambda: len(requests_of(settings)) > count // 8, 120.0)
        time.sleep(3.0)
        if victim == "postgres":
            postgres.kill()
            time.sleep(2.0)
            postgres.start()
        else:
            kill(processes.status(settings), victim)
            processes.start(settings, ports)
        print(f"killed {victim}", flush=True)
    load.wait(600)
    wait_for(lambda: all(r.finished_at for r in requests_of(settings)), 1800.0)
    found = requests_of(settings)
    statuses = Counter(str(served.status) for served in found)
    ordered = [served.finished_at for served in found]
    print(f"requests {len(found)}, ids {len({r.request.request_id for r in found})}, {statuses}")
    print(f"numbers without a gap: {[r.sequence for r in found] == list(range(1, count + 1))}")
    print(f"finished in order: {ordered == sorted(ordered)}", flush=True)
    processes.stop(settings)
    postgres.stop()
    shutil.rmtree(place)


def kill(running: list[object], name: str) -> None:
    """Kill one process of the platform, with those it has started."""
    pid = next(p.pid for p in running if p.name == name)  # type: ignore[attr-defined]
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, 10)


def wait_for(holds: object, seconds: float) -> None:
    """Wait until something holds; a store that is down does not hold."""
    from basis_pipeline.errors import BasisError

    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():  # type: ignore[operator]
                return
        except BasisError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("it does not come about")
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
        case ["kills", *count]:
            kills(int(count[0]) if count else 1000)
        case ["post", address, count]:
            print(asyncio.run(post_all(address, int(count))))
        case ["load", address, *paths]:
            asyncio.run(measure(address, paths))
        case _:
            reads()
