"""The likely cause of implausible values, found by testing possible explanations.

A cause is a clause for a message: another unit, shifted hours, bars labelled by their close, a
reversed sign, another symbol. It is empty when no test fits.
"""

from dataclasses import dataclass

import numpy as np

from basis_pipeline.config.dataset import Agreement
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64
from basis_pipeline.times import HOUR_NS

# Factors between a value in another unit and the right one, the likeliest first.
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
MIN_CORRELATION = 0.4  # of changes: from here on quotes move together
SAME_MARKET_CORRELATION = 0.95  # of changes: from here on they are quotes of the same market
LOG_RATIO_TOLERANCE = 0.2  # of the logarithm of a ratio
MIN_ROWS = 48
MAX_SHIFT_HOURS = 24
MAX_PREMIUM = 0.05


def unit_of(values: Floats, kind: Kind, limits: tuple[float, float]) -> str:
    """Return which unit would bring the values, (n,), within the limits; empty if none does."""
    low, high = limits
    if kind in BARS and low > 1.0 and np.median(np.abs(values)) < MAX_PREMIUM:
        return "they look like a premium index or a rate, not like a price"
    for unit, factor in UNITS.get(kind, ()):
        scaled = values / factor
        if ((scaled >= low) & (scaled <= high)).mean() > 0.95:
            return f"they look like {unit}"
    return ""


@dataclass(frozen=True, slots=True)
class QuoteSeries:
    """Quotes of one feed: name, strictly increasing timestamps (n,) in ns, and values (n,)."""

    name: str
    timestamps: Int64
    values: Floats


@dataclass(frozen=True, slots=True)
class Comparison:
    """A feed compared with another quote of the same thing.

    median_bp: median difference [bp] over their common timestamps; NaN without any.
    cause: what would explain a difference; empty where no test fits.
    certain: whether the quotes differ by more than the rule allows and agree once the cause is
        corrected; a reversed sign is certain for any size of the rates.
    """

    peer: str
    median_bp: float
    cause: str = ""
    certain: bool = False


def compare_quotes(own: QuoteSeries, peer: QuoteSeries, kind: Kind, rule: Agreement) -> Comparison:
    """Compare two quotes, and test possible causes of a difference."""
    correlation, median, rows = _compare(own, peer, 0, rule)
    suspect = correlation < MIN_CORRELATION or median > rule.max_median_bp
    if suspect and (shift := _best_shift(own, peer, correlation, rule)):
        hours, best, shifted_median = shift
        cause = (
            f"its changes follow those of {peer.name} with a correlation of {best:.2f} when its "
            f"rows are moved by {hours:+d} h, and of {correlation:.2f} otherwise: "
        )
        certain = shifted_median <= rule.max_median_bp < median
        return Comparison(peer.name, median, cause + _shift_name(hours, kind), certain)
    if rows < MIN_ROWS or (median <= rule.max_median_bp and correlation > -MIN_CORRELATION):
        return Comparison(peer.name, median)
    return Comparison(peer.name, median, *_scale(own, peer, correlation, kind))


def _compare(
    own: QuoteSeries, peer: QuoteSeries, hours: int, rule: Agreement
) -> tuple[float, float, int]:
    """Correlation of changes, median difference [bp] and rows, the feed moved by some hours."""
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
    own: QuoteSeries, peer: QuoteSeries, correlation: float, rule: Agreement
) -> tuple[int, float, float] | None:
    """Return the shift [hours] that fits best, its correlation and median difference [bp]."""
    best, found = max(0.3, correlation + 0.2), None
    for hours in range(-MAX_SHIFT_HOURS, MAX_SHIFT_HOURS + 1):
        moved, median, rows = _compare(own, peer, hours, rule)
        # Chance alone reaches about 4 / sqrt(rows).
        if hours and rows >= MIN_ROWS and moved > max(best, 4.0 / np.sqrt(rows)):
            best, found = moved, (hours, moved, median)
    return found


def _shift_name(hours: int, kind: Kind) -> str:
    if kind is Kind.FUNDING:
        return "its settlements are shifted"
    return "its bars are labelled by their close" if hours == -1 else "its hours are shifted"


def _scale(own: QuoteSeries, peer: QuoteSeries, correlation: float, kind: Kind) -> tuple[str, bool]:
    """Test a reversed sign, another unit and another symbol; return cause and certainty."""
    if correlation <= -MIN_CORRELATION:
        return f"its sign is the reverse of that of {peer.name}", True
    times = float(np.median(np.abs(own.values)) / np.median(np.abs(peer.values)))
    for unit, factor in UNITS.get(kind, ()):
        if abs(np.log(times / factor)) < LOG_RATIO_TOLERANCE:
            return (
                f"its values are {times:.3g} times those of {peer.name}: they look like {unit}",
                True,
            )
    if kind in BARS and abs(np.log(times)) > LOG_RATIO_TOLERANCE:
        same = (
            "one market in another unit"
            if correlation > SAME_MARKET_CORRELATION
            else "another symbol"
        )
        return (
            f"its values are {times:.3g} times those of {peer.name} and their changes correlate by "
            f"{correlation:.2f}: {same}"
        ), False
    return "", False
