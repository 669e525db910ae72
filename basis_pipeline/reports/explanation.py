"""What moved the result of a run, in sentences and short tables made from its stored tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.reports.run_charts import NETTED, signed
from basis_pipeline.reports.run_view import REASONS, RunView
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import amount, percent
from basis_pipeline.results.tables import COMPONENT_MEANING, GROUPS
from basis_pipeline.verdict import Status, Verdict, count_of, input_warnings, warned_inputs

SHOWN = 3  # costliest days, and parts and liquidations of a sentence
MINUTES = "%Y-%m-%d %H:%M"
Row = dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """The sources of a run's result: components, cost of rebalances, costliest days, liquidations.

    verdicts: of the run; those of its input datasets are used.
    """

    run: RunView
    verdicts: Sequence[Verdict] = ()

    @cached_property
    def components(self) -> list[Row]:
        """Profit and loss by component, largest first; the price legs follow their sum."""
        summary = self.run.summary
        amounts = {**summary["attribution"], "basis": summary["groups"]["basis"]}
        largest_first = sorted(NETTED, key=lambda name: -abs(amounts[name]))
        names = [
            part
            for name in largest_first
            for part in ((name, *GROUPS["basis"]) if name == "basis" else (name,))
        ]
        return [
            {"component": name, "amount": amounts[name], "of_capital": self._share(amounts[name])}
            for name in names
            if amounts[name] != 0.0
        ]

    @cached_property
    def triggers(self) -> list[Row]:
        """Number and cost of rebalances by trigger, entry included, most expensive first."""
        events = self.run.events[self.run.events["kind"] != "liquidation"]
        done = events["kind"].isin(("entry", "rebalance"))
        paid = pd.DataFrame({"cost": events["fee"] + events["gas"], "rebalances": done})
        sums = paid.groupby(events["reason"]).sum().sort_values("cost", ascending=False)
        return [
            {
                "trigger": str(reason),
                "rebalances": int(row["rebalances"]),
                "cost": float(row["cost"]),
                "of_capital": self._share(float(row["cost"])),
            }
            for reason, row in sums.iterrows()
            if row["rebalances"] or row["cost"]
        ]

    @cached_property
    def costliest_days(self) -> list[Row]:
        """The days with the largest falls of equity net of flows, each with its worst component."""
        parts = {
            name: np.diff(self.run.cumulative[name], prepend=0.0)
            for name in NETTED
            if self.run.cumulative[name].any()
        }
        days = metrics.periods(self.run.stamps, "D").astype(str)
        daily = pd.DataFrame(parts).groupby(days).sum()
        change = daily.sum(axis=1)
        falls = change[change < 0.0].nsmallest(SHOWN)
        rows = []
        for (day, own), fall in zip(daily.loc[falls.index].iterrows(), falls, strict=True):
            rows.append(
                {
                    "day": str(day),
                    "change": float(fall),
                    "of_capital": self._share(float(fall)),
                    "component": str(own.idxmin()),
                    "of_component": float(own.min()),
                }
            )
        return rows

    @cached_property
    def liquidations(self) -> list[Row]:
        """Every liquidation, and whether it was at a wick that no other venue on its side shows."""
        columns = ["venue", "instrument", "quantity", "price", "notional", "fee"]
        return [
            {
                "at": f"{event['timestamp']:{MINUTES}}",
                **{name: event[name] for name in columns},
                "wick": event["reason"] == "wick",
            }
            for event in self.run.events_of("liquidation").to_dict("records")
        ]

    @cached_property
    def equity(self) -> dict[str, float | None]:
        """Equity at the last hour, open and closed, compared with plain lending."""
        summary, growth = self.run.summary, self.run.benchmarks.get("lending")
        lent = None if growth is None else float(self.run.benchmark_equity(growth)[-1])
        final, closed = summary["final_equity"], summary["closed_equity"]
        return {
            "final_equity": final,
            "closed_equity": closed,
            "exit_cost": summary["exit_cost"],
            "lending_equity": lent,
            "over_lending": None if lent is None else final - lent,
            "closed_over_lending": None if lent is None else closed - lent,
        }

    @property
    def skipped(self) -> int:
        """Number of rebalances skipped because they cost more than the equity they would leave."""
        return len(self.run.events_of("skipped"))

    @property
    def sentences(self) -> list[str]:
        """The main findings, a sentence or two on each subject."""
        return [
            self.on_result(),
            self.on_equity(),
            *self._on_funding(),
            self._on_rebalances(),
            self._on_days(),
            self._on_liquidations(),
            self._on_inputs(),
        ]

    @property
    def tables(self) -> list[Table]:
        """The tables behind the sentences, those that have rows."""
        made = (
            self._component_table(),
            self._equity_table(),
            self._trigger_table(),
            self._day_table(),
            self._liquidation_table(),
            self._input_table(),
        )
        return [table for table in made if table.rows]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values: amounts in the currency, shares of the capital."""
        summary = self.run.summary
        return {
            "run_id": self.run.result.run_id,
            "mode": self.run.result.mode,
            "currency": self.run.currency,
            "capital": self.run.result.identity.capital,
            "pnl": summary["pnl"],
            "total_return": summary["total_return"],
            "sentences": self.sentences,
            "components": self.components,
            "equity": self.equity,
            "rebalances": self.triggers,
            "skipped": self.skipped,
            "costliest_days": self.costliest_days,
            "liquidations": self.liquidations,
            "input_warnings": warned_inputs(self.verdicts),
        }

    def _share(self, value: float) -> float:
        return value / self.run.result.identity.capital

    def _money(self, value: float) -> str:
        return f"{self.run.money(value)} {self.run.currency}"

    def on_result(self) -> str:
        """State the result and its largest components."""
        pnl = self.run.summary["pnl"]
        parts = [row for row in self.components if row["component"] not in GROUPS["basis"]]
        largest = ", ".join(
            f"{row['component']} {signed(self.run, row['amount'])}" for row in parts[:SHOWN]
        )
        result = f"The run {'lost' if pnl < 0.0 else 'earned'} {self._money(abs(pnl))}, "
        result += f"{percent(abs(self._share(pnl)))} of its capital."
        return f"{result} The largest parts: {largest}." if largest else result

    def on_equity(self) -> str:
        """State the equity, open and closed, compared with plain lending."""
        equity, money = self.equity, self.run.money
        sentence = f"Its equity is {self._money(self.run.summary['final_equity'])}, or "
        sentence += f"{money(equity['closed_equity'])} with everything closed at the market."
        if equity["lending_equity"] is None:
            return f"{sentence} There are no lending rates to compare it with."
        ahead = [equity["over_lending"] or 0.0, equity["closed_over_lending"] or 0.0]
        open_, closed = (f"{money(abs(x))} {'behind' if x < 0.0 else 'ahead'}" for x in ahead)
        return (
            f"{sentence} Plain lending of the same money comes to "
            f"{money(equity['lending_equity'])}: the run is {open_}, {closed} when closed."
        )

    def _on_funding(self) -> list[str]:
        """State what each venue's position received or paid; empty without a perpetual."""
        named = [
            f"{venue} ({row['side']}) {'paid' if row['received'] < 0.0 else 'received'} "
            f"{self._money(abs(row['received']))}"
            for venue, row in self.run.funding_by_venue.iterrows()
        ]
        return [f"Funding by venue: {', '.join(named)}."] if named else []

    def _on_rebalances(self) -> str:
        entry = sum(row["cost"] for row in self.triggers if row["trigger"] == "entry")
        others = [row for row in self.triggers if row["trigger"] != "entry"]
        entering = f"entering cost {self._money(entry)}."
        if not others:
            sentence = f"Nothing was rebalanced; {entering}"
        else:
            cost = sum(row["cost"] for row in others)
            counted, first = (
                count_of(sum(row["rebalances"] for row in others), "rebalance"),
                others[0],
            )
            sentence = (
                f"{counted} cost {self._money(cost)}, {percent(self._share(cost))} of the capital, "
                f"most of it for {_trigger(first)} ({first['rebalances']:,} for "
                f"{self.run.money(first['cost'])}); {entering}"
            )
        if self.skipped:
            skipped = count_of(self.skipped, "rebalance")
            sentence += f" Skipped, because it costs more than the equity it leaves: {skipped}."
        return sentence

    def _on_days(self) -> str:
        if not self.costliest_days:
            return "Equity net of flows did not fall on any day."
        worst = self.costliest_days[0]
        return (
            f"The costliest day is {worst['day']}: {self._money(worst['change'])}, "
            f"{percent(worst['of_capital'])} of the capital, most of it from {worst['component']} "
            f"({self.run.money(worst['of_component'])})."
        )

    def _on_liquidations(self) -> str:
        if not self.liquidations:
            return "Nothing was liquidated."
        lost = self._money(self.run.summary["attribution"]["liquidation"])
        named = [
            f"{row['venue']} {row['instrument']} on {row['at']} UTC at {amount(row['price'])}"
            + (", at a wick that no other venue on its side shows" if row["wick"] else "")
            for row in self.liquidations[:SHOWN]
        ]
        if len(self.liquidations) > SHOWN:
            named.append(f"and {len(self.liquidations) - SHOWN:,} more")
        counted = count_of(len(self.liquidations), "liquidation")
        return f"{counted}, penalties and fees {lost}: {'; '.join(named)}."

    def _on_inputs(self) -> str:
        if not any(verdict.dataset for verdict in self.verdicts):
            return "The verdicts on its input datasets are not stored with this run."
        return input_warnings(self.verdicts) or "No input dataset has a warning."

    def _component_table(self) -> Table:
        rows: list[Cells] = []
        for row in self.components:
            name = row["component"]
            label = f"of which {name}" if name in GROUPS["basis"] else name
            share = percent(row["of_capital"], 3)
            rows.append(
                (Term(label, COMPONENT_MEANING[name]), self.run.money(row["amount"]), share)
            )
        titles = ("component", f">{self.run.currency}", ">of capital")
        pnl = self.run.summary["pnl"]
        foot = ("profit and loss", self.run.money(pnl), percent(self._share(pnl), 3))
        caption = "Profit and loss by component, largest first"
        return Table(titles, rows, caption, foot, wide=False)

    def _equity_table(self) -> Table:
        labels = {
            "final_equity": "equity at the last hour",
            "closed_equity": "with everything closed at the market",
            "lending_equity": "the same money in plain lending",
            "over_lending": "equity over plain lending",
            "closed_over_lending": "closed equity over plain lending",
        }
        rows: list[Cells] = [
            (label, self.run.money(value), percent(self._share(value)))
            for name, label in labels.items()
            if (value := self.equity[name]) is not None
        ]
        titles = ("equity", f">{self.run.currency}", ">of capital")
        return Table(titles, rows, "Equity, closed equity and plain lending", wide=False)

    def _trigger_table(self) -> Table:
        rows: list[Cells] = [
            (_trigger(row), f"{row['rebalances']:,}", self.run.money(row["cost"]),
             percent(row["of_capital"], 3))
            for row in self.triggers
        ]  # fmt: skip
        count, cost = (sum(row[key] for row in self.triggers) for key in ("rebalances", "cost"))
        foot = ("total", f"{count:,}", self.run.money(cost), percent(self._share(cost), 3))
        titles = ("trigger", ">times", f">cost, {self.run.currency}", ">of capital")
        return Table(titles, rows, "Entry and rebalances by trigger", foot, wide=False)

    def _day_table(self) -> Table:
        rows: list[Cells] = [
            (row["day"], self.run.money(row["change"]), percent(row["of_capital"], 3),
             row["component"], self.run.money(row["of_component"]))
            for row in self.costliest_days
        ]  # fmt: skip
        currency = self.run.currency
        titles = ("day", f">change, {currency}", ">of capital", "worst part", f">{currency}")
        return Table(titles, rows, "Costliest days, net of flows, days in UTC", wide=False)

    def _liquidation_table(self) -> Table:
        money = self.run.money
        rows: list[Cells] = [
            (row["at"], f"{row['venue']} {row['instrument']}", amount(row["quantity"], 4),
             amount(row["price"]), money(row["notional"]), money(row["fee"]),
             "wick" if row["wick"] else "")
            for row in self.liquidations
        ]  # fmt: skip
        titles = ("UTC", "where", ">quantity", ">price", ">notional", ">fee", "note")
        return Table(titles, rows, "Liquidations")

    def _input_table(self) -> Table:
        rows: list[Cells] = [
            (verdict.dataset, verdict.check, verdict.message)
            for verdict in self.verdicts
            if verdict.dataset and verdict.status is Status.WARN
        ]
        return Table(("dataset", "check", "~result"), rows, "Inputs with warnings")


def _trigger(row: Row) -> str:
    reason = str(row["trigger"])
    return REASONS.get(reason, reason)
