"""Accounts hour by hour: the same as in one backtest, and every disturbance is named."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.errors import CommandError
from basis_pipeline.operations.accounts import AccountRun
from basis_pipeline.operations.accounts.signals import latest_signals
from basis_pipeline.verdict import Status
from tests.operations.accounts.conftest import SINCE, Desk, account

CARRY = account("carry", "eth_basis")
FUNDING = "binance_ethusdt_funding"


def gate(run: AccountRun, name: str) -> Status:
    """The status of one of the account's own gates."""
    return next(v.status for v in run.verdicts if v.check == name and v.asset == "account/run")


def hour(text: str) -> pd.Timestamp:
    """An hour in UTC."""
    return pd.Timestamp(text, tz="UTC")


def test_an_account_is_the_backtest_of_its_mode(desk: Callable[..., Desk]) -> None:
    """At every hour all tables are those of a backtest in one go, to the bit."""
    at = desk(CARRY)
    for now in pd.date_range(f"{SINCE}T08:00", periods=2, freq="h", tz="UTC"):
        (run,) = at.tick(now, CARRY)
        assert run.error is None
        assert run.result is not None
        # The bar of the running hour has not ended.
        assert run.result.identity.end == now - pd.Timedelta(hours=1)
        expected = at.one_shot(CARRY, now - pd.Timedelta(hours=1))
        for table, frame in expected.frames.items():
            assert frame.equals(run.result.frames[table]), table
        assert gate(run, "fresh") is gate(run, "history_unchanged") is Status.PASS


def test_a_late_feed_holds_the_account_back_and_is_named_once(desk: Callable[..., Desk]) -> None:
    """The account stays at its last good hour; the gate warns, then fails; then it catches up."""
    at = desk(CARRY)
    at.delivery.held_back[FUNDING] = hour(f"{SINCE}T15:00")
    found = []
    for offset in (17, 18, 20):
        (run,) = at.tick(hour(SINCE) + pd.Timedelta(hours=offset), CARRY)
        assert run.result is not None
        found.append((offset, run.result.identity.end.hour, gate(run, "fresh")))
    # The settlement of 16:00 is missing, so that nothing is known of 16:00 and later.
    assert found == [
        (17, 15, Status.PASS),
        (18, 15, Status.WARN),
        (20, 15, Status.FAIL),
    ]
    del at.delivery.held_back[FUNDING]
    (run,) = at.tick(hour(f"{SINCE}T22:00"), CARRY)
    assert run.result is not None
    assert run.result.identity.end.hour == 21
    assert gate(run, "fresh") is gate(run, "history_unchanged") is Status.PASS
    types = at.events()
    assert types.count("feed_stale") == types.count("feed_caught_up") == 1


def revise(text: str) -> str:
    """Change the open of one bar a little."""
    lines = text.splitlines(keepends=True)
    at = next(
        i for i, line in enumerate(lines) if f"{SINCE}T03:00" in line or "2024-02-20 03" in line
    )
    cells = lines[at].split(",")
    header = lines[0].strip().split(",")
    place = header.index("open")
    cells[place] = repr(float(cells[place]) * 1.0001)
    lines[at] = ",".join(cells)
    return "".join(lines)


def test_a_revision_is_named_once_and_a_person_accepts_it(desk: Callable[..., Desk]) -> None:
    """The first hour, the feed and both values; the gate fails until a person accepts it."""
    at = desk(CARRY)
    at.tick(f"{SINCE}T08:00", CARRY)
    at.delivery.changed["binance_ethusdt_perp"] = revise
    for now in ("T09:00", "T10:00"):
        (run,) = at.tick(SINCE + now, CARRY)
        assert gate(run, "history_unchanged") is Status.FAIL
    (revision,) = run.revisions
    assert (revision.hour, revision.feed) == (f"{SINCE}T03:00:00+00:00", "binance_ethusdt_perp")
    assert revision.value == "perp_mark.binance"
    assert revision.after == pytest.approx(revision.before * 1.0001, rel=1e-12)
    assert run.result is not None
    assert run.result.frames["equity"].equals(
        at.one_shot(CARRY, hour(f"{SINCE}T09:00")).frames["equity"]
    )
    with pytest.raises(CommandError, match="needs a name"):
        at.files("carry").accept(by=" ", reason="checked")
    (accepted,) = at.files("carry").accept(by="ann", reason="the exchange corrected it")
    assert (accepted.by, accepted.is_open) == ("ann", False)
    (run,) = at.tick(f"{SINCE}T11:00", CARRY)
    assert gate(run, "history_unchanged") is Status.PASS
    types = at.events()
    assert types.count("revision_found") == types.count("revision_accepted") == 1


