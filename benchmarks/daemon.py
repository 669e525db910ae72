"""A real daemon that runs accounts every hour, killed twice in the middle of a tick.

It lives on the clock of the machine: the accounts began some days ago, the exchange and the node
know what there is up to now, and the schedule was turned on an hour ago while no daemon ran. Not
among the benchmarks that run unasked: it takes minutes.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psutil
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.scheduler.instigation import ScheduleInstigatorData

from basis_pipeline.market.sample import write_sample
from basis_pipeline.operations.accounts import AccountFiles
from basis_pipeline.operations.accounts.signals import signal_history
from basis_pipeline.settings import make_dagster_home
from tests import shell
from tests.orchestration.account_week import Week, account_week

CODE = ("-m", "basis_pipeline.definitions")
SCHEDULE, SENSOR = "hourly_accounts", "lost_runs"
ACCOUNTS = ("carry", "lent")
RUN_KEY, PARENT = "dagster/run_key", "dagster/parent_run_id"
DAYS, SHORTEST_DAYS, LONGEST_SECONDS = 3, 60, 300.0
ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def environment(week: Week) -> dict[str, str]:
    """Variables of the daemon and of the commands that turn on what it watches."""
    return shell.clean() | {
        "BASIS_CONFIG_DIR": os.environ["BASIS_CONFIG_DIR"],
        "BASIS_DATA_DIR": str(week.settings.data_dir),
        "BASIS_RESULTS_DIR": str(week.settings.results_dir),
        "BASIS_RESULTS_DB_URL": week.settings.results_db_url,
        "DAGSTER_HOME": str(make_dagster_home(week.settings, {})),
    }


def turn_on(week: Week) -> None:
    """Turn on the schedule, as of an hour ago, and the sensor that misses killed processes."""
    for kind, name in (("schedule", SCHEDULE), ("sensor", SENSOR)):
        command = [sys.executable, "-m", "dagster", kind, "start", name, *CODE]
        subprocess.run(command, env=environment(week), check=True, capture_output=True)
    instance = week.desk.instance
    (state,) = (one for one in instance.all_instigator_state() if one.name == SCHEDULE)
    an_hour_ago = time.time() - 3600.0
    kept = state.instigator_data
    assert isinstance(kept, ScheduleInstigatorData)
    instance.update_instigator_state(state.with_data(kept._replace(start_timestamp=an_hour_ago)))


@contextmanager
def daemon(week: Week, log: Path) -> Iterator[None]:
    """Run a daemon until the end of the block; then it and all it has started are killed."""
    command = [sys.executable, "-m", "dagster._daemon", "run", *CODE]
    with log.open("a") as sink:
        process = psutil.Popen(command, env=environment(week), stdout=sink, stderr=sink)
        try:
            yield
        finally:
            family = [process, *process.children(recursive=True)]
            for one in family:
                one.kill()
            psutil.wait_procs(family, 10.0)


def wait_for(what: str, is_so: Callable[[], bool], week: Week, log: Path) -> float:
    """Wait until something is so, while the exchange's time goes on; seconds."""
    start = time.monotonic()
    while not is_so():
        week.clock.now = datetime.now(UTC)
        if time.monotonic() - start > LONGEST_SECONDS:
            raise AssertionError(f"not in {LONGEST_SECONDS:.0f} s: {what}\n{log.read_text()}")
        time.sleep(0.01)
    return time.monotonic() - start


def runs(week: Week) -> list[DagsterRun]:
    """Every run that the schedule asked for, and their retries, in order."""
    found = week.desk.instance.get_runs(ascending=True)
    return [run for run in found if RUN_KEY in run.tags]


def is_done(week: Week) -> bool:
    """Whether every account has a run that succeeded, and no run is under way."""
    found = runs(week)
    done = {run.tags["dagster/partition"] for run in found if run.is_success}
    return done == set(ACCOUNTS) and all(run.status in ENDED for run in found)


def main() -> None:
    """Kill a daemon while it asks for runs and while one of them writes; print what is left."""
    midnight = pd.Timestamp.now("UTC").floor("D") - pd.Timedelta(days=DAYS)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_sample(place / "sample", days=SHORTEST_DAYS)
        with account_week(place / "platform", place / "sample", midnight) as week:
            kill_twice(week, place / "daemon.log")
            require_each_hour_once(week)


def kill_twice(week: Week, log: Path) -> None:
    """Let a third daemon come to the end of what two that were killed have begun."""
    turn_on(week)
    files = AccountFiles(week.settings, "carry").directory
    for moment, is_so in (
        ("it asks for runs", lambda: bool(runs(week))),
        ("a run writes", lambda: any(files.glob("market-*.npz"))),
    ):
        with daemon(week, log):
            seconds = wait_for(moment, is_so, week, log)
        print(f"killed when {moment}, {seconds:.0f} s after its start: {states(week)}", flush=True)
    with daemon(week, log):
        seconds = wait_for("every account is run", lambda: is_done(week), week, log)
    print(f"done {seconds:.0f} s after the third start: {states(week)}", flush=True)


def states(week: Week) -> str:
    """What has become of the runs, in words."""
    return ", ".join(f"{r.tags['dagster/partition']} {r.status.value}" for r in runs(week))


def require_each_hour_once(week: Week) -> None:
    """One run of each account and hour succeeded; one signal, and the equity of one go."""
    asked = Counter(run.tags[RUN_KEY] for run in runs(week) if PARENT not in run.tags)
    done = Counter(run.tags[RUN_KEY] for run in runs(week) if run.is_success)
    assert asked == done
    assert set(done.values()) == {1}
    for account in ACCOUNTS:
        assert week.reached(account) is not None
        hours = week.signaled(account)
        assert len(hours) == len(set(hours)) == len(signal_history(week.settings, account, limit=9))
        print(f"{account}: hour {hours[-1]} once, equal to the backtest in one go")
