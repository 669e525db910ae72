"""What every column of the result tables means, and its unit: for frames, the UI and documents."""

from collections.abc import Iterable
from typing import NamedTuple

from basis_pipeline.results.tables import COMPONENTS, schema

CURRENCY = "{currency}"
ASSET = "{asset}"


class Column(NamedTuple):
    """Unit and meaning of a column. `{currency}` is the share class's, `{asset}` the mode's."""

    unit: str
    meaning: str


_TIMESTAMP = Column("UTC", "the mark: a whole hour, after its trades")
_PARTS = {
    "lending": "interest earned on what is supplied",
    "borrowing": "interest owed on what is borrowed, negative when paid",
    "staking": "growth of the redemption rate of the staked token",
    "rewards": "reward tokens credited, and the change of their price while held",
    "funding": "funding settled, positive when received",
    "spot_price": "change of the price of what is held, and of collateral less debt",
    "perp_price": "change of the price of the perpetuals held",
    "execution_cost": "cost of trades against their mark, negative when paid",
    "gas": "gas of transactions, negative when paid",
    "liquidation": "what liquidations took, negative",
}
_EQUITY = {
    "equity": Column(CURRENCY, "what the book is worth, after trades"),
    "flow": Column(CURRENCY, "deposits less withdrawals at the mark"),
    "drawdown": Column("share", "loss from the running peak of the unit price, 0.1 is 10 %"),
}
_RISK = {
    "ltv": Column("ratio", "loan to value: debt over collateral at the redemption rate"),
    "health_factor": Column("ratio", "threshold × collateral over debt; liquidated below 1"),
    "liquidation_distance": Column("share", "fall of the redemption rate that would liquidate"),
    "min_margin_ratio": Column("ratio", "venue equity over notional, lowest of the venues"),
    "net_delta": Column(ASSET, "long less short; none where the asset is the numeraire"),
    "net_delta_ratio": Column("share", "net delta's value over equity"),
    "gross_exposure": Column(CURRENCY, "long and short legs in the asset, added up"),
    "net_exposure": Column(CURRENCY, "long less short legs in the asset"),
    "peg_deviation": Column("share", "market over redemption rate of the staked token, less one"),
    "drawdown": _EQUITY["drawdown"],
}
_RISK_BY_PART = {
    "margin_ratio": Column("ratio", "venue equity over notional at {part}"),
    "basis_bp": Column("bp", "perpetual over spot, less one, at {part}"),
    "gross_exposure": Column(CURRENCY, "long and short legs in {part}, added up"),
    "net_exposure": Column(CURRENCY, "long less short legs in {part}"),
}
_EVENTS = {
    "sequence": Column("", "place in the ledger, from 0"),
    "kind": Column("", "trade, funding, reward, rebalance, liquidation and so on"),
    "venue": Column("", "where it happened"),
    "instrument": Column("", "what was traded, paid or received"),
    "quantity": Column("units of the instrument", "signed: bought or received is positive"),
    "price": Column("{currency} per unit", "price it was booked at"),
    "notional": Column(CURRENCY, "quantity times price, unsigned"),
    "fee": Column(CURRENCY, "cost of execution, positive when paid"),
    "gas": Column(CURRENCY, "gas of the transaction, positive when paid"),
    "amount": Column(CURRENCY, "moved into the book; out of it, when negative"),
    "reason": Column("", "why: which trigger, or entry"),
}
_TABLES = {
    "equity": _EQUITY,
    "attribution": {name: Column(CURRENCY, _PARTS[name]) for name in COMPONENTS}
    | {"residual": Column(CURRENCY, "change of equity no component explains: rounding alone")},
    "risk": _RISK,
    "events": _EVENTS,
}


