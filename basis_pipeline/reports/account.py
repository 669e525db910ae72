"""The page of an account: its orders, its profit, its next triggers, and the age of its feeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.market.freshness import Freshness
from basis_pipeline.market.timestamps import format_time
from basis_pipeline.reports.banners import banners, stamp_of
from basis_pipeline.reports.chart import HOURLY, Chart, Row, line, over_time
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.run_view import REASONS, RunView
from basis_pipeline.reports.sampling import Span
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, amount, digits_of, percent
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENT_MEANING, COMPONENTS
from basis_pipeline.verdict import Verdict, count_of

_MINUTES = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as its page shows it.

    Parameters
    ----------
    now: UTC, the present hour. legs: number and latest run of each, the latest last; at least one.
    signal: as JSON values; None before the first. revisions: rows by field name, the latest last.
    ages: of its feeds, the oldest first.
    """

    name: str
    description: str
    now: datetime
    legs: Sequence[tuple[int, RunResult]]
    gates: Sequence[Verdict]
    signal: Mapping[str, Any] | None
    revisions: Sequence[Mapping[str, Any]]
    ages: Sequence[Freshness]

    @property
    def run(self) -> RunView:
        """The latest run of the latest leg."""
        return RunView(self.legs[-1][1])

    @property
    def midnight(self) -> pd.Timestamp:
        """When the last hour's day began, UTC: the hour that ends at midnight is of the day before.

        A mode that moves once a day would have earned nothing on a day that has just begun.
        """
        last: pd.Timestamp = self.run.result.frames["attribution"]["timestamp"].iloc[-1]
        return (last - pd.Timedelta(hours=1)).floor("D")

    @property
    def today(self) -> dict[str, float]:
        """Profit and loss by component since that midnight; an entry at midnight counts."""
        frame = self.run.result.frames["attribution"]
        is_since = frame["timestamp"] > self.midnight
        is_since.iloc[0] |= frame["timestamp"].iloc[0] == self.midnight
        return {name: float(frame.loc[is_since, name].sum()) for name in COMPONENTS}

    @property
    def digits(self) -> int:
        """Decimals of amounts, the same in every leg."""
        return digits_of(self.legs[0][1].identity.capital)

    def money(self, value: float) -> str:
        """Format an amount with the account's decimals."""
        return amount(value, self.digits)


def account_html(account: AccountView, provenance: Provenance) -> str:
    """Return the page of an account."""
    run = account.run
    first, last = account.legs[0][1].identity, run.result.identity
    signal = account.signal or {}
    return Page(
        title=account.name,
        what=account.description,
        stamp=stamp_of(run, account.gates),
        facts=[
            ("mode", run.result.mode),
            ("since", f"{first.start:{_MINUTES}} UTC"),
            ("last hour", f"{last.end:{_MINUTES}} UTC"),
            ("present hour", f"{account.now:{_MINUTES}} UTC"),
            ("leg", str(account.legs[-1][0])),
        ],
        banners=banners(run, account.gates),
        headline=[
            _figure(
                "action",
                "Action",
                "What the account does at its last hour.",
                str(signal.get("action", DASH)).capitalize(),
            ),
            _figure("equity", "Equity", "At the last hour.", account.money(last_equity(run)), run),
            _figure(
                "today",
                "Today",
                f"Profit and loss since {account.midnight:{_MINUTES}} UTC.",
                account.money(sum(account.today.values())),
                run,
            ),
            _figure(
                "total",
                "Since the leg began",
                "Return of the latest leg.",
                percent(run.summary["total_return"]),
            ),
        ],
        sections=[
            Section("What to do", [_orders(signal), _positions(signal)], _to_do(signal)),
            Section("Next triggers", [_distances(signal)]),
            Section("Equity", [_equity(account), _legs(account)]),
            Section("Today", [_today(account)]),
            Section("Feeds", [_feeds(account)]),
            Section("Revisions", [_revisions(account)]),
        ],
        footer=(
            "A paper account: the backtest of its mode to the last full hour that all its feeds "
            "have. It places no orders. Hours are in UTC."
        ),
    ).html(provenance)


def last_equity(run: RunView) -> float:
    """Return the equity at a run's last hour."""
    return float(run.column("equity", "equity")[-1])


def _figure(
    name: str, label: str, meaning: str, text: str, run: RunView | None = None
) -> dict[str, Any]:
    unit = run.currency if run else ""
    return {"name": name, "term": Term(label, meaning), "text": text, "unit": unit, "beside": ""}


def _to_do(signal: Mapping[str, Any]) -> str:
    if not signal:
        return "The account has no signal yet."
    if signal["action"] == "halt":
        return "Emergency control stops work: nothing is traded."
    if not signal["orders"]:
        return f"No order is due since {_hour(signal['since'])} UTC."
    cause = "" if signal["trigger"] == "entry" else _trigger(signal["trigger"])
    why = f", because of {cause}" if cause else ""
    orders = count_of(len(signal["orders"]), "order")
    return f"{signal['action'].capitalize()}{why}: {orders} since {_hour(signal['since'])} UTC."


