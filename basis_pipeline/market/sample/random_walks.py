"""Random draws that are identical to the bit on every machine and with every numpy version.

numpy guarantees only the raw words of PCG64, not its distributions, and `exp` and `log` differ in
their last bit between processors. The sample therefore draws raw words and uses only correctly
rounded operations: + − × ÷ and square roots, in a fixed order.
"""

from itertools import accumulate
from math import sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class RandomStreams:
    """Named streams of one seed: a new series does not change the draws of another."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def normal(self, series: str, count: int) -> Floats:
        """Draw `count` approximately standard normal values from the stream `series`.

        Each is a sum of twelve 16-bit words, exact in integers, and thus within 6 of 0.
        """
        sequence = np.random.SeedSequence(self.seed, spawn_key=(crc32(series.encode()),))
        words = np.random.PCG64(sequence).random_raw(3 * count).astype("<u8")
        sums = words.view("<u2").reshape(count, 12).sum(axis=1, dtype=np.int64)
        return np.asarray((sums - 6.0 * 65535.0) / 65536.0, dtype=np.float64)

    def mean_reverting(self, series: str, count: int, life: float) -> Floats:
        """Draw a stationary process of mean 0, variance 1 and a decay time of `life` steps."""
        kept = 1.0 - 1.0 / life
        shocks = self.normal(series, count)
        shocks[1:] *= sqrt(1.0 - kept * kept)
        return np.fromiter(accumulate(shocks.tolist(), lambda x, z: kept * x + z), float, count)


def compound(start: float, growth: Floats) -> Floats:
    """Return `start` and its value after each step's growth; one longer than `growth`."""
    return start * np.cumprod(np.concatenate([[1.0], 1.0 + growth]))


def anchored_path(start: float, yearly_drift: float, returns: Floats, pull: float) -> Floats:
    """Return a price path with the given hourly returns that reverts to its trend.

    `pull` is the yearly rate of reversion, which keeps levels plausible for every seed. The path is
    one longer than `returns`.
    """
    hourly_pull, step = pull / 8760.0, 1.0 + yearly_drift / 8760.0
    price = anchor = start
    path = [price]
    for change in returns.tolist():
        price *= 1.0 + change - hourly_pull * (price / anchor - 1.0)
        anchor *= step
        path.append(price)
    return np.array(path)
