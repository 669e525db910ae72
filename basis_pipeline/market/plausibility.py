"""Implausible data: values beyond hard limits, and feeds with too many unusual rows.

The outlier bounds of a dataset file cause warnings, since crises are real. The limits here reject
the feed, with the first row at fault and the likely cause.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig, OutlierBounds
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.market.causes import unit_of
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import DistinctRows
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import format_time
from basis_pipeline.times import DAY_NS
from basis_pipeline.verdict import SHOWN_ROWS, count_of

PRICES = ("open", "high", "low", "close")
# Lowest and highest value of a column by kind; `limits` of the dataset file overrides it.
LIMITS: dict[Kind, dict[str, tuple[float, float]]] = {
    **dict.fromkeys(BARS, dict.fromkeys(PRICES, (1e-9, 1e7))),
    Kind.FUNDING: {"funding_rate": (-0.03, 0.03)},
    Kind.LENDING_RATES: {
        "liquidity_index": (0.99, 100.0),
        "variable_borrow_index": (0.99, 100.0),
        "liquidity_rate": (0.0, 10.0),
        "variable_borrow_rate": (0.0, 10.0),
        "price_usd": (1e-6, 1e7),
    },
    Kind.ORACLE: {"oracle_rate": (0.5, 5.0)},
    Kind.PEG: {"market_rate": (0.2, 5.0)},
    Kind.GAS: {"base_fee_gwei": (1e-5, 2e4), "priority_fee_p50_gwei": (0.0, 2e4)},
    Kind.EXECUTION_COSTS: {"cost_bps": (0.0, 2_000.0)},
    Kind.REWARDS: dict.fromkeys(("tokens_per_unit", "stated_per_unit"), (0.0, 100.0)),
    Kind.BENCHMARK: {"apr": (-0.5, 2.0)},
    Kind.RISK_PARAMS: {"value": (0.0, 1.0)},
}
# Largest change of the logarithm between two rows at most two days apart.
STEPS: dict[Kind, dict[str, float]] = {
    **{kind: {"open": 1.0} for kind in BARS},
    Kind.LENDING_RATES: {"price_usd": 1.5},
    Kind.ORACLE: {"oracle_rate": 0.1},
    Kind.PEG: {"market_rate": 0.7},
}
# A feed is rejected when more than this share of its rows, and at least so many, are unusual.
UNUSUAL_SHARE = 0.05
MIN_UNUSUAL_ROWS = 6
ROUNDING = 1e-6
# Difference of yearly growth of an index and the rate in its row: unusual, and impossible.
GROWTH_UNUSUAL, GROWTH_LIMIT = 0.15, 1.0
_INDICES = (
    ("liquidity_index", "liquidity_rate"),
    ("variable_borrow_index", "variable_borrow_rate"),
)


def limits_of(config: DatasetConfig) -> dict[str, tuple[float, float]]:
    """Return lowest and highest value by column; `price` in the file applies to all of a bar."""
    stated = dict(config.limits)
    price = stated.pop("price", None)
    return {
        **LIMITS.get(config.kind, {}),
        **(dict.fromkeys(PRICES, price) if price else {}),
        **stated,
    }


def require_limits(
    frame: pd.DataFrame, config: DatasetConfig, file: str, place: Callable[[int], str] | None
) -> None:
    """Reject values beyond their hard limits: DATA-016 with line or key.

    Parameters
    ----------
    frame: rows of one file, with the columns of the file.
    place: returns the position of a row in its file; None for a document, located by keys.
    """
    raw = {column.to: name for name, column in config.columns.items()}
    for name, limits in limits_of(config).items():
        if raw.get(name, name) not in frame:
            continue  # some kinds use one of several columns
        values = frame[raw.get(name, name)].to_numpy(dtype=np.float64)
        wrong = (values < limits[0]) | (values > limits[1])
        if config.kind is Kind.RISK_PARAMS:
            wrong &= frame["parameter"].isin(config.required_keys).to_numpy()
        if not wrong.any():
            continue
        at = int(np.argmax(wrong))
        there = place(at) if place else _key(frame.iloc[at], config)
        unusual = wrong | _beyond_level(values, name, config)
        cause = _unit(values[unusual], unusual.mean(), limits, config.kind)
        raise RejectedDataError(
            "DATA-016",
            f"{file}: {there}: {raw.get(name, name)} is {values[at]:.6g}, outside of "
            f"{limits[0]:g} … {limits[1]:g}; {count_of(int(wrong.sum()), 'such row')}{cause}",
            where=file,
            offending=frame[wrong].head(SHOWN_ROWS),
        )


def _key(row: pd.Series, config: DatasetConfig) -> str:
    if config.kind is Kind.RISK_PARAMS:
        return str(row["parameter"])
    return f"{row['pair']}, {row['size_bucket_usd']:.0f} USD, {row['timestamp']:%Y-%m-%d}"


def _beyond_level(values: Floats, name: str, config: DatasetConfig) -> npt.NDArray[np.bool_]:
    levels = [b.max_abs for b in config.outliers if b.column == name and b.max_abs is not None]
    return np.abs(values) > min(levels, default=np.inf)


def _unit(values: Floats, share: float, limits: tuple[float, float], kind: Kind) -> str:
    """Clause with the likely unit, where too many values are unusual for single mistakes."""
    if share <= UNUSUAL_SHARE:
        return ""
    cause = unit_of(values, kind, limits)
    return f": {cause}" if cause else ""


def require_plausible(rows: DistinctRows, config: DatasetConfig, files: str) -> None:
    """Reject an implausible feed: DATA-016 with the first row at fault and the cause."""
    if config.is_document:
        return
    frame = rows.frame
    if config.kind in BARS:
        _require_brackets(frame, config, files)
    for column, limit in STEPS.get(config.kind, {}).items():
        _require_steps(frame, column, limit, config, files)
    for bounds in config.outliers:
        _require_usual(frame, bounds, config, files)
    if config.kind is Kind.LENDING_RATES:
        _require_growth_at_rates(frame, config, files)


def _require_brackets(frame: pd.DataFrame, config: DatasetConfig, files: str) -> None:
    low, high = frame["low"].to_numpy(), frame["high"].to_numpy()
    inner = frame[["open", "close"]].to_numpy()
    wrong = (low > inner.min(axis=1) * (1.0 + ROUNDING)) | (low > high)
    wrong |= inner.max(axis=1) > high * (1.0 + ROUNDING)
    if not wrong.any():
        return
    row = frame.iloc[int(np.argmax(wrong))]
    raise RejectedDataError(
        "DATA-016",
        f"{config.name}: the bar at {row['timestamp']:%Y-%m-%d %H:%M} has low {row['low']:g} and "
        f"high {row['high']:g} around open {row['open']:g} and close {row['close']:g}; "
        f"{count_of(int(wrong.sum()), 'such bar')}: columns that are swapped, or not one bar",
        where=files,
        offending=frame[wrong].head(SHOWN_ROWS),
    )


def _require_steps(
    frame: pd.DataFrame, column: str, limit: float, config: DatasetConfig, files: str
) -> None:
    values = frame[column].to_numpy()
    timestamps = pd.DatetimeIndex(frame["timestamp"]).asi8
    steps = np.abs(np.diff(np.log(values)))
    wrong = (steps > limit) & (np.diff(timestamps) <= 2 * DAY_NS)
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    times = values[at + 1] / values[at]
    raise RejectedDataError(
        "DATA-016",
        f"{config.name}: {column} goes from {values[at]:.6g} at {format_time(timestamps[at])} to "
        f"{values[at + 1]:.6g} at {format_time(timestamps[at + 1])}, {times:.4g} times as much, "
        f"and at most {np.exp(limit):.3g} times is possible: another unit or another symbol "
        f"from there on",
        where=files,
        offending=frame.iloc[[at, at + 1]],
    )


def _require_usual(
    frame: pd.DataFrame, bounds: OutlierBounds, config: DatasetConfig, files: str
) -> None:
    wrong = excess(frame, bounds) > 1.0
    share = float(wrong.mean()) if len(wrong) else 0.0
    if share <= UNUSUAL_SHARE or wrong.sum() < MIN_UNUSUAL_ROWS:
        return
    at = int(np.argmax(wrong))
    values = frame.loc[wrong, bounds.column].to_numpy()
    level = bounds.max_abs
    cause = _unit(values, share, (-level, level), config.kind) if level else ""
    first = frame.iloc[at]
    raise RejectedDataError(
        "DATA-016",
        f"{config.name}: {share:.1%} of the rows are beyond the usual bounds of {bounds.column} "
        f"({bounds}), and at most {UNUSUAL_SHARE:.0%} are allowed; the first is "
        f"{first[bounds.column]:.6g} at {first['timestamp']:%Y-%m-%d %H:%M}{cause}",
        where=files,
        offending=frame[wrong].head(SHOWN_ROWS),
    )


def excess(frame: pd.DataFrame, bounds: OutlierBounds) -> Floats:
    """Return each row's value or change as a multiple of its bound, (n,); above 1 is beyond."""
    values = frame[bounds.column].to_numpy(dtype=np.float64)
    times = np.zeros(len(values))
    if bounds.max_abs is not None:
        times = np.maximum(times, np.abs(values) / bounds.max_abs)
    if bounds.max_log_change is not None and len(values):
        # Values without a logarithm are not prices; the schema rejects them.
        logs = np.log(np.where(values > 0.0, values, np.nan))
        change = np.nan_to_num(np.abs(np.diff(logs, prepend=logs[0])))
        times = np.maximum(times, change / bounds.max_log_change)
    return times


