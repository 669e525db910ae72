"""The page of an account, as text: what is due, today, the next triggers, what it rests on."""

import pandas as pd
import pytest

from basis_pipeline.reports.account import AccountView, account_html
from basis_pipeline.reports.run_view import RunView
from tests.reports.conftest import PASSED, WRITTEN, Named
from tests.reports.test_tear_sheet import Read


@pytest.fixture(scope="module")
def page(example: AccountView) -> Read:
    """The page of the account that has something in every section."""
    return Read(account_html(example, WRITTEN))


def test_the_day_of_midnight_is_the_one_it_ends(sample_runs: Named) -> None:
    """An account that advances once a day ends at midnight: today is the day that has passed."""
    result = sample_runs["usdt_market_neutral"][0]
    account = AccountView("a", "", result.identity.end, [(1, result)], PASSED, None, (), ())
    equity = result.frames["equity"].set_index("timestamp")["equity"]
    last = equity.index[-1]
    assert last.hour == 0
    assert account.midnight == last - pd.Timedelta(days=1)
    earned = equity.iloc[-1] - equity[account.midnight]
    assert sum(account.today.values()) == pytest.approx(earned, abs=1e-9)
    assert earned != 0.0


def test_today_of_the_first_day_has_the_entry(example: AccountView) -> None:
    """The leg began at this day's midnight: what entering cost was paid today."""
    run = example.run
    assert run.result.identity.start == example.midnight
    earned = run.result.frames["equity"]["equity"].iloc[-1] - run.result.identity.capital
    assert sum(example.today.values()) == pytest.approx(earned, abs=1e-9)
    assert example.today["gas"] < 0.0


def test_what_is_due_and_what_comes_next_in_words(page: Read, example: AccountView) -> None:
    """Every order and trigger, without column names and without needless digits."""
    assert example.signal is not None
    orders = len(example.signal["orders"])
    assert f"Enter: {orders} orders since 2024-02-14 23:00 UTC." in page.all
    triggers = page.tables["Distance to each trigger and to liquidation"]
    assert {"margin ratio, binance", "liquidation, okx", "loan to value", "net delta"} <= set(
        triggers
    )
    figures = [cell for row in list(triggers.values())[1:] for cell in row[:4]]
    assert max(len(cell.strip("−0.")) for cell in figures) <= 6
    assert not any("e-" in cell or "e+" in cell for cell in figures)


def test_what_it_rests_on(page: Read) -> None:
    """Legs with the same decimals, the revision with both values, the stale feed, the repairs."""
    legs = page.tables["Legs, one per configuration"]
    amounts = [cell for leg in ("1", "2") for cell in legs[leg][2:4]]
    assert {len(cell.partition(".")[2]) for cell in amounts} == {2}
    (changed,) = list(page.tables["Changes in the history"].values())[1:]
    assert changed[:2] == ["bybit_ethusdt_spot", "spot"]
    assert changed[4] == "open"
    assert page.tables["Freshness of every feed"]["ethereum_gas"][3] == "stale"


def test_repaired_hours_are_shaded_in_every_leg(example: AccountView) -> None:
    """The banner says so of every chart."""
    shades = [RunView(result).shades for _, result in example.legs]
    assert sum(map(len, shades)) > 0
    assert account_html(example, WRITTEN).count('"name":"repaired data"') >= sum(map(len, shades))
