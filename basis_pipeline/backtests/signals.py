"""The signal of an account at its last hour: taken from the engine, never computed separately.

The engine runs one hour beyond the data, in which no price moves and nothing settles or is paid.
The orders are its events in the hours that are due, and in that hour: what it would do next.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.backtests.distances import Distance, distances
from basis_pipeline.backtests.inputs import first_midnight, market_arrays, parameters_of
from basis_pipeline.backtests.tables import events_table, positions_table
from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import simulate
from basis_pipeline.market.panel import ARRAYS, Panel
from basis_pipeline.results.summary import finite
from basis_pipeline.times import HOUR_NS

# Kinds of events that the account holder carries out: the side of a quantity above and below zero.
SIDES = {
    "trade": ("buy", "sell"),
    "supply": ("supply", "withdraw"),
    "withdraw": ("supply", "withdraw"),
    "stake": ("stake", "unstake"),
    "borrow": ("borrow", "borrow"),
    "repay": ("repay", "repay"),
    "transfer": ("deposit", "withdraw"),
}
PRICE_OF_ENTRY = ":EntryPrice:"


class Action(StrEnum):
    """The action that a signal asks for."""

    HOLD = "hold"
    ENTER = "enter"
    REBALANCE = "rebalance"
    EXIT = "exit"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Order:
    """One step of a rebalance.

    Parameters
    ----------
    at: UTC, the hour whose prices it uses; one hour after the account's last one: the next hour.
    quantity: above zero, in units of the instrument; of a transfer in the account's currency.
    limit_price: the worst price that the expected cost allows for.
    cost, gas: expected, in the account's currency, as the notional.
    """

    at: pd.Timestamp
    venue: str
    instrument: str
    side: str
    quantity: float
    price: float
    limit_price: float
    notional: float
    cost: float
    gas: float
    reason: str


@dataclass(frozen=True, slots=True)
class Position:
    """Units of a position key (SEMANTICS 2), before and after the orders."""

    key: str
    current: float
    target: float


@dataclass(frozen=True, slots=True)
class Signal:
    """The action, orders and positions of an account at its last hour.

    Parameters
    ----------
    since: UTC, the hour after which orders are due; earlier orders belong to earlier signals.
    trigger: reason of the latest entry or rebalance; empty without one.
    """

    account: str
    leg: int
    mode: str
    since: pd.Timestamp
    hour: pd.Timestamp
    action: Action
    trigger: str
    equity: float
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    distances: tuple[Distance, ...]

    @property
    def is_due(self) -> bool:
        """Whether there are orders to carry out."""
        return bool(self.orders)

    def halted(self) -> "Signal":
        """Return the signal for when emergency control halts work: nothing is traded."""
        still = tuple(replace(one, target=one.current) for one in self.positions)
        return replace(self, action=Action.HALT, orders=(), positions=still)

    def to_json(self) -> dict[str, Any]:
        """Return the signal as JSON values: times in ISO 8601, undefined numbers as None."""
        values: dict[str, Any] = finite(asdict(self, dict_factory=_with_iso_times))
        return values


def standing_still(panel: Panel) -> Panel:
    """Return the panel with one more hour: the last values, without funding and rewards."""
    still: dict[str, Any] = {
        name: np.concatenate([array := getattr(panel, name), array[-1:]]) for name in ARRAYS
    }
    still["funding_rate"][-1] = 0.0
    still["perp_extreme"][-1] = still["perp_mark"][-1]
    still["reward_tokens_per_unit"][-1] = 0.0
    still["reward_payout"][-1] = -1.0
    return replace(
        panel,
        timestamps=np.append(panel.timestamps, panel.timestamps[-1] + HOUR_NS),
        repaired=np.append(panel.repaired, False),
        repairs={name: np.append(flags, False) for name, flags in panel.repairs.items()},
        **still,
    )


def signal_of(
    mode_slice: ModeSlice,
    panel: Panel,
    capital: float,
    since: pd.Timestamp | None,
    *,
    account: str,
    leg: int,
) -> Signal:
    """Return the signal of an account after `since`, up to the hour after the panel's last.

    Parameters
    ----------
    since: hour of the previous signal, None where there is none. Orders older than a day are no
        longer due: the account holder then compares the positions with what is held.
    """
    ahead = standing_still(panel)
    market, parameters = market_arrays(ahead, mode_slice), parameters_of(mode_slice)
    simulation = simulate(market, parameters, capital, first_midnight=first_midnight(ahead))
    hours = ahead.hours
    events = events_table(hours, simulation, mode_slice, ahead)
    table = positions_table(hours, simulation, mode_slice, ahead)
    # Orders of the last 25 hours are due: a mode with daily data first sees its entry a day later.
    before_a_day_ago = panel.hours[-1] - pd.Timedelta(hours=25)
    entry = hours[0] - pd.Timedelta(hours=1)
    since = max(before_a_day_ago, entry if since is None else since)
    due = events[events["timestamp"] > since]
    orders = tuple(_orders(due))
    # Interest and funding up to the first order belong to the current positions.
    before = orders[0].at - pd.Timedelta(hours=1) if orders else hours[-1]
    positions = tuple(_positions(table, before))
    steps = due[due["kind"].isin(["entry", "rebalance"])]
    return Signal(
        account=account,
        leg=leg,
        mode=mode_slice.name,
        since=since,
        hour=panel.hours[-1],
        action=_action(steps, positions),
        trigger=str(steps["reason"].iloc[-1]) if len(steps) else "",
        equity=float(simulation.equity[-2]),
        positions=positions,
        orders=orders,
        distances=tuple(distances(mode_slice, panel, simulation)),
    )


def _action(steps: pd.DataFrame, positions: tuple[Position, ...]) -> Action:
    """Return the action; a book whose positions all close is an exit."""
    held = [one for one in positions if not one.key.startswith("wallet:")]
    if any(one.current for one in held) and not any(one.target for one in held):
        return Action.EXIT
    if (steps["kind"] == "entry").any():
        return Action.ENTER
    return Action.REBALANCE if len(steps) else Action.HOLD


def _positions(table: pd.DataFrame, before: pd.Timestamp) -> Iterator[Position]:
    rows = int((table["timestamp"] <= before).sum())
    for key in map(str, table.columns[1:]):
        if PRICE_OF_ENTRY not in key:
            units = table[key].to_numpy()
            yield Position(key, float(units[rows - 1]) if rows else 0.0, float(units[-1]))


def _orders(events: pd.DataFrame) -> Iterator[Order]:
    for row in events[events["kind"].isin(list(SIDES))].to_dict("records"):
        sign = 1.0 if row["quantity"] > 0.0 else -1.0
        share = row["fee"] / row["notional"] if row["notional"] else 0.0
        yield Order(
            at=row["timestamp"],
            venue=row["venue"],
            instrument=row["instrument"],
            side=SIDES[row["kind"]][0 if sign > 0.0 else 1],
            quantity=abs(row["quantity"]),
            price=row["price"],
            limit_price=row["price"] * (1.0 + sign * share),
            notional=row["notional"],
            cost=row["fee"],
            gas=row["gas"],
            reason=row["reason"],
        )


def _with_iso_times(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: v.isoformat() if isinstance(v, pd.Timestamp) else v for name, v in fields}
