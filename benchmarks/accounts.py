"""An hourly tick of twenty accounts on a year of hourly data, and the memory and disk of many."""

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
TICKS, SHORT_DAYS, FLAT = (50, 250, 500), 60, 1.05


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


def measure_memory() -> None:
    """Print the memory of the process and the disk space of the account after some ticks."""
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(data_dir=f"{name}/data", results_dir=f"{name}/results")
        write_sample(settings.data_dir, days=SHORT_DAYS)
        (one, *_), start, found = accounts(1), SINCE + timedelta(days=2), []
        for number in range(1, max(TICKS) + 1):
            tick(settings, [one], start + timedelta(hours=number))
            if number in TICKS:
                files = [file for file in settings.results_dir.rglob("*") if file.is_file()]
                size = sum(file.stat().st_size for file in files) / 1e6
                found.append(resident_mb())
                print(
                    f"after {number} ticks   {found[-1]:.0f} MB of memory, {size:.1f} MB on disk "
                    f"in {len(files)} files"
                )
    print(f"memory: {'flat' if found[-1] <= FLAT * found[0] else 'GROWS'}")


def main() -> None:
    """Print processor seconds of a tick, and memory and disk space over many."""
    os.environ["OMP_NUM_THREADS"] = "1"
    measure_time()
    measure_memory()
