"""The crises of a sample: their times and their effect on each series.

Days are those of the default sample of 400 days; other spans scale them.
"""

from dataclasses import dataclass

import numpy as np

from basis_pipeline.market.sample.calendar import Calendar
from basis_pipeline.market.sample.random_walks import Floats

GAS_SPIKE_DAY = 90
DEPEG_DAY = 140
CRASH_DAY = 216
FUNDING_FLIP_DAY = 300
RESTAKING_DAY = 227
ETHFI_FIRST_DAY = 91
EIGEN_FIRST_DAY = 278

CRASH_HOURS = 24
CRASH_HOURLY_RETURN = -0.0158
REBOUND_HOURLY_RETURN = 0.0013
FLIP_HOURS = 7 * 24


@dataclass(frozen=True)
class Crisis:
    """One crisis, as listed in the manifest."""

    name: str
    first: str
    last: str
    what: str


def crises(calendar: Calendar) -> list[Crisis]:
    """List the crises of the span, with first and last hour."""

    def entry(name: str, day: int, hours: int, what: str) -> Crisis:
        first = calendar.hour(day)
        last = min(first + hours, calendar.hours) - 1
        timestamps = calendar.hour_texts
        return Crisis(name, f"{timestamps[first]}Z", f"{timestamps[last]}Z", what)

    return [
        entry("gas_spike", GAS_SPIKE_DAY, 24, "base fee above 800 gwei for two hours, decaying"),
        entry("lst_depeg", DEPEG_DAY, 144, "weETH 3 % below its redemption rate, back in six days"),
        entry("crash", CRASH_DAY, CRASH_HOURS, "BTC and ETH lose 30 % in a day, then half recover"),
        entry("funding_flip", FUNDING_FLIP_DAY, FLIP_HOURS, "shorts pay funding for a week"),
    ]


def crash_returns(calendar: Calendar) -> tuple[Floats, Floats]:
    """Return the crash's added hourly returns and the factor of ordinary returns, (hours,)."""
    added, ordinary = np.zeros(calendar.hours), np.ones(calendar.hours)
    first = calendar.hour(CRASH_DAY)
    end = first + CRASH_HOURS
    added[first:end] = CRASH_HOURLY_RETURN
    ordinary[first:end] = 0.25
    added[end : end + 5 * 24] = REBOUND_HOURLY_RETURN
    return added, ordinary


def flip_weight(calendar: Calendar) -> Floats:
    """Return 1 while funding is negative, else 0, with ramps of half a day; (hours + 1,)."""
    hour = np.arange(calendar.hours + 1)
    first = calendar.hour(FUNDING_FLIP_DAY)
    rise, fall = (hour - (first - 12)) / 12.0, (first + FLIP_HOURS + 12 - hour) / 12.0
    return np.clip(np.minimum(rise, fall), 0.0, 1.0)


def crash_weight(calendar: Calendar) -> Floats:
    """Return 1 in the crash, falling to 0 over two days; (hours + 1,)."""
    hour = np.arange(calendar.hours + 1)
    first = calendar.hour(CRASH_DAY)
    fade = np.clip((first + CRASH_HOURS + 48 - hour) / 48.0, 0.0, 1.0)
    return np.where(hour < first, 0.0, fade)


def depeg(calendar: Calendar) -> Floats:
    """Return the premium that the depeg adds: −3 % within six hours, 0 after six days."""
    since = np.arange(calendar.hours + 1) - calendar.hour(DEPEG_DAY)
    fall = np.clip((since + 1) / 6.0, 0.0, 1.0)
    left = np.clip((144 - since) / 138.0, 0.0, 1.0)
    return np.asarray(-0.03 * fall * left * left, dtype=np.float64)


def gas_spike(calendar: Calendar) -> Floats:
    """Return the base fee [gwei] the spike adds: two hours near 850, then −20 % an hour."""
    added = np.zeros(calendar.hours)
    first = calendar.hour(GAS_SPIKE_DAY)
    decay = np.cumprod(np.full(22, 0.8))
    added[first : first + 24] = 850.0 * np.concatenate([[1.0, 0.98], decay])
    return added
