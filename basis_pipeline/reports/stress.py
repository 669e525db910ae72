"""Shocks and replays of one mode: their sizes, their effects, and the distance to the limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config.scenario import (
    BorrowRateSpike,
    FundingShock,
    GasSpike,
    LstDepeg,
    Moment,
    PriceGap,
    ScenarioSet,
    Shock,
    SpotPath,
)
from basis_pipeline.market.window import Window
from basis_pipeline.reports.chart import Chart, bars, horizontal_bars, totals
from basis_pipeline.reports.points import RETURN, SHOWN_FIGURES
from basis_pipeline.reports.run_charts import NETTED
from basis_pipeline.reports.study import written
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, FIGURES, amount, percent
from basis_pipeline.results.tables import COMPONENTS

# Limit of a set → the figure it bounds; those that begin with `min_` are floors.
BOUNDS = {
    "max_liquidations": "liquidations",
    "max_drawdown": "max_drawdown",
    "min_health_factor": "min_health_factor",
    "min_margin_ratio": "min_margin_ratio",
}
UNREACHED = "does not affect this mode"
UNTRADED = "nothing was traded during it"


@dataclass(frozen=True)
class Stress:
    """The worst point of every market and window of a set, compared with the unshocked market.

    Parameters
    ----------
    rows: with every figure of a sweep, and `broken`: the limits that each breaks, or empty.
    reasons: why each shock of a market affects nothing that the mode holds; empty where it can.
    replays: `move, fall, peg` by name of a window: shares.
    """

    rows: pd.DataFrame
    scenarios: ScenarioSet
    windows: Mapping[str | None, Window]
    reasons: Mapping[str, Sequence[str]]
    replays: pd.DataFrame

    @cached_property
    def worst(self) -> list[dict[str, Any]]:
        """The worst row of every window and market, in their order."""
        first = self.rows.assign(sound=self.rows["status"] == "").sort_values(["sound", RETURN])
        kept = first.drop_duplicates(["window", "market"]).sort_values("index")
        return [
            {str(name): value for name, value in row.items()} for row in kept.to_dict("records")
        ]

    @property
    def calm(self) -> str | None:
        """The market without shocks; None where the set has none."""
        markets = self.scenarios.markets or {}
        return next((name for name, shocks in markets.items() if not shocks), None)

    @cached_property
    def _by_index(self) -> pd.DataFrame:
        return self.rows.set_index("index")

    def calm_of(self, row: Mapping[str, Any]) -> "pd.Series[Any] | None":
        """Return the same point without shocks; None where it was rejected or does not exist."""
        names = list(self.scenarios.markets or {})
        if self.calm is None or row["market"] == self.calm or row["status"]:
            return None
        each = len(self.rows) // (len(names) * len(self.windows))
        apart = (names.index(self.calm) - names.index(row["market"])) * each
        calm = self._by_index.loc[row["index"] + apart]
        return calm if calm["status"] == "" else None

    def is_unreached(self, row: Mapping[str, Any]) -> bool:
        """Return whether every figure of a shocked market is that of the calm one, to the bit."""
        calm = self.calm_of(row)
        if calm is None:
            return False
        figures = [*SHOWN_FIGURES, *COMPONENTS, "closed_equity"]
        return all(row[n] == calm[n] or (row[n] != row[n] and calm[n] != calm[n]) for n in figures)

    def why_unreached(self, market: str) -> str:
        """Say why a market changed no figure."""
        known = list(dict.fromkeys(filter(None, self.reasons[market])))
        return ", ".join(known) or UNTRADED

    def changes(self, row: Mapping[str, Any]) -> dict[str, float]:
        """Return every component less that of the calm market, if any, as a share of capital."""
        calm = self.calm_of(row)
        before = dict.fromkeys(COMPONENTS, 0.0) if calm is None else calm
        own = {name: (row[name] - before[name]) / row["capital"] for name in COMPONENTS}
        own["basis"] = own["spot_price"] + own["perp_price"]
        return own

    def sentences(self) -> list[str]:
        """State the worst scenario, the shocks without effect, and the nearest limit."""
        sound = [row for row in self.worst if row["status"] == ""]
        found = []
        if sound:
            low = min(sound, key=lambda row: row[RETURN])
            calm = self.calm_of(low)
            less = ""
            if calm is not None:
                apart = percent(calm[RETURN] - low[RETURN]).replace(" %", " points")
                less = f", {apart} less than {self.calm}"
            found.append(f"Worst: {name_of(low)} returned {written(RETURN, low[RETURN])}{less}.")
        missed = [row["market"] for row in self.worst if self.is_unreached(row)]
        if missed:
            named = [f"{name} ({self.why_unreached(name)})" for name in dict.fromkeys(missed)]
            found.append(f"Without effect on this mode: {'; '.join(named)}.")
        return [*found, *self._nearest(sound)]

    def _nearest(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        used = []
        for name, figure in BOUNDS.items():
            limit = getattr(self.scenarios.limits, name, None)
            for row in rows if limit else ():
                value, is_floor = row[figure], name.startswith("min_")
                if value == value:
                    share = limit / value if is_floor and value else value / limit
                    used.append((share, name_of(row), figure, value, limit, is_floor))
        if not used:
            return []
        _, name, figure, value, limit, is_floor = max(used, key=lambda one: one[0])
        bound = f"{'at least' if is_floor else 'at most'} {written(figure, limit)}"
        label = FIGURES[figure].label.lower()
        return [f"Nearest to its limit: {label} {written(figure, value)} in {name} ({bound})."]

    @property
    def reaches_nothing(self) -> bool:
        """Whether the set has shocks, but none of its markets changed a figure."""
        shocked = [
            row for row in self.worst if self.scenarios.markets and row["market"] != self.calm
        ]
        return bool(shocked) and all(self.is_unreached(row) for row in shocked)

    def shock_table(self) -> Table:
        """List every shock with its size, hour and length, and whether it affects the mode."""
        unreached = {row["market"] for row in self.worst if self.is_unreached(row)}
        rows: list[Cells] = []
        for market, shocks in (self.scenarios.markets or {}).items():
            for shock, reason in zip(shocks, self.reasons[market], strict=True):
                meaning = " ".join((type(shock).__doc__ or "").split())
                size, lasts = _size(shock)
                reach = f"only in trades: {reason}" if reason else "yes"
                if market in unreached:
                    reach = f"no: {reason or UNTRADED}"
                begin = self._begin(shock)
                rows.append((market, Term(shock.shock, meaning), size, begin, lasts, reach))
        titles = ("scenario", "shock", "size", "begins, UTC", "lasts", "affects this mode")
        return Table(titles, rows, "Shocks")

    def _begin(self, shock: Shock) -> str:
        if not isinstance(shock, Moment):
            return "first hour"
        if isinstance(shock.at, str):
            return shock.at
        starts = [window.start for window in self.windows.values()]
        at = f"{starts[0] + timedelta(hours=shock.at):%Y-%m-%d %H:%M}, "
        return f"{at if len(starts) == 1 else ''}h {shock.at}"

    def replay_table(self) -> Table:
        """List the replayed windows of history, and the market moves in each."""
        rows = [
            (
                str(name),
                *(f"{bound:%Y-%m-%d %H:%M}" for bound in (window.start, window.end)),
                amount((window.end - window.start) / pd.Timedelta(days=1), 0),
                *(_share(self.replays.loc[name, column]) for column in ("move", "fall", "peg")),
            )
            for name, window in self.windows.items()
            if name is not None
        ]
        fall = Term(">largest fall", "The coin's largest fall from a peak of the window.")
        peg = Term(">lowest peg", "Lowest market price of the staked token over its redemption.")
        titles = ("scenario", "from, UTC", "to, UTC", ">days", ">coin's move", fall, peg)
        return Table(titles, rows, "Replays")

    def effect_table(self) -> Table:
        """List the effect of every scenario on the mode."""
        rows: list[Cells] = []
        for row in self.worst:
            calm = self.calm_of(row)
            change = DASH if calm is None else _points(row[RETURN] - calm[RETURN])
            figures = [written(name, row[name]) for name in SHOWN_FIGURES]
            figures[1:1] = [change] if self.calm else []
            rows.append((name_of(row), self._verdict(row), *figures, self._effect(row)))
        heads = [Term(f">{FIGURES[n].label}", FIGURES[n].description) for n in SHOWN_FIGURES]
        against = f"Return less that of {self.calm}, in percentage points."
        heads[1:1] = [Term(">change", against)] if self.calm else []
        titles: Cells = ("scenario", "verdict", *heads, "~effect, % of capital")
        return Table(titles, rows, "Effect of each scenario on this mode")

    def _verdict(self, row: Mapping[str, Any]) -> str:
        if self.scenarios.limits is None and not row["status"]:
            return "N/A"
        return "FAIL" if row["broken"] else "PASS"

    def _effect(self, row: Mapping[str, Any]) -> str:
        if row["status"]:
            return f"rejected with {row['status']}"
        if row["market"] and row["market"] == self.calm:
            return "no shock: the others are compared with it"
        if self.is_unreached(row):
            return f"{UNREACHED}: {self.why_unreached(row['market'])}"
        changes = self.changes(row)
        moved = sorted((n for n in NETTED if changes.get(n)), key=lambda n: -abs(changes[n]))
        return ", ".join(f"{name} {_signed(changes[name], 2)}" for name in moved[:3])

    def limit_table(self) -> Table:
        """List the distance of every scenario to each limit of the set."""
        limits = {n: getattr(self.scenarios.limits, n, None) for n in BOUNDS}
        stated = {name: limit for name, limit in limits.items() if limit is not None}
        rows: list[Cells] = []
        for row in self.worst:
            cells: list[str] = []
            for name, limit in stated.items():
                value, figure = row[BOUNDS[name]], BOUNDS[name]
                room = value - limit if name.startswith("min_") else limit - value
                cells += [written(figure, value), written(figure, room)]
            rows.append((name_of(row), self._verdict(row), *cells))
        titles: list[Term | str] = ["scenario", "verdict"]
        for name, limit in stated.items():
            bounded = FIGURES[BOUNDS[name]]
            sign = "≥" if name.startswith("min_") else "≤"
            titles.append(Term(f">{bounded.label}", bounded.description))
            titles.append(f">room to {sign} {written(BOUNDS[name], limit)}")
        return Table(tuple(titles), rows, "Distance to the limits")

    @property
    def drawn(self) -> list[dict[str, Any]]:
        """The rows that can be compared with a calm market."""
        return [row for row in self.worst if self.calm_of(row) is not None]

    def chart(self) -> Chart:
        """Draw the change of every component against the calm market."""
        found = [(name_of(row), self.changes(row)) for row in self.drawn]
        names = [name for name, _ in found]
        traces: list[Any] = [
            bars(part, names, [100.0 * own[part] for _, own in found], part, "%{x:.3f} points")
            for part in NETTED
            if any(own[part] for _, own in found)
        ]
        sums = [100.0 * sum(own[part] for part in NETTED) for _, own in found]
        traces.append(totals("total", names, sums, "%{x:.3f} points"))
        axis = {"title": {"text": "change, % of capital"}}
        return Chart(
            "effects",
            f"What each shock changed against {self.calm}",
            "Profit and loss by component less that of the market without shocks, over the whole "
            "window, as a share of the capital; the diamond is the sum. basis is spot_price + "
            "perp_price. Unit: percent of capital.",
            horizontal_bars(traces, barmode="relative", xaxis=axis),
            height=130 + 38 * len(names),
            wide=True,
        )


def name_of(row: Mapping[str, Any]) -> str:
    """Return the names of a row's window and market."""
    return " ".join(filter(None, (row["window"], row["market"]))) or DASH


