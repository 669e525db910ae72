"""An hourly tick of twenty accounts on a year of hourly data, and the memory of many ticks."""

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

ACCOUNTS, TARGET_SECONDS, TICKS = 20, 5.0, 500
SINCE, DAYS = datetime(2024, 1, 3, tzinfo=UTC), 400
# What carries an hour in the middle of a day: the index of a lending protocol is daily.
MODES = ("btc_basis", "eth_basis", "eth_staking_only", "usdt_market_neutral_no_leverage")
FEW_TICKS, SHORT_DAYS, FLAT = 50, 60, 1.05


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


def main() -> None:
    """Print processor seconds of a tick, and memory after a few ticks and after many."""
    os.environ["OMP_NUM_THREADS"] = "1"
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
    with tempfile.TemporaryDirectory() as name:
        settings = load_settings(data_dir=f"{name}/data", results_dir=f"{name}/results")
        write_sample(settings.data_dir, days=SHORT_DAYS)
        (one, *_), start, early = accounts(1), SINCE + timedelta(days=2), 0.0
        for number in range(TICKS):
            tick(settings, [one], start + timedelta(hours=number))
            if number == FEW_TICKS:
                early = resident_mb()
        late = resident_mb()
    flat = "flat" if late <= FLAT * early else "GROWS"
    print(f"memory {early:.0f} MB after {FEW_TICKS} ticks, {late:.0f} MB after {TICKS}: {flat}")
