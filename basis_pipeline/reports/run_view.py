"""A run for the pages: series and sums by venue and kind, computed from its tables once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basis_pipeline.reports.sampling import Span, repaired_flags, shaded
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import ANNUALISED, DASH, FIGURES, amount, digits_of
from basis_pipeline.results.metrics import Floats, Stamps
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import finite, floats, growth_of, stamps
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Verdict

KINDS = {
    "stake": "Staking",
    "supply": "Supplying",
    "withdraw": "Withdrawing",
    "borrow": "Borrowing",
    "repay": "Repaying",
    "transfer": "Transfers",
}
REASONS = {
    "margin_ratio": "margin ratio",
    "ltv": "loan to value",
    "health_factor": "health factor",
    "delta": "net delta",
    "idle_cash": "idle cash",
    "drift": "drift of a sleeve",
    "cash_shortfall": "cash shortfall",
    "rewards": "reward sale",
}


@dataclass(frozen=True)
class RunView:
    """A run with the series and sums that pages show."""

    result: RunResult

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the run."""
        return self.result.summary

    @property
    def mode_config(self) -> dict[str, Any]:
        """The mode's configuration; empty where the run has none."""
        mode = self.result.config.get("mode")
        return mode if isinstance(mode, dict) else {}

    @cached_property
    def currency(self) -> str:
        """Currency of the run's amounts."""
        return str(self.summary.get("share_class", ""))

    @cached_property
    def digits(self) -> int:
        """Decimals of the run's amounts."""
        return digits_of(self.result.identity.capital)

    def money(self, value: float | None) -> str:
        """Format an amount with the run's decimals."""
        return amount(value, self.digits)

    @property
    def not_annualised(self) -> str:
        """Why annual figures are missing; empty where they are not."""
        return self.summary.get("not_annualised") or ""

    def written(self, name: str, value: float | None) -> str:
        """Format a figure of the run or of a benchmark."""
        if value is None:
            return self.missing(name)
        return FIGURES[name].written(value, self.result.identity.capital)

    def missing(self, name: str) -> str:
        """Return the text for a missing figure: that it is not annualised, or a dash."""
        return "not annualised" if self.not_annualised and name in ANNUALISED else DASH

    @cached_property
    def stamps(self) -> Stamps:
        """Every hour, (n,) nanoseconds."""
        return stamps(self.result.frames["equity"])

    def column(self, table: str, name: str) -> Floats:
        """Return one column of a table as float64."""
        return floats(self.result.frames[table], name)

    def risk_by_venue(self, measure: str) -> dict[str, Floats]:
        """Return `margin_ratio` or `basis_bp` by venue."""
        prefix = f"{measure}:"
        names = [str(name) for name in self.result.frames["risk"].columns]
        return {
            name.removeprefix(prefix): self.column("risk", name)
            for name in names
            if name.startswith(prefix)
        }

    def is_measured(self, column: str) -> bool:
        """Return whether a risk measure ever applies to the run."""
        return bool(np.isfinite(self.column("risk", column)).any())

    @cached_property
    def growth(self) -> Floats:
        """Time-weighted growth of one unit of capital, (n,)."""
        return growth_of(self.result.frames, self.result.identity.capital)

    @cached_property
    def benchmarks(self) -> dict[str, Floats]:
        """Growth of each benchmark that covers the window, 1 at the first hour."""
        frame = self.result.frames.get("benchmark")
        if frame is None:
            return {}
        return {
            str(name): floats(frame, name)
            for name in frame.columns.drop("timestamp")
            if frame[name].notna().all()
        }

    def benchmark_equity(self, growth: Floats) -> Floats:
        """Return the equity of a benchmark with the run's capital and flows, (n,)."""
        units = np.cumsum(self.column("equity", "flow") / growth)
        grown: Floats = growth * (self.result.identity.capital + units)
        return grown

    def figures_of(self, growth: Floats) -> dict[str, float | None]:
        """Return a benchmark's figures, by the names and definitions of a run's summary."""
        daily = metrics.daily_returns(self.stamps, growth)
        total, length = float(growth[-1]) - 1.0, metrics.years(self.stamps)
        rate = self.summary["risk_free_rate"]
        figures = {
            "total_return": total,
            "apy": metrics.annual_yield(total, length),
            "volatility": metrics.volatility(daily),
            "sharpe": metrics.sharpe(daily, rate),
            "sortino": metrics.sortino(daily, rate),
            "max_drawdown": float(metrics.drawdown(growth).max()),
        }
        if self.not_annualised:
            figures |= {name: math.nan for name in figures if name in ANNUALISED}
        own: dict[str, float | None] = finite(figures)
        return own

    @cached_property
    def month_matrix(self) -> pd.DataFrame:
        """Return by year (rows) and month (columns 1 … 12), and of the year; NaN where none.

        The months of a year compound to it, the years to the total return.
        """
        returns = metrics.monthly_returns(self.stamps.copy(), self.growth)
        names = pd.PeriodIndex(list(returns), freq="M")
        frame = pd.DataFrame({"year": names.year, "month": names.month, "r": returns.values()})
        matrix = frame.pivot(index="year", columns="month", values="r")
        matrix = matrix.reindex(columns=range(1, 13))
        matrix["year"] = (1.0 + matrix).prod(axis=1) - 1.0
        return matrix

    @cached_property
    def cumulative(self) -> dict[str, Floats]:
        """Cumulative profit and loss by component, of basis (price legs) and in total, (n,)."""
        parts = {name: self.column("attribution", name) for name in COMPONENTS}
        parts["basis"] = parts["spot_price"] + parts["perp_price"]
        parts["total"] = np.sum([parts[name] for name in COMPONENTS], axis=0)
        return {name: np.cumsum(values) for name, values in parts.items()}

    @property
    def events(self) -> pd.DataFrame:
        """The event ledger."""
        return self.result.frames["events"]

    def events_of(self, kind: str) -> pd.DataFrame:
        """Return the events of one kind."""
        return self.events[self.events["kind"] == kind]

    @cached_property
    def liquidated_at(self) -> list[int]:
        """Hours with a liquidation, nanoseconds."""
        return sorted(set(stamps(self.events_of("liquidation")).tolist()))

    @cached_property
    def repaired_by_dataset(self) -> dict[str, NDArray[np.bool_]]:
        """Whether each hour rests on repaired data, by dataset."""
        return repaired_flags(self.summary.get("repaired_spans", {}), self.stamps)

    @cached_property
    def repaired(self) -> NDArray[np.bool_]:
        """Whether each hour rests on repaired data, (n,)."""
        flags = np.zeros(self.stamps.size, dtype=bool)
        for own in self.repaired_by_dataset.values():
            flags |= own
        return flags

    @property
    def repaired_share(self) -> float:
        """Share of the hours that rest on repaired data."""
        return float(self.repaired.mean())

    @cached_property
    def shades(self) -> list[Span]:
        """Stretches of repaired data, nanoseconds."""
        return shaded(self.repaired, self.stamps)

    @cached_property
    def costs_by_kind(self) -> pd.DataFrame:
        """`count, notional, execution, gas, total` by kind of event, most expensive first.

        Execution and gas add up to the two components; the fees of liquidations belong to the
        component of that name.
        """
        events = self.events[self.events["kind"] != "liquidation"]
        paid = events[(events["fee"] != 0.0) | (events["gas"] != 0.0)]
        rows = zip(paid["kind"], paid["venue"], paid["instrument"], strict=True)
        kinds = [self._kind_of(*row) for row in rows]
        costs = (
            paid.assign(kind=kinds, notional=paid["notional"].abs())
            .groupby("kind")
            .agg(
                count=("fee", "size"),
                notional=("notional", "sum"),
                execution=("fee", "sum"),
                gas=("gas", "sum"),
            )
        )
        costs["total"] = costs["execution"] + costs["gas"]
        return costs.sort_values("total", ascending=False, kind="stable")

    def _kind_of(self, kind: str, venue: str, instrument: str) -> str:
        if kind != "trade":
            return KINDS.get(kind, kind.capitalize())
        if instrument.endswith("-PERP"):
            return "Perpetual trades"
        if venue == self.mode_config.get("spot", {}).get("venue"):
            return "Spot trades"
        staked = self.mode_config.get("staking", {}).get("lst")
        return "Staking token trades" if instrument == staked else "Reward sales"

    @cached_property
    def funding_by_venue(self) -> pd.DataFrame:
        """`side, settlements, received, rate` by venue; the amounts add up to the component.

        `received` is below zero where funding was paid. The rate is what was received over the
        average notional at settlement and the years; NaN where nothing is annualised.
        """
        funding = self.events_of("funding").groupby("venue", sort=True)
        received = funding["amount"].sum()
        length = np.nan if self.not_annualised else metrics.years(self.stamps)
        rate = received / funding["notional"].mean() / (length or np.nan)
        # A position never changes its side.
        side = funding["quantity"].first().map(lambda held: "short" if held < 0.0 else "long")
        settled = {"settlements": funding.size(), "received": received, "rate": rate}
        return pd.DataFrame({"side": side, **settled})


@dataclass(frozen=True)
class JudgedRun:
    """A run with its verdicts: of its own gates, and of the datasets that it read."""

    result: RunResult
    verdicts: Sequence[Verdict]

    @cached_property
    def run(self) -> RunView:
        """The run with the series and sums that pages show."""
        return RunView(self.result)

    @property
    def gates(self) -> list[Verdict]:
        """The verdicts on the run, without those on its input datasets."""
        return [verdict for verdict in self.verdicts if not verdict.dataset]


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a configuration to dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{key}.")
        else:
            flat[key] = value
    return flat
