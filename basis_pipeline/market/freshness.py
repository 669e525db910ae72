"""The last hour of a feed, and its age at the present hour."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.grid import settlements
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.timestamps import format_time
from basis_pipeline.times import DAY_NS, HOUR_NS

# Hours that a feed may lag behind the present unless its dataset file states a limit. A bar is
# published when it has ended, a lending index is known between two snapshots, and reward
# programmes publish their payouts late.
MAX_AGE_HOURS = {
    Kind.PERP_BARS: 2,
    Kind.SPOT_BARS: 2,
    Kind.FUNDING: 2,
    Kind.LENDING_RATES: 26,
    Kind.ORACLE: 2,
    Kind.PEG: 2,
    Kind.GAS: 2,
    Kind.EXECUTION_COSTS: 48,
    Kind.REWARDS: 14 * 24,
}
RECENT_SETTLEMENTS = 50
TIMELESS = (Kind.RISK_PARAMS, Kind.BENCHMARK)


@dataclass(frozen=True, slots=True)
class Freshness:
    """The age of a feed.

    Parameters
    ----------
    last: ns, the last full hour that the feed covers; None when it is absent or rejected.
    now: ns, the present hour.
    error: why it cannot be read; empty otherwise.
    """

    feed: str
    last: int | None
    now: int
    max_age_hours: int
    error: str = ""

    @property
    def age_hours(self) -> float:
        """Hours from the last full hour that the feed covers to the present one."""
        return float("inf") if self.last is None else max(0, (self.now - self.last) // HOUR_NS)

    @property
    def is_stale(self) -> bool:
        """Whether the feed is older than allowed."""
        return self.age_hours > self.max_age_hours

    @property
    def description(self) -> str:
        """The age in words."""
        if self.last is None:
            return f"{self.feed} cannot be read: {self.error}"
        end = f"{self.feed} ends at {format_time(self.last)}, {self.age_hours:.0f} h ago"
        return f"{end}; its limit is {self.max_age_hours} h"


def freshness(
    configs: Mapping[str, DatasetConfig],
    feeds: Mapping[str, RawFeed | DataError],
    now: int,
    accruing: Collection[str],
) -> list[Freshness]:
    """Return the age of each feed at the present hour, the oldest first.

    Parameters
    ----------
    configs: by dataset name. now: ns, a full hour.
    accruing: tokens whose lending index is used, not only their price.
    """
    found = []
    for name, config in configs.items():
        if config.kind in TIMELESS:
            continue
        feed, allowed = feeds[name], config.max_age_hours or MAX_AGE_HOURS[config.kind]
        if isinstance(feed, DataError):
            found.append(Freshness(name, None, now, allowed, f"{feed.code}: {feed.what}"))
        else:
            last = last_hour(feed, accrues=config.of.token in accruing)
            found.append(Freshness(name, min(last, now), now, allowed))
    return sorted(found, key=lambda one: (-one.age_hours, one.feed))


def last_hour(feed: RawFeed, *, accrues: bool = True) -> int:
    """Return the last full hour at which a feed's value is known and will not change, in ns.

    A quote is valid until the next one is due, and no settlement or payout happens before the next
    one is due; a lending index, where it is used, needs the snapshot after the hour.
    """
    config, own = feed.config, feed.distinct
    last = int(own.timestamps[-1])
    if config.kind is Kind.REWARDS:
        return _next_payout(feed) - HOUR_NS
    if config.kind is Kind.LENDING_RATES and accrues:
        return last
    step = (config.frequency_hours or 1) * HOUR_NS
    if config.kind is Kind.FUNDING:
        # The intervals of the last settlements determine when the next one is due.
        stated = None if feed.intervals is None else feed.intervals[-RECENT_SETTLEMENTS:]
        due, _ = settlements(own.timestamps[-RECENT_SETTLEMENTS:], last, last + step, step, stated)
        return int(due[due > last][0]) - HOUR_NS
    return last + step - HOUR_NS


def _next_payout(feed: RawFeed) -> int:
    """Return the due time of the next payout: one period of the last payout after it."""
    own, delay = feed.distinct, feed.config.payout_delay_days * DAY_NS
    begins, ends = (own.column(f"period_{at}") for at in ("start", "end"))
    latest = int(np.argmax(own.timestamps))
    length = int(ends[latest] - begins[latest]) + DAY_NS
    return int(own.timestamps[latest]) + delay + length
