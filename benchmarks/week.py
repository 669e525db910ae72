"""A week of two accounts with a tick in every hour, and with everything that goes wrong.

Feeds come from an exchange and a node on this machine. Not among the benchmarks that run unasked:
it takes minutes. It proves more than it measures, and stops at the first hour that is not right.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

from basis_pipeline.market.sample import write_sample
from basis_pipeline.operations.accounts.signals import signal_history
from benchmarks.measuring import Timing
from tests.market.fetch.clock import ms
from tests.orchestration.account_week import (
    ETH_PERP,
    GOOD,
    HOURS,
    KILL,
    LATE,
    LATE_SETTLEMENT,
    OUTAGE,
    REVISED,
    REVISED_BAR,
    STALE,
    Week,
    account_week,
)

SHORTEST_DAYS = 60
REVISED_AT = REVISED_BAR + 5


def expected(hour: int) -> tuple[int | None, dict[str, bool]]:
    """What the account of the perpetual comes to: a feed may be two hours old."""
    for late in (OUTAGE, LATE):
        if hour in late:
            return late.start - 2, STALE if hour > late.start else GOOD
    return hour - 1 if hour > 1 else None, REVISED if hour == REVISED_AT else GOOD


def lent(hour: int) -> int | None:
    """What the account that lends comes to: it moves once a day, when a block is final."""
    return (hour - 1) // 24 * 24 or None


def disturb(week: Week, hour: int, settlement: float) -> None:
    """Let happen what happens before a tick."""
    funding, stamp = week.quotes.funding[ETH_PERP], ms(LATE_SETTLEMENT)
    if hour == OUTAGE.start:
        week.fail_bars()
    elif hour == OUTAGE.stop:
        week.exchange.faults.clear()
    elif hour == LATE.start - 1:
        del funding[stamp]
    elif hour == LATE.stop:
        funding[stamp] = settlement
    elif hour == REVISED_AT:
        week.revise_bar(REVISED_BAR)
    elif hour == KILL:
        week.killed(KILL)


def run_week(week: Week) -> Timing:
    """Tick in every hour; seconds of each of the two accounts' ticks with its check."""
    seconds, revision = [], None
    settlement = week.quotes.funding[ETH_PERP][ms(LATE_SETTLEMENT)]
    for hour in range(1, HOURS + 1):
        disturb(week, hour, settlement)
        for account, due in (("carry", expected(hour)), ("lent", (lent(hour), GOOD))):
            before = time.perf_counter()
            found = week.run(hour, account)
            seconds.append(time.perf_counter() - before)
            assert found == due, f"{account}, hour {hour}: {found}, not {due}"
        if hour == REVISED_AT:
            revision = week.accept()
        if hour % 24 == 0:
            print(f"{hour} hours, each equal to the backtest in one go", flush=True)
    assert revision is not None
    week.require_named_once(revision)
    return Timing(tuple(seconds))


def require_each_hour_once(week: Week) -> None:
    """One event and one row of a signal for every hour that an account came to."""
    for account, reached in (
        ("carry", {expected(hour)[0] for hour in range(1, HOURS + 1)}),
        ("lent", {lent(hour) for hour in range(1, HOURS + 1)}),
    ):
        due = sorted(hour for hour in reached if hour is not None)
        assert week.signaled(account) == due
        rows = Counter(row.hour for row in signal_history(week.settings, account, limit=1000))
        assert len(rows) == len(due)
        assert set(rows.values()) == {1}
        print(f"{account}: {len(due)} signals for {len(due)} hours, none twice")


def main() -> None:
    """Print what holds at every hour."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_sample(place / "sample", days=SHORTEST_DAYS)
        with account_week(place / "week", place / "sample") as week:
            seconds = run_week(week)
            require_each_hour_once(week)
        print(
            f"{len(seconds.seconds)} ticks with their checks: {seconds.median:.2f} s median, "
            f"{max(seconds.seconds):.2f} s longest\n"
            "outage of five hours, late settlement, revised bar: named once each"
        )
