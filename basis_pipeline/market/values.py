"""Prices, rates and trading costs at any time: one implementation for look-ups and panels."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.universe import USD, Kind, Wanted, find
from basis_pipeline.errors import ConfigError, DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.timeline import Floats, Timeline, locate
from basis_pipeline.market.timestamps import Int64, format_time
from basis_pipeline.times import DAY_NS, HOUR_NS

GWEI = 1e-9
PRICE_USD = "price_usd"
TIP = "priority_fee_p50_gwei"


class Quote(NamedTuple):
    """A dataset's column that gives units of `currency` per unit of `asset`."""

    asset: str
    currency: str
    dataset: str
    column: str


class MarketValues:
    """Prices, rates and costs at any time that the datasets cover.

    Methods take the times `at` as (n,) int64 nanoseconds UTC and return (n,) float64. A quote is
    valid from its time until the next one; an index grows geometrically between its snapshots;
    otherwise nothing dated later than `at` is used (SEMANTICS 1 and 3). Times outside the data
    raise DataError DATA-012; unknown assets and tokens raise DATA-001 with the known ones.

    Parameters
    ----------
    datasets: by name.
    counts_as: token or currency → the one that it is valued as.
    underlying: liquid staking token → the coin in which its rates are quoted.
    price_field: the field of a bar that is the price at its label.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        counts_as: Mapping[str, str] | None = None,
        underlying: Mapping[str, str] | None = None,
        price_field: Literal["open", "close"] = "open",
    ) -> None:
        self._datasets = datasets
        self._of = {name: dataset.config.of for name, dataset in datasets.items()}
        self._counts_as = counts_as or {}
        self._underlying = underlying or {}
        self._price_field = price_field
        self._timelines: dict[str, Timeline] = {}
        self._quotes = sorted(self._all_quotes(), key=lambda q: (q.column == PRICE_USD, q.dataset))

    def price(self, asset: str, currency: str, at: Int64) -> Floats:
        """Return units of `currency` per unit of `asset`, by the fewest quotes that connect them.

        A liquid staking token is valued at its redemption rate. A lending protocol's price in USD
        is used where no other quote exists.
        """
        factors = self._connection(self._counted(asset), self._counted(currency))
        value = np.ones(at.shape)
        for quote, is_inverse in factors:
            rate = self._held(quote.dataset, quote.column, at)
            value = np.asarray(value / rate if is_inverse else value * rate)
        return value

    def has_price(self, asset: str, currency: str) -> bool:
        """Return whether quotes connect the two."""
        try:
            self._connection(self._counted(asset), self._counted(currency))
        except DataError:
            return False
        return True

    def perp_price(self, venue: str, asset: str, at: Int64, field: str | None = None) -> Floats:
        """Return the price of a perpetual in its quote currency, from the bar of the hour."""
        name = self._find(Kind.PERP_BARS, venue=venue, base=asset)
        return self._held(name, field or self._price_field, at)

    def funding_rate(self, venue: str, asset: str, at: Int64) -> Floats:
        """Return the share of notional that a short receives at `at`; 0 without a settlement."""
        name = self._find(Kind.FUNDING, venue=venue, base=asset)
        return self._at_its_time(name, self._column(name, "funding_rate"), at)

    def liquidity_index(self, token: str, at: Int64) -> Floats:
        """Return the index of supplied tokens: units of the token per scaled unit."""
        return self._grown(token, "liquidity_index", at)

    def variable_borrow_index(self, token: str, at: Int64) -> Floats:
        """Return the index of borrowed tokens: units of the token per scaled unit."""
        return self._grown(token, "variable_borrow_index", at)

    def pool_total(self, token: str, column: str, at: Int64) -> Floats:
        """Return the tokens in the pool (`total_a_token`) or lent (`total_variable_debt`).

        0.0 where the rates files do not state them.
        """
        name = self._find(Kind.LENDING_RATES, token=token)
        return self._held(name, column, at) if self._has(name, column) else np.zeros(at.shape)

    def oracle_rate(self, lst: str, at: Int64) -> Floats:
        """Return the coins that one unit of a liquid staking token redeems for."""
        return self._held(self._find(Kind.ORACLE, lst=lst), "oracle_rate", at)

    def market_rate(self, lst: str, at: Int64) -> Floats:
        """Return the coins that one unit of a liquid staking token sells for."""
        return self._held(self._find(Kind.PEG, lst=lst), "market_rate", at)

    def gas_price(self, currency: str, at: Int64) -> Floats:
        """Return units of `currency` per unit of gas: base fee plus median priority fee."""
        name = self._find(Kind.GAS)
        base = self._held(name, "base_fee_gwei", at)
        tip = self._held(name, TIP, at) if self._has(name, TIP) else np.zeros(at.shape)
        return (base + tip) * GWEI * self.price(str(self._of[name].token), currency, at)

    def cost_buckets(self, pair: str, at: Int64) -> Floats:
        """Return basis points by size bucket (10k, 100k, 1M USD) on the day of `at`, (n, 3)."""
        name = self._find(Kind.EXECUTION_COSTS)
        costs = self._datasets[name].costs
        if pair not in costs:
            raise _unknown(f"execution costs of {pair}", costs)
        columns, none = [], pd.Series(index=pd.DatetimeIndex([]), dtype="float64")
        for size in COST_BUCKETS_USD:
            bps = costs[pair].get(size, none)
            days = pd.DatetimeIndex(bps.index).asi8
            held = Timeline(f"{name} {pair}", days, DAY_NS).held(at)
            columns.append(bps.to_numpy()[held])
        return np.stack(columns, axis=-1)

    def has_costs(self, pair: str) -> bool:
        """Return whether the execution-cost table contains a pair."""
        return pair in self._datasets[self._find(Kind.EXECUTION_COSTS)].costs

    def reward_periods(self, token: str) -> pd.DataFrame:
        """Return a reward token's period_start, period_end, timestamp and tokens_per_unit."""
        return self._datasets[self._find(Kind.REWARDS, token=token)].frame

    def first_quote(self, token: str) -> int | None:
        """Return the time of a reward token's first quote, in ns; None without any."""
        timestamps = self._timeline(self._find(Kind.SPOT_BARS, base=token)).timestamps
        return int(timestamps[0]) if len(timestamps) else None

    def repaired(self, name: str, at: Int64) -> npt.NDArray[np.bool_]:
        """Return whether the value at `at` is from a repaired row; False without a value."""
        config, flags = self._datasets[name].config, self._datasets[name].is_repaired
        if config.is_document or not flags.any():
            return np.zeros(at.shape, dtype=bool)
        timeline = self._timeline(name)
        if config.kind is Kind.LENDING_RATES:
            before, after, _ = timeline.bracket(at)
            return np.asarray(flags[before] | flags[after])
        if config.kind in (Kind.FUNDING, Kind.REWARDS):
            row, found = locate(timeline.timestamps, at)
        else:
            row = np.searchsorted(timeline.timestamps, at, side="right") - 1
            found = row >= 0
        return np.asarray(flags[row] & found)

    def _all_quotes(self) -> Iterator[Quote]:
        for name, of in self._of.items():
            if of.kind is Kind.SPOT_BARS:
                base, quote = self._counted(str(of.base)), self._counted(str(of.quote))
                yield Quote(base, quote, name, self._price_field)
            elif of.kind is Kind.ORACLE:
                lst = str(of.lst)
                yield Quote(lst, self._underlying.get(lst, lst), name, "oracle_rate")
            elif of.kind is Kind.LENDING_RATES and self._has(name, PRICE_USD):
                if of.token in self._underlying:
                    continue  # valued at its redemption rate
                token = self._counted(str(of.token))
                yield Quote(token, self._counted(USD), name, PRICE_USD)

    def _counted(self, token: str) -> str:
        return self._counts_as.get(token, token)

    def _connection(self, asset: str, currency: str) -> list[tuple[Quote, bool]]:
        """Return the fewest quotes from one to the other, and whether each is used inversely."""
        reached: dict[str, list[tuple[Quote, bool]]] = {asset: []}
        waiting = deque([asset])
        while waiting and currency not in reached:
            here = waiting.popleft()
            for quote in self._quotes:
                for begin, end, is_inverse in (
                    (quote.asset, quote.currency, False),
                    (quote.currency, quote.asset, True),
                ):
                    if begin == here and end not in reached:
                        reached[end] = [*reached[here], (quote, is_inverse)]
                        waiting.append(end)
        if currency not in reached:
            raise _unknown(f"price of {asset} in {currency}", self._of)
        return reached[currency]

    def _grown(self, token: str, column: str, at: Int64) -> Floats:
        """Index between its snapshots, growing geometrically (SEMANTICS 3)."""
        name = self._find(Kind.LENDING_RATES, token=token)
        index = self._column(name, column)
        before, after, elapsed = self._timeline(name).bracket(at)
        low = index[before]
        return np.asarray(low * (index[after] / low) ** elapsed)

    def _held(self, name: str, column: str, at: Int64) -> Floats:
        values = self._column(name, column)
        return np.asarray(values[self._timeline(name).held(at)])

    def _at_its_time(self, name: str, values: Floats, at: Int64) -> Floats:
        """Return the value of an event at its timestamp, 0 at other times of the window."""
        window = self._datasets[name].window
        outside = (at < window.start.value) | (at > window.end.value)
        if np.any(outside):
            missing = format_time(int(at[outside][0]))
            raise DataError(
                "DATA-012", f"{name} has no value at {missing}", where=name, available=str(window)
            )
        row, found = locate(self._timeline(name).timestamps, at)
        return np.where(found, values[row] if len(values) else 0.0, 0.0)

    def _timeline(self, name: str) -> Timeline:
        if name not in self._timelines:
            hours = self._datasets[name].config.frequency_hours or 1
            timestamps = pd.DatetimeIndex(self._datasets[name].frame["timestamp"]).asi8
            self._timelines[name] = Timeline(name, timestamps, hours * HOUR_NS)
        return self._timelines[name]

    def _has(self, name: str, column: str) -> bool:
        return column in self._datasets[name].config.value_columns

    def _column(self, name: str, column: str) -> Floats:
        return self._datasets[name].frame[column].to_numpy()

    def _find(self, kind: Kind, **keys: Wanted) -> str:
        try:
            return find(self._of, kind, keys)
        except ConfigError as error:
            raise DataError("DATA-001", error.what, available=error.available) from None


def _unknown(what: str, known: Iterable[str]) -> DataError:
    listed = ", ".join(sorted(known)) or "none"
    return DataError("DATA-001", f"there is no {what}", available=listed)
