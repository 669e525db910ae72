"""Detecting changes in an account's past: two runs compared bit by bit, and the first difference.

The tables show whether a result has changed, the markets of the two runs show why.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from basis_pipeline.backtests.inputs import market_arrays
from basis_pipeline.config import ModeSlice
from basis_pipeline.config.universe import Kind, matching
from basis_pipeline.engine.model import Floats
from basis_pipeline.market.panel import Panel, axes
from basis_pipeline.results.store import RunResult

COMPARED = ("equity", "attribution", "positions")
# Rewards of a staked unit are known only when their period has ended, and matter when paid.
KNOWN_LATER = ("reward_tokens_per_unit", "reward_slot")
ENGINE, FLOWS = "engine", "flows"

Series = dict[str, Floats]  # hourly series by name: `perp_mark.binance`


@dataclass(frozen=True, slots=True)
class Change:
    """The first difference between two runs of an account.

    Parameters
    ----------
    hour: UTC, the first hour at which an input of the engine differs; if none does, a result.
    changed_from: UTC, the first hour at which the result differs.
    feed: dataset of that input; `flows`, or `engine` where the inputs are the same.
    value: the input, or the column of the result.
    before, after: its values.
    """

    hour: pd.Timestamp
    changed_from: pd.Timestamp
    feed: str
    value: str
    before: float
    after: float

    @property
    def description(self) -> str:
        """Return the change in words."""
        text = f"{self.value} at {self.hour:%Y-%m-%d %H:%M} was {self.before!r} and is "
        text += f"{self.after!r} ({self.feed})"
        if self.changed_from != self.hour:
            text += f"; the result differs from {self.changed_from:%Y-%m-%d %H:%M} on"
        return text


def market_series(panel: Panel, mode_slice: ModeSlice) -> Series:
    """Return every hourly series that the engine reads, by name, (n,) each."""
    series: Series = {}
    for name, array in market_arrays(panel, mode_slice)._asdict().items():
        flat = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float64)
        labels = product(*axes(name, panel.venues, panel.reward_tokens))
        for column, label in enumerate(labels):
            series[".".join([name, *label])] = flat[:, column].copy()
    return series


def first_change(
    before: RunResult,
    after: RunResult,
    series: Callable[[], Series],
    panel: Panel,
    mode_slice: ModeSlice,
) -> Change | None:
    """Return the first difference in the hours that two runs share; None without any.

    Parameters
    ----------
    before, after: runs that begin at the same hour; the later one is at least as long.
    series: returns those of the earlier run, as `market_series` made them.
    panel, mode_slice: of the later run.
    """
    differences = list(_differences(_results(before), _results(after)))
    if not differences:
        return None
    row, _, name, was, now = min(differences)
    hours = panel.hours
    inputs = list(_differences(series(), market_series(panel, mode_slice)))
    relevant = [one for one in inputs if not one[2].startswith(KNOWN_LATER)] or inputs
    if not relevant:
        return Change(hours[row], hours[row], ENGINE, name, was, now)
    first, _, what, was, now = min(relevant)
    return Change(hours[first], hours[row], feed_of(what, mode_slice), what, was, now)


def feed_of(series: str, mode_slice: ModeSlice) -> str:
    """Return the dataset that a series of the market comes from."""
    array, _, label = series.partition(".")
    if array == "flow":
        return FLOWS
    mode, part = mode_slice.mode, label.partition(".")[0]
    venue, rates = {"venue": part}, Kind.LENDING_RATES
    marks = Kind.ORACLE if mode.pricing.mark_lst == "oracle" else Kind.PEG
    sources: dict[str, tuple[Kind, dict[str, str]]] = {
        "spot": (Kind.SPOT_BARS, {"base": mode.asset}),
        "perp_mark": (Kind.PERP_BARS, venue),
        "perp_extreme": (Kind.PERP_BARS, venue),
        "funding_rate": (Kind.FUNDING, venue),
        "lending_index": (rates, {"token": mode.lending.token}),
        "collateral_index": (rates, {"token": mode.staking.lst}),
        "borrow_index": (rates, {"token": mode_slice.debt_token}),
        "oracle_rate": (Kind.ORACLE, {}),
        "market_rate": (Kind.PEG, {}),
        "lst_mark": (marks, {}),
        # Assumes that the price of ETH is the same.
        "gas_price": (Kind.GAS, {}),
        "numeraire_usd": (rates, {}),
        "cost_bps": (Kind.EXECUTION_COSTS, {}),
        "reward_price": (Kind.SPOT_BARS, {"base": part}),
    }
    kind, keys = sources.get(array, (Kind.REWARDS, {"token": part}))
    datasets = matching(mode_slice.of, kind, keys) or matching(mode_slice.of, kind, {})
    return ", ".join(datasets) or array


def _results(run: RunResult) -> Series:
    return {
        f"{table}.{column}": run.frames[table][column].to_numpy(dtype=np.float64)
        for table in COMPARED
        for column in run.frames[table].columns
        if column != "timestamp"
    }


def _differences(before: Series, after: Series) -> Iterator[tuple[int, int, str, float, float]]:
    """Yield row, position, name and both values of the first difference of every series."""
    for place, (name, old) in enumerate(before.items()):
        shared = min(len(old), len(after[name]))
        was, now = (np.ascontiguousarray(series[:shared]) for series in (old, after[name]))
        differs = was.view(np.int64) != now.view(np.int64)
        if differs.any():
            row = int(np.argmax(differs))
            yield row, place, name, float(was[row]), float(now[row])
