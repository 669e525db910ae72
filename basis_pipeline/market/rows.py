"""Validation of raw rows, and their canonical form."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, format_time, snap, to_index
from basis_pipeline.verdict import SHOWN_ROWS, count_of


@dataclass(frozen=True, slots=True)
class DistinctRows:
    """Rows of a feed in order of time, each once.

    timestamps: (n,) int64 ns, snapped to the hour within its rule; zeros without time.
    values: (n, c) float64 in the order of `columns`; dates as ns.
    rows: (n,) position of each row in the raw frame.
    """

    timestamps: Int64
    values: Floats
    columns: tuple[str, ...]
    rows: Int64

    def column(self, name: str) -> Floats:
        """Return the values of one canonical column, (n,)."""
        return self.values[:, self.columns.index(name)]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows by canonical column, with `timestamp`."""
        values = pd.DataFrame(self.values, columns=list(self.columns))
        values.insert(0, "timestamp", to_index(self.timestamps))
        return values


def distinct_rows(frame: pd.DataFrame, config: DatasetConfig) -> DistinctRows:
    """Return the rows in order of time, the first of each key."""
    first, timestamps = first_of_each(frame, config)
    values, columns = _values(frame, config)
    return DistinctRows(timestamps, values[first], columns, first)


def first_of_each(frame: pd.DataFrame, config: DatasetConfig) -> tuple[Int64, Int64]:
    """Return the position of the first row of each key, in order of time, and its time [ns]."""
    order, same = _order(frame, config)
    first = order[np.concatenate(([True], ~same))] if len(order) else order
    return first, row_times(frame, config)[first]


def require_values(
    frame: pd.DataFrame, config: DatasetConfig, file: str, place: Callable[[int], str]
) -> None:
    """Reject missing, non-positive (DATA-008) and infinite or missing other values (DATA-004)."""
    for raw, column in config.columns.items():
        if column.values == "date":
            continue
        values = frame[raw].to_numpy()
        positive = column.values == "positive"
        wrong = ~np.isfinite(values) | (values <= 0.0 if positive else False)
        if not wrong.any():
            continue
        at = int(np.argmax(wrong))
        at_time = format_time(int(row_times(frame.iloc[[at]], config)[0]))
        kind = "not a price" if positive else "not a number"
        raise RejectedDataError(
            "DATA-008" if positive else "DATA-004",
            f"{file}: {place(at)}, {at_time}: {raw} is {values[at]}, {kind}; "
            f"{count_of(int(wrong.sum()), 'such row')}",
            where=file,
            offending=frame[wrong].head(SHOWN_ROWS),
        )


def require_agreement(frame: pd.DataFrame, config: DatasetConfig) -> None:
    """Reject two different rows of one key: DATA-006 within a file, DATA-007 between files."""
    order, same = _order(frame, config)
    if not same.any():
        return
    first, second = order[:-1][same], order[1:][same]
    values = [_values(frame.iloc[rows], config)[0] for rows in (first, second)]
    differ = (values[0] != values[1]).any(axis=1)
    if not differ.any():
        return
    pair = frame.iloc[[first[differ][0], second[differ][0]]]
    files = pair["file"].astype(str).tolist()
    key = _format_key(pair.iloc[0], config)
    columns = [name for name in frame.columns if name != "file" and name not in config.identity]
    unequal = [name for name in columns if pair[name].iloc[0] != pair[name].iloc[1]]
    differences = ", ".join(f"{c} {pair[c].iloc[0]} against {pair[c].iloc[1]}" for c in unequal)
    shown = frame.iloc[np.column_stack((first[differ], second[differ])).ravel()[:SHOWN_ROWS]]
    one = files[0] == files[1]
    what = f"{files[0]} has {key} twice" if one else f"{' and '.join(files)} disagree about {key}"
    raise RejectedDataError(
        "DATA-006" if one else "DATA-007",
        f"{what}: {differences}; {count_of(int(differ.sum()), 'such row')}",
        where=" and ".join(dict.fromkeys(files)),
        offending=shown,
    )