def growth_differences(frame: pd.DataFrame) -> Iterator[tuple[str, Floats]]:
    """Yield each index with its yearly growth less the stated rate, (n,); 0.0 at the first row.

    The rate between two rows is the mean of their rates.
    """
    days = np.diff(pd.DatetimeIndex(frame["timestamp"]).asi8) / DAY_NS
    for index, rate in _INDICES:
        if rate not in frame:
            continue
        growth = np.diff(np.log(frame[index].to_numpy())) * 365.0 / days
        stated = frame[rate].to_numpy()
        yield index, np.append(0.0, growth - (stated[1:] + stated[:-1]) / 2.0)[: len(frame)]


def _require_growth_at_rates(frame: pd.DataFrame, config: DatasetConfig, files: str) -> None:
    supply, borrow = (frame[index].to_numpy() for index, _ in _INDICES)
    swapped = supply > borrow * (1.0 + 1e-9)
    if swapped.any():
        at = int(np.argmax(swapped))
        raise RejectedDataError(
            "DATA-016",
            f"{config.name}: liquidity_index {supply[at]:.8g} is above variable_borrow_index "
            f"{borrow[at]:.8g} at {frame['timestamp'].iloc[at]:%Y-%m-%d}, and debt always "
            "grows faster: the columns of the two indices are swapped, or belong to two reserves",
            where=files,
            offending=frame[swapped].head(SHOWN_ROWS),
        )
    for index, difference in growth_differences(frame):
        wrong = np.abs(difference) > GROWTH_LIMIT
        if not wrong.any():
            continue
        at = int(np.argmax(wrong))
        before, after = frame[index].iloc[[at - 1, at]]
        raise RejectedDataError(
            "DATA-016",
            f"{config.name}: {index} goes from {before:.8g} to {after:.8g} at "
            f"{frame['timestamp'].iloc[at]:%Y-%m-%d}: its growth and the rate in its own row "
            f"differ by {difference[at]:+.3g} a year, and at most {GROWTH_LIMIT:g} is possible: "
            "a factor or another reserve from there on, or a rate in another unit",
            where=files,
            offending=frame[wrong].head(SHOWN_ROWS),
        )