def _points(share: float) -> str:
    text = percent(share).replace(" %", " points")
    return text if share <= 0.0 else f"+{text}"


def _share(value: Any) -> str:
    return DASH if not np.isfinite(value) else percent(float(value))


def _size(shock: Shock) -> tuple[str, str]:
    """Return how large a shock is, with its unit, and how long it lasts."""
    recovers = getattr(shock, "recovery_hours", None)
    hours = f"{shock.hours} h" if hasattr(shock, "hours") else "to the end"
    lasts = f"{recovers} h, fading" if recovers else hours
    if isinstance(shock, SpotPath):
        return f"every return of the coin × {1.0 + shock.size:g}", lasts
    if isinstance(shock, PriceGap):
        return f"price {_signed(shock.size)}", lasts
    if isinstance(shock, LstDepeg):
        return f"price {_signed(-shock.size)} to redemption", lasts
    if isinstance(shock, GasSpike):
        return f"gas × {1.0 + shock.size:g}", lasts
    if isinstance(shock, BorrowRateSpike):
        return f"borrowing {_signed(shock.size)} a year", lasts
    if isinstance(shock, FundingShock):
        shift = f", {_signed(shock.shift, 3)} a settlement" if shock.shift else ""
        places = f" at {', '.join(shock.venues)}" if shock.venues else ""
        return f"rates × {shock.factor:g}{shift}{places}".replace("-", "−"), lasts
    return f"{shock.venue} stands still", lasts


def _signed(share: float, digits: int = 0) -> str:
    return f"{'+' if share > 0 else ''}{percent(share, digits)}"