def explained(
    table: str, columns: Iterable[str], *, currency: str, asset: str
) -> dict[str, Column]:
    """Unit and meaning of every column of a result table.

    Parameters
    ----------
    currency: the share class's, in which amounts are. asset: what the mode holds or hedges.

    Raises
    ------
    ResultsError: RS-004 when the table is unknown or the columns are not those of the table.
    """
    names = schema(table, list(columns)).names
    names_of = {"currency": currency, "asset": asset}
    found = {name: _TIMESTAMP if name == "timestamp" else _column(table, name) for name in names}
    return {
        name: Column(column.unit.format(**names_of), column.meaning)
        for name, column in found.items()
    }


def _column(table: str, name: str) -> Column:
    if table == "benchmark":
        return Column("index", f"growth of one unit in {name}, 1.0 at the first mark")
    if table == "positions":
        return _position(name)
    if name in _TABLES[table]:
        return _TABLES[table][name]
    measure, _, part = name.partition(":")
    unit, meaning = _RISK_BY_PART[measure]
    return Column(unit, meaning.format(part=part))


def _position(key: str) -> Column:
    """A position by its key (SEMANTICS 2): `venue:PositionType:Instrument`."""
    venue, kind, instrument = key.split(":")
    match kind:
        case "Perp":
            return Column(ASSET, f"signed quantity of the perpetual {instrument} at {venue}")
        case "EntryPrice":
            return Column("USDT", f"size-weighted average entry of {instrument} at {venue}")
        case "aToken" | "debtToken":
            side = "supplied to" if kind == "aToken" else "borrowed from"
            what = f"scaled balance {side} {venue}: times the index it is the underlying"
            return Column(f"scaled {instrument}", what)
        case "LST":
            return Column(instrument, f"staked tokens held from {venue}")
        case _:
            return Column(instrument, f"{instrument} held at {venue}")


# The figures of a summary that are one number.
FIGURES = {
    "years": Column("years", "length of the window, of 365 days"),
    "capital": Column(CURRENCY, "invested before entry costs"),
    "final_equity": Column(CURRENCY, "equity at the last mark"),
    "net_flows": Column(CURRENCY, "deposits less withdrawals"),
    "total_return": Column("share", "time-weighted, flows removed"),
    "apr": Column("share a year", "return over years"),
    "apy": Column("share a year", "(1 + return)^(1 / years) − 1"),
    "volatility": Column("share a year", "of daily returns, × √365"),
    "sharpe": Column("ratio", "mean daily excess return over its deviation, × √365"),
    "sortino": Column("ratio", "as sharpe, over the downside alone"),
    "max_drawdown": Column("share", "largest loss from the running peak, hourly"),
    "calmar": Column("ratio", "apy over max_drawdown"),
    "pnl": Column(CURRENCY, "all components added up"),
    "total_cost": Column(CURRENCY, "execution and gas"),
    "cost_per_year": Column("share a year", "total cost over average equity"),
    "funding_per_year": Column("share a year", "funding over average equity"),
    "carry_per_year": Column("share a year", "carry over average equity"),
    "turnover": Column("ratio", "notional traded over average equity"),
    "turnover_per_year": Column("ratio a year", "turnover over years"),
    "trades": Column("count", "trades of the ledger"),
    "rebalances": Column("count", "marks at which the book was rebalanced"),
    "liquidations": Column("count", "marks at which a position was liquidated"),
    "min_health_factor": Column("ratio", "lowest health factor; none without debt"),
    "min_margin_ratio": Column("ratio", "lowest margin ratio of any venue; none without a hedge"),
    "max_abs_delta": Column("share", "largest net delta over equity, either way"),
    "max_ltv": Column("ratio", "highest loan to value; none without debt"),
    "max_abs_residual": Column("share", "largest part of equity that no component explains"),
    "hours": Column("count", "marks of the window"),
    "repaired_hours": Column("count", "hours that stand on a repaired value"),
}


def figure_units(*, currency: str) -> dict[str, str]:
    """Unit of every figure of a summary that is one number."""
    return {name: figure.unit.format(currency=currency) for name, figure in FIGURES.items()}
