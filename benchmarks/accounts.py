"""An hourly tick of twenty accounts on a year of hourly data, and the memory and disk of many.

`python -m benchmarks.accounts --accounts 20 --ticks 500` measures the memory of more of them.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from basis_pipeline.config.account import AccountConfig
from basis_pipeline.config.current import current_configs
from basis_pipeline.config.loading import validate
from basis_pipeline.market.sample import write_sample
from basis_pipeline.operations.accounts import run_accounts
from basis_pipeline.settings import Settings, load_settings

ACCOUNTS, TARGET_SECONDS = 20, 5.0
SINCE, DAYS = datetime(2024, 1, 3, tzinfo=UTC), 400
# What carries an hour in the middle of a day: the index of a lending protocol is daily.
MODES = ("btc_basis", "eth_basis", "eth_staking_only", "usdt_market_neutral_no_leverage")
# Memory: of how many accounts, over how many ticks, and how much more it may be at the end.
HELD, TICKS, FIRST, FLAT = 1, 500, 50, 1.05


def accounts(count: int) -> list[AccountConfig]:
    """So many accounts of the modes, each of another capital."""
    return [
        validate(
            AccountConfig,
            {
                "name": f"account_{number:02d}",
                "description": "",
                "mode": MODES[number % len(MODES)],
                "overrides": {"rewards.enabled": False},
                "capital": 100_000.0 + 1_000.0 * number,
                "since": SINCE.isoformat(),
            },
            "benchmark",
        )
        for number in range(count)
    ]


def tick(settings: Settings, wanted: Sequence[AccountConfig], now: datetime) -> float:
    """Run the accounts at an hour; processor seconds."""
    before = time.process_time()
    runs = run_accounts(settings, current_configs(), wanted, now)
    seconds = time.process_time() - before
    problems = [f"{run.account.name}: {run.error}" for run in runs if run.error or not run.result]
    assert not problems, problems
    return seconds


def resident_mb() -> float:
    """Memory of this process that is in use now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_time() -> None:
    """Print processor seconds of a tick."""
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(data_dir=f"{name}/data", results_dir=f"{name}/results")
        write_sample(settings.data_dir, days=DAYS)
        wanted, end = accounts(ACCOUNTS), SINCE + timedelta(days=365)
        tick(settings, wanted, end)
        seconds = [tick(settings, wanted, end + timedelta(hours=n)) for n in range(1, 4)]
    met = "met" if min(seconds) <= TARGET_SECONDS else "MISSED"
    print(
        f"a tick of {ACCOUNTS} accounts on a year   {min(seconds):.2f} s of processor time, least"
    )
    print(f"target {TARGET_SECONDS} s: {met}")


def measure_memory(count: int, ticks: int) -> None:
    """Print the memory of the process and the disk space of so many accounts after some ticks."""
    shown = sorted({FIRST, *range(100, ticks, 100), ticks})
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(data_dir=f"{name}/data", results_dir=f"{name}/results")
        write_sample(settings.data_dir, days=ticks // 24 + 40)
        wanted, start, found = accounts(count), SINCE + timedelta(days=2), []
        for number in range(1, ticks + 1):
            tick(settings, wanted, start + timedelta(hours=number))
            if number in shown:
                files = [file for file in settings.results_dir.rglob("*") if file.is_file()]
                size = sum(file.stat().st_size for file in files) / 1e6
                found.append(resident_mb())
                print(
                    f"after {number} ticks of {count}   {found[-1]:.1f} MB of memory, "
                    f"{size:.1f} MB on disk in {len(files)} files",
                    flush=True,
                )
    print(f"memory: {'flat' if found[-1] <= FLAT * found[0] else 'GROWS'}")


def main() -> None:
    """Print processor seconds of a tick, and memory and disk space over many."""
    os.environ["OMP_NUM_THREADS"] = "1"
    measure_time()
    measure_memory(HELD, TICKS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accounts")
    parser.add_argument("--accounts", type=int, default=HELD, help="whose memory is measured")
    parser.add_argument("--ticks", type=int, default=TICKS, help="over how many hours")
    asked = parser.parse_args()
    measure_memory(asked.accounts, max(asked.ticks, FIRST))
