"""What every column of the result tables means, and its unit: for frames, the UI and documents."""

from collections.abc import Iterable
from typing import NamedTuple

from basis_pipeline.results.definitions import COMPONENT_MEANING, FIGURES, Unit
from basis_pipeline.results.tables import COMPONENTS, schema

CURRENCY = "{currency}"
ASSET = "{asset}"


class Column(NamedTuple):
    """Unit and meaning of a column. `{currency}` is the share class's, `{asset}` the mode's."""

    unit: str
    meaning: str


_TIMESTAMP = Column("UTC", "the mark: a whole hour, after its trades")
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
    "attribution": {name: Column(CURRENCY, COMPONENT_MEANING[name]) for name in COMPONENTS}
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


_FIGURE_UNITS: dict[Unit, str] = {
    "percent": "share",
    "currency": CURRENCY,
    "ratio": "ratio",
    "count": "count",
    "share": "share",
}


def figure_units(*, currency: str) -> dict[str, str]:
    """Unit of every figure of `definitions.FIGURES` as a summary holds it: 0.05, not 5 %."""
    return {
        name: _FIGURE_UNITS[figure.unit].format(currency=currency)
        for name, figure in FIGURES.items()
    }
