"""The likely cause of implausible values, found by testing what would explain them.

A cause is one clause for a message, empty where no test fits: a unit, hours that are shifted, bars
labelled by their close, a reversed sign, another symbol.
"""

from dataclasses import dataclass

import numpy as np

from basis_pipeline.config.dataset import Agreement
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64
from basis_pipeline.times import HOUR_NS

# What a value of another unit is as a multiple of the right one, the likeliest first.
_SHARES = (("percent", 1e2), ("basis points", 1e4))
_TOKENS = (("wei", 1e18), ("ray", 1e27))
UNITS: dict[Kind, tuple[tuple[str, float], ...]] = {
    Kind.FUNDING: _SHARES,
    Kind.BENCHMARK: _SHARES,
    Kind.RISK_PARAMS: _SHARES,
    Kind.LENDING_RATES: (*_SHARES, *_TOKENS),
    Kind.ORACLE: _TOKENS,
    Kind.PEG: _TOKENS,
    Kind.REWARDS: _TOKENS,
    Kind.GAS: (("wei", 1e9), ("whole coins", 1e-9)),
    **dict.fromkeys(BARS, (("thousandths", 1e3), ("thousands", 1e-3), *_TOKENS)),
}
FOLLOWS = 0.4  # correlation of changes from which quotes move together
SAME = 0.95  # and from which they are the same market
TOLERANCE = 0.2  # of the logarithm of a ratio
FEWEST_ROWS = 48
FARTHEST_HOURS = 24
PREMIUM = 0.05


def unit_of(values: Floats, kind: Kind, limits: tuple[float, float]) -> str:
    """Test whether the values, (n,), would lie within the limits in another unit."""
    low, high = limits
    if kind in BARS and low > 1.0 and np.median(np.abs(values)) < PREMIUM:
        return "they look like a premium index or a rate, not like a price"
    for unit, factor in UNITS.get(kind, ()):
        scaled = values / factor
        if ((scaled >= low) & (scaled <= high)).mean() > 0.95:
            return f"they look like {unit}"
    return ""


@dataclass(frozen=True, slots=True)
class Series:
    """Quotes of one feed: its name, timestamps (n,) in ns, strictly increasing, and values (n,)."""

    name: str
    timestamps: Int64
    values: Floats


@dataclass(frozen=True, slots=True)
class Relation:
    """How a feed stands to another quote of the same thing.

    median_bp: median difference [bp] over their common timestamps; NaN without any.
    cause: what would explain a difference; empty where no test fits.
    certain: whether the quotes differ by more than the rule allows, and agree once the cause is
        undone; a reversed sign is certain however small the rates are.
    """

    peer: str
    median_bp: float
    cause: str = ""
    certain: bool = False


def relation(own: Series, peer: Series, kind: Kind, rule: Agreement) -> Relation:
    """Compare two quotes, and test what would explain that they differ."""
    correlation, median, rows = _compare(own, peer, 0, rule)
    suspect = correlation < FOLLOWS or median > rule.max_median_bp
    if suspect and (shift := _best_shift(own, peer, correlation, rule)):
        hours, best, shifted_median = shift
        cause = (
            f"its changes follow those of {peer.name} with a correlation of {best:.2f} when its "
            f"rows are moved by {hours:+d} h, and of {correlation:.2f} as they stand: "
        )
        certain = shifted_median <= rule.max_median_bp < median
        return Relation(peer.name, median, cause + _shift_name(hours, kind), certain)
    if rows < FEWEST_ROWS or (median <= rule.max_median_bp and correlation > -FOLLOWS):
        return Relation(peer.name, median)
    return Relation(peer.name, median, *_scale(own, peer, correlation, kind))


def _compare(own: Series, peer: Series, hours: int, rule: Agreement) -> tuple[float, float, int]:
    """Correlation of changes and median difference [bp], with the feed's rows moved by hours."""
    moved = own.timestamps + hours * HOUR_NS
    _, mine, others = np.intersect1d(
        moved, peer.timestamps, assume_unique=True, return_indices=True
    )
    pair = np.array([own.values[mine], peer.values[others]])
    if pair.shape[1] < 3:
        return 0.0, float("nan"), pair.shape[1]
    scale = pair[1] if rule.relative else 1.0
    median = float(np.median(np.abs((pair[0] - pair[1]) / scale)) * 1e4)
    changes = np.diff(np.log(pair) if rule.relative else pair)
    constant = (changes == changes[:, :1]).all(axis=1).any()
    correlation = 0.0 if constant else float(np.corrcoef(changes)[0, 1])
    return correlation, median, pair.shape[1]


def _best_shift(
    own: Series, peer: Series, correlation: float, rule: Agreement
) -> tuple[int, float, float] | None:
    """Hours by which the feed's rows must be moved, the correlation then, and the median [bp]."""
    best, found = max(0.3, correlation + 0.2), None
    for hours in range(-FARTHEST_HOURS, FARTHEST_HOURS + 1):
        moved, median, rows = _compare(own, peer, hours, rule)
        # Chance alone reaches about four times one over the root of the number of rows.
        if hours and rows >= FEWEST_ROWS and moved > max(best, 4.0 / np.sqrt(rows)):
            best, found = moved, (hours, moved, median)
    return found


def _shift_name(hours: int, kind: Kind) -> str:
    if kind is Kind.FUNDING:
        return "its settlements are shifted"
    return "its bars are labelled by their close" if hours == -1 else "its hours are shifted"


def _scale(own: Series, peer: Series, correlation: float, kind: Kind) -> tuple[str, bool]:
    """Test a reversed sign, another unit and another symbol, and whether it would agree then."""
    if correlation <= -FOLLOWS:
        return f"its sign is the reverse of that of {peer.name}", True
    times = float(np.median(np.abs(own.values)) / np.median(np.abs(peer.values)))
    for unit, factor in UNITS.get(kind, ()):
        if abs(np.log(times / factor)) < TOLERANCE:
            return (
                f"its values are {times:.3g} times those of {peer.name}: they look like {unit}",
                True,
            )
    if kind in BARS and abs(np.log(times)) > TOLERANCE:
        same = "one market in another unit" if correlation > SAME else "another symbol"
        return (
            f"its values are {times:.3g} times those of {peer.name} and their changes correlate by "
            f"{correlation:.2f}: {same}"
        ), False
    return "", False