def test_a_changed_configuration_begins_a_leg(desk: Callable[..., Desk]) -> None:
    """It starts where the last one ended, with its equity after closing; the old one is kept."""
    at = desk(CARRY)
    (first,) = at.tick(f"{SINCE}T08:00", CARRY)
    assert first.result is not None
    changed = account("carry", "eth_basis", overrides={"allocation.spot": 0.4})
    (same,) = at.tick(f"{SINCE}T08:00", changed)
    assert (same.leg, same.result and same.result.run_id) == (first.leg, first.result.run_id)
    (second,) = at.tick(f"{SINCE}T10:00", changed)
    assert second.leg is not None
    assert second.result is not None
    assert (second.leg.number, second.leg.start) == (2, first.result.identity.end)
    assert second.leg.capital == first.result.summary["closed_equity"]
    kept = at.files("carry").run(1)
    assert kept is not None
    assert kept.run_id == first.result.run_id
    gates = account("carry", "eth_basis", overrides={"allocation.spot": 0.4, "gates.target_apy": 1})
    (judged,) = at.tick(f"{SINCE}T11:00", gates)
    assert judged.leg == second.leg


def test_a_flow_waits_for_its_hour(desk: Callable[..., Desk]) -> None:
    """A deposit of tomorrow changes nothing today; one of the past is a revision."""
    later = account("carry", "eth_basis", flows=[{"date": f"{SINCE}T08:00", "amount": 5000.0}])
    at = desk(CARRY)
    at.tick(f"{SINCE}T07:00", CARRY)
    (run,) = at.tick(f"{SINCE}T08:00", later)
    assert run.result is not None
    assert run.result.summary["net_flows"] == 0.0
    (run,) = at.tick(f"{SINCE}T09:00", later)
    assert run.result is not None
    assert run.result.summary["net_flows"] == 5000.0
    assert gate(run, "history_unchanged") is Status.PASS
    past = account("carry", "eth_basis", flows=[{"date": f"{SINCE}T03:00", "amount": 5000.0}])
    (run,) = at.tick(f"{SINCE}T10:00", past)
    assert [one.feed for one in run.revisions] == ["flows"]


def test_an_account_that_cannot_run_keeps_what_it_has(desk: Callable[..., Desk]) -> None:
    """A rejected feed, and a changed beginning: the run before stays, and the gate says why."""
    at = desk(CARRY)
    (first,) = at.tick(f"{SINCE}T08:00", CARRY)
    assert first.result is not None
    moved = account("carry", "eth_basis", capital=200_000.0)
    (run,) = at.tick(f"{SINCE}T09:00", moved)
    assert run.error is not None
    assert run.error.code == "CONFIG-006"
    at.delivery.changed["binance_ethusdt_perp"] = lambda text: text.replace("open", "opening")
    (run,) = at.tick(f"{SINCE}T10:00", CARRY)
    assert gate(run, "fresh") is Status.FAIL
    assert run.result is not None
    assert run.result.run_id == first.result.run_id


def test_a_signal_is_one_an_account_and_hour(desk: Callable[..., Desk]) -> None:
    """The entry is due within a day; the same hour again stores and says nothing again."""
    at = desk(CARRY)
    (first,) = at.tick(f"{SINCE}T08:00", CARRY)
    assert first.signal is not None
    assert first.signal.action == "enter"
    assert {o.side for o in first.signal.orders} >= {"buy", "sell"}
    at.tick(f"{SINCE}T08:00", CARRY)
    (row,) = latest_signals(at.settings)
    assert (row.account, row.action, row.orders) == ("carry", "enter", len(first.signal.orders))
    (second,) = at.tick(f"{SINCE}T09:00", CARRY)
    assert second.signal is not None
    assert (second.signal.action, second.signal.orders) == ("hold", ())
    types = at.events()
    assert types.count("signal") == 2
    assert types.count("alert") == 1
    assert np.isfinite([d.room for d in second.signal.distances]).all()
