"""What things are worth and what trading them costs: one implementation for look-ups and panels."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.repairs import AS_READ
from basis_pipeline.market.timeline import Floats, Timeline
from basis_pipeline.market.timestamps import Int64, format_time
from basis_pipeline.times import DAY_NS, HOUR_NS

AAVE = "aave_v3"
ETH_PRICE_WITHOUT_SPOT = "aave_weth_rates"
GWEI = 1e-9


class MarketValues:
    """Values of assets, tokens and services at any time its datasets cover.

    Every method takes the times `at` as (n,) int64 nanoseconds UTC and returns (n,) float64. A
    quote holds from its time until the next one; an index grows geometrically between its
    snapshots; nothing dated later than `at` is used otherwise (SEMANTICS 1 and 3). A time the data
    does not cover raises DataError DATA-012, a thing no dataset knows DATA-001 with what is known.

    Parameters
    ----------
    datasets: by name; one that was rejected may stand there as its error, which is raised on use.
    spot_venue: where ETH and BTC are priced unless a call names another venue; None for Aave's
        oracle price of ETH, the last snapshot.
    price_field: which price of a bar is the price at its label.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset | DataError],
        spot_venue: str | None = None,
        price_field: Literal["open", "close"] = "open",
    ) -> None:
        self._datasets = datasets
        self._spot_venue = spot_venue
        self._price_field = price_field
        self._timelines: dict[str, Timeline] = {}

    def price(self, asset: str, currency: str, at: Int64, venue: str | None = None) -> Floats:
        """Units of `currency` per unit of `asset`; USDT counts as one USD, WETH as one ETH.

        Liquid staking tokens are valued at their redemption rate, reward tokens at their pool's:
        through ETH where both sides are quoted in it, through USDT otherwise.
        """
        sides = [self._in_eth(token, at) for token in (asset, currency)]
        if sides[0] is None or sides[1] is None:
            sides = [self._in_usdt(token, at, venue) for token in (asset, currency)]
        assert sides[0] is not None
        assert sides[1] is not None
        return np.asarray(sides[0] / sides[1])

    def perp_price(self, venue: str, asset: str, at: Int64, field: str | None = None) -> Floats:
        """USDT per unit of the asset's perpetual, from the bar labelled `at` (or the hour's)."""
        name = f"{venue}_{asset.lower()}usdt_perp"
        return self._held(name, field or self._price_field, at)

    def funding_rate(self, venue: str, asset: str, at: Int64) -> Floats:
        """Share of notional a short receives at `at`; 0 where nothing settles at that very time."""
        name = f"{venue}_{asset.lower()}usdt_funding"
        return self._at_its_time(name, self._column(name, "funding_rate"), at)

    def liquidity_index(self, token: str, at: Int64) -> Floats:
        """What one scaled unit of `token` supplied to Aave is at `at`, in units of the token."""
        return self._grown(token, "liquidity_index", at)

    def variable_borrow_index(self, token: str, at: Int64) -> Floats:
        """What one scaled unit of `token` borrowed from Aave is at `at`, in units of the token."""
        return self._grown(token, "variable_borrow_index", at)

    def pool_total(self, token: str, column: str, at: Int64) -> Floats:
        """Tokens that Aave's pool holds (`total_a_token`) or lends (`total_variable_debt`)."""
        return self._held(f"aave_{token.lower()}_rates", column, at)

    def oracle_rate(self, lst: str, at: Int64) -> Floats:
        """ETH one unit of a liquid staking token redeems for."""
        return self._held(f"{lst.lower()}_oracle", "oracle_rate", at)

    def market_rate(self, lst: str, at: Int64) -> Floats:
        """ETH one unit of a liquid staking token sells for on decentralised exchanges."""
        return self._held(f"{lst.lower()}_peg", "market_rate", at)

    def gas_price(self, currency: str, at: Int64) -> Floats:
        """Units of `currency` per unit of gas: base fee plus median priority fee, paid in ETH."""
        base = self._held("ethereum_gas", "base_fee_gwei", at)
        tip = self._held("ethereum_gas", "priority_fee_p50_gwei", at)
        return (base + tip) * GWEI * self.price("ETH", currency, at)

    def cost_buckets(self, pair: str, at: Int64) -> Floats:
        """Basis points by size bucket (10k, 100k, 1M USD) on the day of `at`; shape (n, 3)."""
        frame = self._dataset("execution_costs").frame
        rows = frame[frame["pair"] == pair]
        if rows.empty:
            raise _unknown(f"execution costs of {pair}", frame["pair"].unique())
        columns = []
        for size in COST_BUCKETS_USD:
            bucket = rows[rows["size_bucket_usd"] == size]
            days = pd.DatetimeIndex(bucket["timestamp"]).asi8
            held = Timeline(f"execution_costs {pair}", days, DAY_NS).held(at)
            columns.append(bucket["cost_bps"].to_numpy()[held])
        return np.stack(columns, axis=-1)

    def has_costs(self, pair: str) -> bool:
        """Whether the execution cost table holds a pair."""
        return bool((self._dataset("execution_costs").frame["pair"] == pair).any())

    def reward_periods(self, token: str) -> pd.DataFrame:
        """Periods of a reward token: period_start, period_end, timestamp, tokens_per_eeth."""
        return self._dataset(f"{token.lower()}_rewards").frame

    def first_quote(self, token: str) -> int | None:
        """When a reward token was first quoted, in ns; None when it is not within the data."""
        timestamps = self._timeline(_pool(token)).timestamps
        return int(timestamps[0]) if len(timestamps) else None

    def repaired(self, name: str, at: Int64) -> npt.NDArray[np.bool_]:
        """Whether a row behind the value at `at` was repaired; False where there is no value."""
        config, frame = self._dataset(name).config, self._dataset(name).frame
        flags = (frame["repair"] != AS_READ).to_numpy(dtype=bool)
        if config.is_document or not flags.any():
            return np.zeros(at.shape, dtype=bool)
        timeline = self._timeline(name)
        if config.kind is Kind.AAVE_RATES:
            before, after, _ = timeline.bracket(at)
            return np.asarray(flags[before] | flags[after])
        if config.kind in (Kind.FUNDING, Kind.REWARDS):
            row, found = timeline.exact(at)
        else:
            row = np.searchsorted(timeline.timestamps, at, side="right") - 1
            found = row >= 0
        return np.asarray(flags[row] & found)

    def _in_eth(self, asset: str, at: Int64) -> Floats | None:
        """ETH per unit of what is quoted in ETH, None for the rest."""
        if asset in ("ETH", "WETH"):
            return np.ones(at.shape)
        if f"{asset.lower()}_oracle" in self._datasets:
            return self._held(f"{asset.lower()}_oracle", "oracle_rate", at)
        if _pool(asset) in self._datasets:
            return self._held(_pool(asset), self._price_field, at)
        return None

    def _in_usdt(self, asset: str, at: Int64, venue: str | None) -> Floats:
        if asset == "USDT":
            return np.ones(at.shape)
        in_eth = self._in_eth(asset, at)
        quote = self._quote("ETH" if in_eth is not None else asset, at, venue or self._spot_venue)
        return quote if in_eth is None else in_eth * quote

    def _quote(self, coin: str, at: Int64, venue: str | None) -> Floats:
        if coin == "ETH" and venue in (None, AAVE):
            return self._held(ETH_PRICE_WITHOUT_SPOT, "price_usd", at)
        name = f"{venue}_{coin.lower()}usdt_spot"
        if name not in self._datasets:
            raise _unknown(f"price of {coin} at {venue or 'any venue'}", self._datasets)
        return self._held(name, self._price_field, at)

    def _grown(self, token: str, column: str, at: Int64) -> Floats:
        """Index between its snapshots, growing geometrically (SEMANTICS 3)."""
        reserve = "weth" if token == "ETH" else token.lower()
        name = f"aave_{reserve}_rates"
        if name not in self._datasets:
            known = [n for n in self._datasets if n.startswith("aave_") and n.endswith("_rates")]
            raise _unknown(f"Aave reserve of {token}", known)
        index = self._column(name, column)
        before, after, elapsed = self._timeline(name).bracket(at)
        low = index[before]
        return np.asarray(low * (index[after] / low) ** elapsed)

    def _held(self, name: str, column: str, at: Int64) -> Floats:
        values = self._column(name, column)
        return np.asarray(values[self._timeline(name).held(at)])

    def _at_its_time(self, name: str, values: Floats, at: Int64) -> Floats:
        """Value of an event at its own timestamp, 0 at every other time of the dataset's window."""
        window = self._dataset(name).window
        outside = (at < window.start.value) | (at > window.end.value)
        if np.any(outside):
            missing = format_time(int(at[outside][0]))
            raise DataError(
                "DATA-012", f"{name} has no value at {missing}", where=name, available=str(window)
            )
        row, found = self._timeline(name).exact(at)
        return np.where(found, values[row] if len(values) else 0.0, 0.0)

    def _timeline(self, name: str) -> Timeline:
        if name not in self._timelines:
            hours = self._dataset(name).config.frequency_hours or 1
            self._timelines[name] = Timeline(name, self._dates(name, "timestamp"), hours * HOUR_NS)
        return self._timelines[name]

    def _dates(self, name: str, column: str) -> Int64:
        return pd.DatetimeIndex(self._dataset(name).frame[column]).asi8

    def _column(self, name: str, column: str) -> Floats:
        return self._dataset(name).frame[column].to_numpy()

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            raise _unknown(f"dataset {name}", self._datasets)
        found = self._datasets[name]
        if isinstance(found, DataError):
            raise found
        return found


def _pool(token: str) -> str:
    """Dataset of the pool a reward token is quoted in."""
    return f"uniswapv3_{token.lower()}weth_spot"


def _unknown(what: str, known: Iterable[str]) -> DataError:
    listed = ", ".join(sorted(known)) or "none"
    return DataError("DATA-001", f"there is no {what}", available=listed)
