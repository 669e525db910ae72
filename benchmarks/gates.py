"""`basis gates` and `basis health` on a thousand runs, beside a plain read of the same records."""

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from basis_pipeline.settings import project_root
from benchmarks.measuring import child_environment, figures_of_child, repeat
from benchmarks.pipeline import cost_of

RUNS, TARGET_SECONDS, REPEATS = 1000, 3.0, 5
DAYS = "60"
WINDOW = ("--start", "2024-01-03", "--end", "2024-02-20")
TABLES = ("event_logs", "asset_check_executions")
LATEST = """
    SELECT evaluation_event FROM asset_check_executions WHERE id IN (
        SELECT MAX(id) FROM asset_check_executions GROUP BY asset_key, check_name, partition)
"""


def _copy(connection: sqlite3.Connection, table: str, times: int) -> None:
    """Append every row so many times, each copy under run ids of its own."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    new = "run_id || '-' || n"
    changed = {"id": "NULL", "run_id": new, "run_body": f"REPLACE(run_body, run_id, {new})"}
    chosen = ", ".join(changed.get(name, f'"{name}"') for name in columns)
    connection.execute(
        "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?) "
        f"INSERT INTO {table} SELECT {chosen} FROM {table}, copies",
        [times],
    )


def multiply_runs(home: Path, wanted: int) -> int:
    """Copy the runs of an instance with all their records until there are `wanted`; how many."""
    with closing(sqlite3.connect(home / "history" / "runs.db")) as runs, runs:
        held = int(runs.execute("SELECT COUNT(*) FROM runs").fetchone()[0])
        times = -(-wanted // held)
        _copy(runs, "runs", times)
        count = int(runs.execute("SELECT COUNT(*) FROM runs").fetchone()[0])
    with closing(sqlite3.connect(home / "event_log.db")) as log, log:
        for table in TABLES:
            _copy(log, table, times)
    return count


def _plain_read(home: Path) -> int:
    with closing(sqlite3.connect(home / "event_log.db")) as log:
        return len([json.loads(row[0]) for row in log.execute(LATEST) if row[0]])


def child(home: Path, data: Path) -> None:
    """Print seconds of what the commands do after their imports, the first time and again."""
    from basis_pipeline.config import load_configs
    from basis_pipeline.config.health import load_health_limits
    from basis_pipeline.operations.gate_reports import gates_json
    from basis_pipeline.operations.health.check import check_health
    from basis_pipeline.orchestration.build import build_defs
    from basis_pipeline.orchestration.instance import opened_instance
    from basis_pipeline.orchestration.instance_metrics import instance_metrics
    from basis_pipeline.orchestration.records import all_gates

    def answer() -> int:
        with opened_instance(home) as instance:
            gates = all_gates(instance, build_defs())
        gates_json(gates, strict=True)
        return len(gates)

    def health() -> None:
        configs = project_root() / "configs"
        limits, datasets = load_health_limits(configs), load_configs(configs).datasets.values()
        with opened_instance(home) as instance:
            metrics = instance_metrics(instance, datasets, limits.history_runs)
        check_health(metrics, data_dir=data, results_dir=home.parent).json()

    start = time.perf_counter()
    gates = answer()
    first = time.perf_counter() - start
    start = time.perf_counter()
    health()
    well = time.perf_counter() - start
    again = repeat(answer, REPEATS)
    plain = repeat(lambda: _plain_read(home), REPEATS)
    figures = {"gates": gates, "first": first, "again": again.least, "plain": plain.least}
    figures["health"] = well
    print(json.dumps(figures))


def main() -> None:
    """Print how long the verdicts of all gates take, and the ratio to the plain read."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        environment = child_environment(scratch)
        data, results = str(scratch / "data"), scratch / "results"
        cost_of(["data", "sample", "--out", data, "--days", DAYS], environment)
        places = ["--data-dir", data, "--results-dir", str(results)]
        cost_of(["run", *places, *WINDOW], environment)
        runs = multiply_runs(results / "dagster_home", RUNS)
        home = str(results / "dagster_home")
        result = figures_of_child("gates", [home, data], environment)
        whole = cost_of(["gates", "--results-dir", str(results)], environment)
    print(f"{runs} runs, {result['gates']} gates; target {TARGET_SECONDS:.0f} s after imports")
    print(f"verdicts and report, first: {result['first']:.2f} s; again: {result['again']:.2f} s")
    print(f"health, every family read for the first time: {result['health']:.2f} s")
    print(f"plain read of the same records: {result['plain']:.3f} s")
    print(f"gates against it: {result['again'] / result['plain']:.1f}x")
    print(f"basis gates as a process: {whole}")


def _from_command_line(arguments: Sequence[str]) -> None:
    child(*map(Path, arguments))


if __name__ == "__main__":
    _from_command_line(sys.argv[1:])