def require_growth(rows: DistinctRows, config: DatasetConfig, files: str) -> None:
    """Reject a value that must not fall and falls by more than rounding: DATA-009."""
    for column in config.columns.values():
        if column.grows is None:
            continue
        values = rows.column(column.to)
        fallen = values[1:] < values[:-1] * (1.0 - column.grows)
        if not fallen.any():
            continue
        at = int(np.argmax(fallen))
        steps = np.flatnonzero(fallen)[:SHOWN_ROWS]
        before, after = (format_time(int(rows.timestamps[row])) for row in (at, at + 1))
        raise RejectedDataError(
            "DATA-009",
            f"{column.to} falls from {float(values[at])} at {before} to {float(values[at + 1])} at "
            f"{after}",
            where=files,
            offending=pd.DataFrame(
                {
                    "timestamp": to_index(rows.timestamps[steps + 1]),
                    "before": values[steps],
                    column.to: values[steps + 1],
                }
            ),
        )


def _order(frame: pd.DataFrame, config: DatasetConfig) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Return the order of rows by key, and whether each has the key of the one before."""
    keys = _keys(frame, config)
    if len(keys) == 1 and (np.diff(keys[0]) > 0).all():
        return np.arange(len(keys[0]), dtype=np.int64), np.zeros(max(len(keys[0]) - 1, 0), bool)
    order = np.lexsort(tuple(reversed(keys)))
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    return order.astype(np.int64), same


def _keys(frame: pd.DataFrame, config: DatasetConfig) -> list[Int64]:
    """Return the key of each row: its timestamp, the reward's period, or the path in a document."""
    if config.kind is Kind.EXECUTION_COSTS:
        pairs = pd.factorize(frame["pair"], sort=True)[0]
        buckets = frame["size_bucket_usd"].to_numpy().astype(np.int64)
        return [pairs.astype(np.int64), buckets, row_times(frame, config)]
    if config.kind is Kind.RISK_PARAMS:
        return [pd.factorize(frame["parameter"], sort=True)[0].astype(np.int64)]
    if config.kind is Kind.REWARDS:
        starts = [raw for raw, column in config.columns.items() if column.to == "period_start"]
        return [_nanoseconds(frame[starts[0]])]
    return [row_times(frame, config)]


def row_times(frame: pd.DataFrame, config: DatasetConfig) -> Int64:
    """Return the time of each row, ns, snapped to its hour by the rule; zeros without time."""
    if config.kind is Kind.RISK_PARAMS:
        return np.zeros(len(frame), dtype=np.int64)
    if config.timestamp is None:
        return _nanoseconds(frame["timestamp"])
    times = _nanoseconds(frame[config.timestamp.column])
    # Finer bars and irregular rows are aggregated or resampled later.
    irregular = config.format.interval_minutes or config.format.resample
    return times if irregular else snap(times, config.timestamp)


def _values(frame: pd.DataFrame, config: DatasetConfig) -> tuple[Floats, tuple[str, ...]]:
    if config.is_document:
        name = "value" if config.kind is Kind.RISK_PARAMS else "cost_bps"
        return frame[[name]].to_numpy(dtype=np.float64), (name,)
    arrays = []
    for raw, column in config.columns.items():
        dated = column.values == "date"
        values = _nanoseconds(frame[raw]) if dated else frame[raw].to_numpy()
        arrays.append(values.astype(np.float64))
    return np.column_stack(arrays), config.value_columns


def _nanoseconds(column: pd.Series) -> Int64:
    return column.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def _format_key(row: pd.Series, config: DatasetConfig) -> str:
    if config.kind is Kind.RISK_PARAMS:
        return str(row["parameter"])
    if config.timestamp is None:
        return f"{row['pair']} {row['size_bucket_usd']:.0f} USD on {row['timestamp']:%Y-%m-%d}"
    return f"{row[config.timestamp.column]:%Y-%m-%d %H:%M}"
