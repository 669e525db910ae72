"""Units and meanings: every column of every table of a run has both."""

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.columns import explained, figure_units
from tests.results.made_run import make_run


@pytest.mark.parametrize("table", ["equity", "attribution", "positions", "risk", "events"])
def test_every_column_is_explained(table: str) -> None:
    """No column of a result reaches a notebook or the UI without its meaning."""
    names = list(make_run().frames[table].columns)
    found = explained(table, names, currency="USDT", asset="ETH")
    assert list(found) == names
    assert all(column.meaning for column in found.values())
    assert not any("{" in column.unit + column.meaning for column in found.values())


def test_amounts_are_in_the_currency_of_the_share_class() -> None:
    """The same column of an ETH mode and of a USDT mode has another unit."""
    for currency in ("USDT", "ETH"):
        names = ["timestamp", "equity", "flow", "drawdown"]
        units = [
            c.unit for c in explained("equity", names, currency=currency, asset="ETH").values()
        ]
        assert units == ["UTC", currency, currency, "share"]
        assert figure_units(currency=currency)["final_equity"] == currency


def test_a_position_says_whether_it_is_scaled() -> None:
    """Aave's balances are scaled; a perpetual counts units of the asset (SEMANTICS 2)."""
    keys = ["timestamp", "aave_v3:aToken:aUSDT", "bybit:Perp:BTCUSDT", "bybit:EntryPrice:BTCUSDT"]
    found = explained("positions", keys, currency="USDT", asset="BTC")
    assert [column.unit for column in found.values()] == ["UTC", "scaled aUSDT", "BTC", "USDT"]


def test_a_foreign_column_is_refused() -> None:
    """A column nobody knows is no column of the table."""
    with pytest.raises(ResultsError) as raised:
        explained("equity", ["timestamp", "nope"], currency="USDT", asset="ETH")
    assert raised.value.code == "RS-004"
