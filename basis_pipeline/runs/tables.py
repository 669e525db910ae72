"""A simulation as the result tables of a run: names, units and times given back to the arrays."""

import numpy as np
import pandas as pd

from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import COMPONENTS, Simulation
from basis_pipeline.engine.model import (
    BALANCE,
    CASH,
    DEBT,
    ENTRY,
    EVENT_COLUMNS,
    EVENT_KINDS,
    LEG_DEBT,
    LEG_LENDING,
    LEG_LST,
    LEG_NONE,
    LEG_REWARD,
    LEG_SPOT,
    QUANTITY,
    REASONS,
    SPOT,
    STAKED,
    SUPPLY,
    Floats,
)
from basis_pipeline.engine.risk import FIRST_VENUE, RISK_COLUMNS
from basis_pipeline.market.panel import Panel
from basis_pipeline.results import metrics


def growth_and_drawdown(simulation: Simulation, capital: float) -> tuple[Floats, Floats]:
    """Time-weighted growth of one unit of capital and its drawdown from the running peak, (n,)."""
    costs = simulation.components[:, [COMPONENTS.index(name) for name in ("execution_cost", "gas")]]
    growth = metrics.growth(simulation.equity, simulation.flow, costs.sum(axis=1), capital)
    return growth, metrics.drawdown(growth)


def equity_table(times: pd.DatetimeIndex, simulation: Simulation, drawdown: Floats) -> pd.DataFrame:
    """Equity after trades, flows and drawdown by mark."""
    columns = {"equity": simulation.equity, "flow": simulation.flow, "drawdown": drawdown}
    return pd.DataFrame({"timestamp": times, **columns})


def attribution_table(times: pd.DatetimeIndex, simulation: Simulation) -> pd.DataFrame:
    """Profit and loss by component and mark, and what no component explains (SEMANTICS 9)."""
    parts = {name: simulation.components[:, i] for i, name in enumerate(COMPONENTS)}
    return pd.DataFrame({"timestamp": times, **parts, "residual": simulation.residual})


def positions_table(
    times: pd.DatetimeIndex, simulation: Simulation, mode_slice: ModeSlice, panel: Panel
) -> pd.DataFrame:
    """Holdings by position key (SEMANTICS 2), in units; Aave's as scaled balances.

    A perpetual has its signed quantity, its margin balance and its average entry price.
    """
    mode, state = mode_slice.mode, simulation.state
    currency, coin = mode.share_class, mode.asset
    columns: dict[str, Floats] = {f"wallet:BaseToken:{currency}": state[:, CASH]}
    if mode.allocation.lending > 0:
        columns[f"{mode.lending.protocol}:aToken:a{mode.lending.token}"] = state[:, SUPPLY]
    if mode.allocation.spot > 0:
        columns[f"{mode.spot.venue}:BaseToken:{coin}"] = state[:, SPOT]
    if mode.allocation.staking > 0:
        columns[_staked_key(mode_slice)] = state[:, STAKED]
    if mode.is_leveraged:
        columns[f"{mode.lending.protocol}:debtToken:debtWETH"] = state[:, DEBT]
    for r, token in enumerate(panel.reward_tokens):
        columns[f"wallet:BaseToken:{token}"] = simulation.tokens[:, r]
    for v, venue in enumerate(panel.venues):
        columns[f"{venue}:Perp:{coin}USDT"] = simulation.perps[:, v, QUANTITY]
        columns[f"{venue}:BaseToken:USDT"] = simulation.perps[:, v, BALANCE]
        columns[f"{venue}:EntryPrice:{coin}USDT"] = simulation.perps[:, v, ENTRY]
    return pd.DataFrame({"timestamp": times, **columns})


def _staked_key(mode_slice: ModeSlice) -> str:
    mode, protocol = mode_slice.mode, mode_slice.staking_protocol
    if mode.is_leveraged:
        return f"{mode.lending.protocol}:aToken:a{mode.staking.lst}"
    return f"{protocol.venue if protocol else 'wallet'}:LST:{mode.staking.lst}"