def _orders(signal: Mapping[str, Any]) -> Table:
    titles = ("hour, UTC", "venue", "instrument", "side", ">quantity", ">limit price", ">notional")
    rows: list[Cells] = [
        (
            _hour(order["at"]),
            *(str(order[name]) for name in ("venue", "instrument", "side")),
            _quantity(order["quantity"]),
            *(f"{order[name]:,.2f}" for name in ("limit_price", "notional", "cost", "gas")),
            _trigger(order["reason"]),
        )
        for order in signal.get("orders", ())
    ]
    return Table((*titles, ">cost", ">gas", "reason"), rows, "Orders")


def _positions(signal: Mapping[str, Any]) -> Table:
    rows: list[Cells] = [
        (one["key"], _quantity(one["current"]), _quantity(one["target"]))
        for one in signal.get("positions", ())
    ]
    return Table(("position", ">current", ">target"), rows, "Positions against targets")


def _trigger(name: str) -> str:
    return REASONS.get(name, name.replace("_", " "))


def _distances(signal: Mapping[str, Any]) -> Table:
    rows: list[Cells] = [
        (
            ", ".join(filter(None, (_trigger(one["name"]), one["venue"]))),
            *(_quantity(one[name], 4) for name in ("value", "low", "high", "room")),
            percent(one["price_move"]),
        )
        for one in signal.get("distances", ())
    ]
    titles = ("trigger", ">value", ">low", ">high", ">room", ">price move to trigger")
    return Table(titles, rows, "Distance to each trigger and to liquidation")


def _equity(account: AccountView) -> Chart:
    run, traces = account.run, []
    shades: list[Span] = []
    money: dict[str, Any] = {"form": f",.{account.digits}f", "unit": f" {run.currency}"}
    views = [(number, RunView(result)) for number, result in account.legs]
    for number, leg in views:
        colour = "accent" if number == account.legs[-1][0] else "benchmark-0"
        equity = leg.column("equity", "equity")
        traces.append(line(f"leg {number}", leg.stamps, equity, colour, width=2.0, **money))
        shades += leg.shades
    stamps = np.array([views[0][1].stamps[0], views[-1][1].stamps[-1]])
    meaning = f"Equity after the trades of each hour, in {run.currency}, leg by leg. {HOURLY}"
    drawn = over_time(traces, [Row(f"Equity, {run.currency}")], stamps, shades, run.liquidated_at)
    return Chart("equity", "Equity since inception", meaning, drawn, height=340, wide=True)


def _legs(account: AccountView) -> Table:
    rows: list[Cells] = []
    for number, result in account.legs:
        leg, identity = RunView(result), result.identity
        span = f"{identity.start:{_MINUTES}}", f"{identity.end:{_MINUTES}}"
        money = account.money(identity.capital), account.money(last_equity(leg))
        rows.append((str(number), *span, *money, result.run_id))
    titles = ("leg", "from, UTC", "to, UTC", ">capital", ">equity", "run")
    return Table(titles, rows, "Legs, one per configuration")


def _today(account: AccountView) -> Table:
    today = account.today
    rows: list[Cells] = [
        (Term(name, COMPONENT_MEANING[name]), account.money(value)) for name, value in today.items()
    ]
    total = ("profit and loss", account.money(sum(today.values())))
    titles = ("component", f">{account.run.currency}")
    caption = f"Today by component, since {account.midnight:{_MINUTES}} UTC"
    return Table(titles, rows, caption, foot=total, wide=False)


def _feeds(account: AccountView) -> Table:
    rows: list[Cells] = [
        (
            one.feed,
            DASH if one.last is None else format_time(one.last),
            DASH if one.last is None else f"{one.age_hours:.0f}",
            str(one.max_age_hours),
            "stale" if one.is_stale else "fresh",
        )
        for one in account.ages
    ]
    titles = ("feed", "last hour, UTC", ">age, hours", ">limit, hours", "state")
    return Table(titles, rows, "Freshness of every feed")


def _revisions(account: AccountView) -> Table:
    rows: list[Cells] = [
        (
            _hour(one["hour"]),
            one["feed"],
            one["value"],
            f"{one['before']!r}",
            f"{one['after']!r}",
            f"{one['by']}: {one['reason']}" if one["by"] else "open",
        )
        for one in reversed(account.revisions)
    ]
    titles = ("hour, UTC", "feed", "value", ">before", ">after", "~accepted by")
    return Table(titles, rows, "Changes in the history")


def _quantity(value: float | None, digits: int = 8) -> str:
    """Format a number with so many digits, never as a power of ten; below a billionth it is 0."""
    if value is None:
        return DASH
    rounded = round(value, 9) + 0.0
    if 0.0 < abs(rounded) < 1e-4:
        return f"{float(f'{rounded:.{digits}g}'):.9f}".rstrip("0").replace("-", "−")
    form = ",.0f" if abs(rounded) >= 10.0**digits else f",.{digits}g"
    return f"{rounded:{form}}".replace("-", "−")


def _hour(text: str) -> str:
    return f"{pd.Timestamp(text):{_MINUTES}}"
