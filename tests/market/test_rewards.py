"""Reward programmes hour by hour: earned over a period, paid days after it."""

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.market.rewards import reward_arrays


def programme(*periods: tuple[str, str, str, float]) -> pd.DataFrame:
    """Return periods by first day, last day, payout and tokens per unit."""
    frame = pd.DataFrame(
        periods, columns=["period_start", "period_end", "timestamp", "tokens_per_unit"]
    )
    for name in ("period_start", "period_end", "timestamp"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("ns")
    return frame


def hours(start: str, end: str) -> np.ndarray:
    """Return every hour of a window, in ns."""
    return pd.date_range(start, end, freq="h", tz="UTC", unit="ns").asi8


def paid(arrays: dict[str, np.ndarray]) -> dict[int, float]:
    """Return what one unit held throughout receives, by row of the payout."""
    pending = np.zeros(int(arrays["reward_slot"].max()) + 1)
    received = {}
    columns = (array[:, 0] for array in arrays.values())
    for t, (earned, slot, payout) in enumerate(zip(*columns, strict=True)):
        pending[int(slot)] += earned if t else 0.0  # nothing is held before the first hour
        if payout >= 0:
            received[t] = pending[int(payout)]
            pending[int(payout)] = 0.0
    return received


WEEKS = programme(
    ("2024-10-06", "2024-10-12", "2024-10-24", 0.7),
    ("2024-10-13", "2024-10-19", "2024-10-31", 1.4),
    ("2024-10-20", "2024-10-26", "2024-11-07", 2.1),
)


def test_each_period_is_paid_at_its_own_time_in_whole() -> None:
    """Three periods overlap with each other's delays; none takes from another."""
    arrays = reward_arrays([WEEKS], hours("2024-10-01", "2024-11-10"))
    assert paid(arrays) == {
        24 * 23: pytest.approx(0.7),
        24 * 30: pytest.approx(1.4),
        24 * 37: pytest.approx(2.1),
    }
    assert arrays["reward_slot"].max() <= 2


def test_a_period_that_the_run_cuts_counts_by_its_share() -> None:
    """A run that begins on the period's fourth day at 06:00 gets 93 of 168 hours."""
    arrays = reward_arrays([WEEKS], hours("2024-10-09T03:00", "2024-10-30"))
    assert paid(arrays) == {357: pytest.approx(0.7 * 93 / 168)}
    # What is paid after the run's end is not the run's.
    assert (arrays["reward_tokens_per_unit"][24 * 5 :] == 0.0).all()


def test_a_slot_is_used_again_once_it_was_paid() -> None:
    """A long programme needs as many slots as periods wait at once, not as it has periods."""
    days = pd.date_range("2024-01-01", periods=40, tz="UTC")
    rows = [(f"{d:%Y-%m-%d}",) * 2 + (f"{d + pd.Timedelta(days=3):%Y-%m-%d}", 1.0) for d in days]
    arrays = reward_arrays([programme(*rows)], hours("2024-01-01", "2024-02-20"))
    assert arrays["reward_slot"].max() <= 3
    assert sum(paid(arrays).values()) == pytest.approx(40.0)
