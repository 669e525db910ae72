"""Reward programmes by hour: what a staked unit earns, and when it is paid (SEMANTICS 3).

A payout follows days after its period, while later periods already earn: each period accrues in its
own slot, and a slot is reused after its payout.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64
from basis_pipeline.times import DAY_NS, HOUR_NS


def reward_arrays(programmes: Sequence[pd.DataFrame], hours: Int64) -> dict[str, Floats]:
    """Return the reward arrays of a panel, (n, R) each.

    Parameters
    ----------
    programmes: by token, its periods: period_start, period_end (the last day), timestamp (of the
        payout) and tokens_per_unit of the whole period. Periods of one token do not overlap.
    hours: every hour of the window, in ns.
    """
    shape = (len(hours), len(programmes))
    arrays = {
        "reward_tokens_per_unit": np.zeros(shape),
        "reward_slot": np.zeros(shape),
        "reward_payout": np.full(shape, -1.0),
    }
    for column, periods in enumerate(programmes):
        _add_periods({name: array[:, column] for name, array in arrays.items()}, periods, hours)
    return arrays


def _add_periods(arrays: dict[str, Floats], periods: pd.DataFrame, hours: Int64) -> None:
    paid_until: list[int] = []  # by slot, the row of its latest payout
    slots: dict[int, int] = {}  # row of a payout -> its slot
    ordered = periods.sort_values("period_start", kind="stable")
    begins, ends, payouts = (
        pd.DatetimeIndex(ordered[name]).asi8 for name in ("period_start", "period_end", "timestamp")
    )
    ends = ends + DAY_NS
    rates = ordered["tokens_per_unit"].to_numpy() / ((ends - begins) / HOUR_NS)
    # A period's first hour ends one hour after its 00:00.
    firsts, lasts = (np.searchsorted(hours, times, side="right") for times in (begins, ends))
    rows = np.searchsorted(hours, payouts)
    for first, last, row, rate in zip(firsts, lasts, rows.tolist(), rates, strict=True):
        if first == last or row == len(hours):
            continue
        if row not in slots:
            free = [i for i, paid in enumerate(paid_until) if paid < first]
            slots[row] = free[0] if free else len(paid_until)
            paid_until[slots[row] : slots[row] + 1] = [row]
        arrays["reward_tokens_per_unit"][first:last] = rate
        arrays["reward_slot"][first:last] = slots[row]
        arrays["reward_payout"][row] = slots[row]
