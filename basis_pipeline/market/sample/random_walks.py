"""Random draws that are the same bits on every machine and with every numpy.

Only PCG64's raw words are promised never to change; numpy's distributions are not, and `exp` and
`log` differ in their last bit between processors. So the sample draws from raw words and computes
with correctly rounded operations alone: + − × ÷ and square roots, in a fixed order.
"""

from itertools import accumulate
from math import sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RandomStreams:
    """Named streams of one seed: a new series never shifts the draws of another."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def normal(self, series: str, count: int) -> Floats:
        """`count` standard normal draws of the stream `series`.

        Each is a sum of twelve 16-bit words, exact in integers, so at most 6 away from 0.
        """
        sequence = np.random.SeedSequence(self.seed, spawn_key=(crc32(series.encode()),))
        words = np.random.PCG64(sequence).random_raw(3 * count).astype("<u8")
        sums = words.view("<u2").reshape(count, 12).sum(axis=1, dtype=np.int64)
        return np.asarray((sums - 6.0 * 65535.0) / 65536.0, dtype=np.float64)

    def mean_reverting(self, series: str, count: int, life: float) -> Floats:
        """A stationary process of mean 0 and variance 1 that forgets over `life` steps."""
        kept = 1.0 - 1.0 / life
        shocks = self.normal(series, count)
        shocks[1:] *= sqrt(1.0 - kept * kept)
        return np.fromiter(accumulate(shocks.tolist(), lambda x, z: kept * x + z), float, count)


def compound(start: float, growth: Floats) -> Floats:
    """`start` and its value after each step's growth; one longer than `growth`."""
    return start * np.cumprod(np.concatenate([[1.0], 1.0 + growth]))


def anchored_path(start: float, yearly_drift: float, returns: Floats, pull: float) -> Floats:
    """A price path with the given hourly returns, held near its trend.

    `pull` is the part of the distance from the trend that a year wins back, so that levels stay
    plausible whatever the seed. One longer than `returns`.
    """
    hourly_pull, step = pull / 8760.0, 1.0 + yearly_drift / 8760.0
    price = anchor = start
    path = [price]
    for change in returns.tolist():
        price *= 1.0 + change - hourly_pull * (price / anchor - 1.0)
        anchor *= step
        path.append(price)
    return np.array(path)