def risk_table(
    times: pd.DatetimeIndex, risk: Floats, drawdown: Floats, venues: tuple[str, ...]
) -> pd.DataFrame:
    """Risk measures by mark (SEMANTICS 10)."""
    columns = {name: risk[:, i] for i, name in enumerate(RISK_COLUMNS)}
    for v, venue in enumerate(venues):
        columns[f"margin_ratio:{venue}"] = risk[:, FIRST_VENUE + 2 * v]
        columns[f"basis_bp:{venue}"] = risk[:, FIRST_VENUE + 2 * v + 1]
    return pd.DataFrame({"timestamp": times, **columns, "drawdown": drawdown})


def _legs(mode_slice: ModeSlice, panel: Panel) -> dict[int, tuple[str, str]]:
    """Venue and instrument of every leg of the ledger."""
    mode, staking = mode_slice.mode, mode_slice.staking_protocol
    issuer = staking.venue if staking else ""
    legs = {
        LEG_NONE: ("wallet", mode.share_class),
        LEG_LENDING: (mode.lending.protocol, f"a{mode.lending.token}"),
        LEG_DEBT: (mode.lending.protocol, "debtWETH"),
        LEG_SPOT: (mode.spot.venue, f"{mode.asset}USDT"),
        LEG_LST: (issuer, mode.staking.lst),
    }
    for r, token in enumerate(panel.reward_tokens):
        legs[LEG_REWARD + r] = (issuer, token)
    for v, venue in enumerate(panel.venues):
        legs[LEG_REWARD + len(panel.reward_tokens) + v] = (venue, f"{mode.asset}USDT-PERP")
    return legs


def events_table(
    times: pd.DatetimeIndex, simulation: Simulation, mode_slice: ModeSlice, panel: Panel
) -> pd.DataFrame:
    """Every event in order: what was traded, paid, received, liquidated, and why.

    `notional` is quantity times price, unsigned; `amount` is what the event moved into the book
    (out of it, when negative): payments, rewards and flows. `price` is in the numeraire.
    """
    columns = {name: simulation.events[:, i] for i, name in enumerate(EVENT_COLUMNS)}
    legs = _legs(mode_slice, panel)
    leg = columns["leg"].astype(int)
    kind = np.array(EVENT_KINDS)[columns["kind"].astype(int)]
    received = np.isin(kind, ("funding", "reward", "flow"))
    moved = np.where(kind == "flow", columns["quantity"], columns["notional"])
    notional = np.abs(columns["quantity"] * columns["price"])
    return pd.DataFrame(
        {
            "timestamp": times[columns["mark"].astype(int)],
            "sequence": np.arange(len(leg)),
            "kind": kind,
            "venue": [legs[i][0] for i in leg],
            "instrument": [legs[i][1] for i in leg],
            "quantity": columns["quantity"],
            "price": columns["price"],
            "notional": np.where(np.isin(kind, ("entry", "rebalance")), 0.0, notional),
            "fee": columns["fee"],
            "gas": columns["gas"],
            "amount": np.where(received, moved, 0.0),
            "reason": np.array(REASONS)[columns["reason"].astype(int)],
        }
    )


def result_tables(
    simulation: Simulation,
    risk: Floats,
    mode_slice: ModeSlice,
    panel: Panel,
    capital: float,
) -> dict[str, pd.DataFrame]:
    """All tables of a run by name."""
    times = pd.DatetimeIndex(panel.timestamps.astype("datetime64[ns]"), tz="UTC")
    _, drawdown = growth_and_drawdown(simulation, capital)
    return {
        "equity": equity_table(times, simulation, drawdown),
        "attribution": attribution_table(times, simulation),
        "positions": positions_table(times, simulation, mode_slice, panel),
        "risk": risk_table(times, risk, drawdown, panel.venues),
        "events": events_table(times, simulation, mode_slice, panel),
    }
