"""The result tables of a run: a simulation's arrays with names, units and times."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import COMPONENTS, Simulation
from basis_pipeline.engine.model import (
    LEG_DEBT,
    LEG_LENDING,
    LEG_LST,
    LEG_NONE,
    LEG_REWARD,
    LEG_SPOT,
    EventKind,
    Floats,
    Reason,
    Records,
)
from basis_pipeline.market.panel import Panel
from basis_pipeline.results import metrics


def equity_table(times: pd.DatetimeIndex, simulation: Simulation, drawdown: Floats) -> pd.DataFrame:
    """Return equity after trades, flows and drawdown by hour."""
    columns = {"equity": simulation.equity, "flow": simulation.flow, "drawdown": drawdown}
    return pd.DataFrame({"timestamp": times, **columns})


def attribution_table(times: pd.DatetimeIndex, simulation: Simulation) -> pd.DataFrame:
    """Return profit and loss by component and hour, and the residual (SEMANTICS 9)."""
    parts = {name: simulation.hourly.rows[name] for name in (*COMPONENTS, "residual")}
    return pd.DataFrame({"timestamp": times, **parts})


def positions_table(
    times: pd.DatetimeIndex, simulation: Simulation, mode_slice: ModeSlice, panel: Panel
) -> pd.DataFrame:
    """Return holdings by position key (SEMANTICS 2), in units; Aave's as scaled balances.

    A perpetual has its signed quantity, its margin balance and its average entry price.
    """
    mode, (rows, perps, tokens) = mode_slice.mode, simulation.hourly
    currency, coin = mode.share_class, mode.asset
    columns: dict[str, Floats] = {f"wallet:BaseToken:{currency}": rows["cash"]}
    if mode.allocation.lending > 0:
        columns[f"{mode.lending.protocol}:aToken:a{mode.lending.token}"] = rows["supply"]
    if mode.allocation.spot > 0:
        columns[f"{mode.spot.venue}:BaseToken:{coin}"] = rows["spot"]
    if mode.allocation.staking > 0:
        columns[_staked_key(mode_slice)] = rows["staked"]
    if mode.is_leveraged:
        columns[f"{mode.lending.protocol}:debtToken:debt{mode_slice.debt_token}"] = rows["debt"]
    for r, token in enumerate(panel.reward_tokens):
        columns[f"wallet:BaseToken:{token}"] = tokens[:, r]
    for v, venue in enumerate(panel.venues):
        quote = mode_slice.perp_quote(venue)
        columns[f"{venue}:Perp:{coin}{quote}"] = perps["quantity"][:, v]
        columns[f"{venue}:BaseToken:{quote}"] = perps["balance"][:, v]
        columns[f"{venue}:EntryPrice:{coin}{quote}"] = perps["entry"][:, v]
    return pd.DataFrame({"timestamp": times, **columns})


def _staked_key(mode_slice: ModeSlice) -> str:
    mode, protocol = mode_slice.mode, mode_slice.staking_protocol
    if mode.is_leveraged:
        return f"{mode.lending.protocol}:aToken:a{mode.staking.lst}"
    return f"{protocol.venue if protocol else 'wallet'}:LST:{mode.staking.lst}"


def risk_table(
    times: pd.DatetimeIndex, risk: Records, by_venue: Records, drawdown: Floats, panel: Panel
) -> pd.DataFrame:
    """Return risk measures by hour (SEMANTICS 10)."""
    columns = {name: risk[name] for name in risk.dtype.names or ()}
    for v, venue in enumerate(panel.venues):
        for name in by_venue.dtype.names or ():
            columns[f"{name}:{venue}"] = by_venue[name][:, v]
    return pd.DataFrame({"timestamp": times, **columns, "drawdown": drawdown})


def _legs(mode_slice: ModeSlice, panel: Panel) -> dict[np.int64, tuple[str, str]]:
    """Return venue and instrument of every leg of the ledger."""
    mode, staking = mode_slice.mode, mode_slice.staking_protocol
    issuer = staking.venue if staking else ""
    legs = {
        LEG_NONE: ("wallet", mode.share_class),
        LEG_LENDING: (mode.lending.protocol, f"a{mode.lending.token}"),
        LEG_DEBT: (mode.lending.protocol, f"debt{mode_slice.debt_token}"),
        LEG_SPOT: (mode.spot.venue, f"{mode.asset}{mode_slice.spot_quote}"),
        LEG_LST: (issuer, mode.staking.lst),
    }
    for r, token in enumerate(panel.reward_tokens):
        legs[LEG_REWARD + r] = (issuer, token)
    for v, venue in enumerate(panel.venues):
        legs[LEG_REWARD + len(panel.reward_tokens) + v] = (
            venue,
            f"{mode.asset}{mode_slice.perp_quote(venue)}-PERP",
        )
    return legs


def _names(codes: type[IntEnum]) -> NDArray[np.str_]:
    """Return names by code."""
    return np.array([member.name.lower() for member in codes])


def _texts(names: Iterable[str], codes: NDArray[np.int64]) -> Any:
    """Return a text column of the names of codes."""
    return pd.array(list(names), dtype="str").take(codes)


def events_table(
    times: pd.DatetimeIndex, simulation: Simulation, mode_slice: ModeSlice, panel: Panel
) -> pd.DataFrame:
    """Return every event in order: what was traded, paid, received or liquidated, and why.

    `notional` is quantity times price, unsigned; `amount` is what payments, rewards and flows moved
    into the book (out of it, when negative). `price` is in the numeraire.
    """
    events, legs = simulation.events, _legs(mode_slice, panel)
    venues, instruments = zip(*(legs[code] for code in sorted(legs)), strict=True)
    leg = events["leg"] - min(legs)
    kind = _names(EventKind)[events["kind"]]
    received = np.isin(kind, ("funding", "reward", "flow"))
    moved = np.where(kind == "flow", events["quantity"], events["notional"])
    notional = np.abs(events["quantity"] * events["price"])
    notional = np.where(np.isin(kind, ("entry", "rebalance")), 0.0, notional)
    reason = np.where(_at_wick(events, panel), len(Reason), events["reason"])
    return pd.DataFrame(
        {
            "timestamp": times[events["hour"]],
            "sequence": np.arange(len(events)),
            "kind": _texts(_names(EventKind), events["kind"]),
            "venue": _texts(venues, leg),
            "instrument": _texts(instruments, leg),
            "quantity": events["quantity"],
            "price": events["price"],
            # Of a skipped rebalance, its cost.
            "notional": np.where(kind == "skipped", events["notional"], notional),
            "fee": events["fee"],
            "gas": events["gas"],
            "amount": np.where(received, moved, 0.0),
            "reason": _texts([*_names(Reason), "wick"], reason),
        }
    )


WICK = 1.2  # a high above this multiple of the bar's open and close, or a low below open / WICK


def _at_wick(events: Records, panel: Panel) -> NDArray[np.bool_]:
    """Flag liquidations at a wick that no other venue on the same side shows (SEMANTICS 7)."""
    at_wick = np.zeros(len(events), dtype=bool)
    first_perp = LEG_REWARD + len(panel.reward_tokens)
    liquidated = (events["kind"] == EventKind.LIQUIDATION) & (events["leg"] >= first_perp)
    for place in np.flatnonzero(liquidated & (events["hour"] > 0)):
        t, venue = events["hour"][place], events["leg"][place] - first_perp
        marks, extremes = panel.perp_mark[t - 1 : t + 1], panel.perp_extreme[t]
        if events["quantity"][place] > 0.0:  # a short was bought back, at the high
            wicks = extremes > WICK * marks.max(axis=0)
        else:
            wicks = extremes < marks.min(axis=0) / WICK
        at_wick[place] = wicks[venue] and wicks.sum() == 1
    return at_wick


def result_tables(
    simulation: Simulation,
    risk: Records,
    by_venue: Records,
    mode_slice: ModeSlice,
    panel: Panel,
    capital: float,
) -> dict[str, pd.DataFrame]:
    """Return all tables of a run by name."""
    times = pd.DatetimeIndex(panel.timestamps.astype("datetime64[ns]"), tz="UTC")
    rows = simulation.hourly.rows
    costs = rows["execution_cost"] + rows["gas"]
    growth = metrics.growth(simulation.equity, simulation.flow, costs, capital)
    drawdown = metrics.drawdown(growth)
    return {
        "equity": equity_table(times, simulation, drawdown),
        "attribution": attribution_table(times, simulation),
        "positions": positions_table(times, simulation, mode_slice, panel),
        "risk": risk_table(times, risk, by_venue, drawdown, panel),
        "events": events_table(times, simulation, mode_slice, panel),
    }
