"""The tear sheet of one run: what it earned, from what, at which risk, and what it rests on."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from basis_pipeline.reports import activity_charts, performance_charts
from basis_pipeline.reports.banners import banners, in_order, stamp_of
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.gates import measured
from basis_pipeline.reports.page import Provenance, render, write_page
from basis_pipeline.reports.risk_charts import risk_charts
from basis_pipeline.reports.run_view import REASONS, RunView, flattened
from basis_pipeline.results.definitions import COMPONENT_MEANING, FIGURES, amount, percent
from basis_pipeline.results.store import RunResult, read_run, read_verdicts
from basis_pipeline.results.tables import GROUPS
from basis_pipeline.verdict import Verdict

HEADLINE = (
    "total_return",
    "apy",
    "sharpe",
    "max_drawdown",
    "pnl",
    "final_equity",
    "carry_per_year",
    "cost_per_year",
)
BESIDE = ("total_return", "apy", "volatility", "sharpe", "sortino", "max_drawdown")
YIELDS = ("apr", "calmar", "carry_per_year", "funding_per_year", "cost_per_year", "net_flows")
RISKS = ("min_health_factor", "min_margin_ratio", "max_ltv", "max_abs_delta", "max_abs_residual")
ACTIVITY = ("total_cost", "turnover", "trades", "rebalances", "liquidations")
LISTS = (("Yields", YIELDS), ("Risk", RISKS), ("Activity", ACTIVITY))
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def write_tear_sheet(
    page: Path,
    directory: Path,
    provenance: Provenance,
    verdicts: Sequence[Verdict] | None = None,
) -> Path:
    """Write the page of a stored run.

    Parameters
    ----------
    directory: of the run.
    verdicts: of the run's gates; those that are stored with the run where none are given.

    Raises
    ------
    ResultsError: RS-001 when the page cannot be written; as `read_run` when the run cannot be read.
    """
    known = run_verdicts(directory) if verdicts is None else verdicts
    return write_page(page, tear_sheet_html(read_run(directory), known, provenance))


def run_verdicts(directory: Path) -> list[Verdict]:
    """Return the verdicts stored with a run, without those of the datasets that many runs share."""
    return [verdict for verdict in read_verdicts(directory) if verdict.mode]


def tear_sheet_html(result: RunResult, verdicts: Sequence[Verdict], provenance: Provenance) -> str:
    """Return one page over one run.

    Parameters
    ----------
    verdicts: of the run's gates; without any the page says that the run was not judged.
    """
    run = RunView(result)
    charts = _charts(run)
    word, level = stamp_of(run, verdicts)
    return render(
        "tear_sheet.html.j2",
        list(charts.values()),
        provenance,
        run=run,
        risk=[chart for key, chart in charts.items() if key in RISK_KEYS],
        description=str(run.mode_config.get("description", "")),
        stamp={"word": word, "level": level},
        banners=banners(run, verdicts),
        headline=[_headline(run, name) for name in HEADLINE],
        beside=_beside(run),
        against=_against(run),
        lists=[
            (title, [_figure(run, name) for name in names if run.summary.get(name) is not None])
            for title, names in LISTS
        ],
        months=_months(run),
        attribution=_attribution_rows(run),
        rounding=_rounding(run),
        reasons=_reasons(run),
        liquidations=_liquidations(run),
        flows=_flows(run),
        gates=in_order(verdicts),
        measured=measured,
        data=_data(run),
        settings=_settings(run),
        amount=amount,
        percent=percent,
    )


RISK_KEYS = ("exposure", "loan", "margin", "basis")


def _charts(run: RunView) -> dict[str, Chart]:
    """Return every chart that has something to show, by key."""
    charts = [performance_charts.equity_chart(run), performance_charts.attribution_chart(run)]
    charts += [performance_charts.waterfall_chart(run), activity_charts.carry_chart(run)]
    if run.funding_by_venue:
        charts.append(activity_charts.funding_chart(run))
    if run.costs_by_kind:
        charts.append(activity_charts.costs_chart(run))
    charts += risk_charts(run)
    if timeline := activity_charts.timeline_chart(run):
        charts.append(timeline)
    return {chart.key: chart for chart in charts}


def _figure(run: RunView, name: str) -> dict[str, Any]:
    """A figure of the summary as a page shows it."""
    figure, value = FIGURES[name], run.summary.get(name)
    description = figure.description
    if name in ("sharpe", "sortino"):
        description += f" Rate: {percent(run.summary['risk_free_rate'])} a year."
    return {
        "name": name,
        "label": figure.label,
        "description": description,
        "text": figure.written(value, run.result.identity.capital),
        "negative": value is not None and value < 0.0,
        "currency": run.currency if figure.unit == "currency" else "",
    }


def _headline(run: RunView, name: str) -> dict[str, Any]:
    """A figure with the same figure of every benchmark beside it, where a benchmark has one."""
    beside = []
    for label, growth in run.benchmarks.items():
        value = run.figures_of(growth).get(name)
        if name == "final_equity":
            value = float(run.benchmark_equity(growth)[-1])
        if name == "pnl":
            gained = float(run.benchmark_equity(growth)[-1]) - run.result.identity.capital
            value = gained - run.summary["net_flows"]
        if value is not None:
            written = FIGURES[name].written(value, run.result.identity.capital)
            beside.append(f"{label} {written}")
    return {**_figure(run, name), "beside": beside or [_without_benchmark(run, name)]}


def _without_benchmark(run: RunView, name: str) -> str:
    """What stands below a figure that no benchmark has."""
    sums = {
        "carry_per_year": run.summary["groups"]["carry"],
        "cost_per_year": run.summary["total_cost"],
    }
    return f"{run.money(sums[name])} {run.currency} in all" if name in sums else ""


def _beside(run: RunView) -> dict[str, Any]:
    """The run and its benchmarks as columns, the same figures as rows."""
    columns = {name: run.figures_of(growth) for name, growth in run.benchmarks.items()}
    capital = run.result.identity.capital
    rows = [
        {
            **_figure(run, name),
            "others": [FIGURES[name].written(own[name], capital) for own in columns.values()],
        }
        for name in BESIDE
    ]
    return {"names": list(columns), "rows": rows}


def _against(run: RunView) -> list[tuple[str, str, list[str]]]:
    """What the run has over each benchmark: label, meaning, a value a benchmark."""
    known = run.summary["benchmarks"]
    wanted = (
        ("excess_return", "Excess return", "The run's return less the benchmark's.", percent),
        ("excess_apy", "Excess APY", "The run's APY less the benchmark's.", percent),
        (
            "tracking_error",
            "Tracking error",
            "Standard deviation of the daily differences × √365.",
            percent,
        ),
        ("correlation", "Correlation", "Of daily returns.", amount),
    )
    return [
        (label, meaning, [write(known[name][key]) for name in run.benchmarks])
        for key, label, meaning, write in wanted
        if run.benchmarks
    ]


def _months(run: RunView) -> dict[str, Any]:
    """Returns by year and month, and what each month earned by group."""
    rows = []
    for year, row in run.month_matrix.iterrows():
        values = [None if pd.isna(value) else float(value) for value in row]
        rows.append({"year": year, "cells": [_tinted(value) for value in values]})
    return {
        "names": MONTHS,
        "rows": rows,
        "groups": [
            {
                "month": row["month"],
                "return": percent(row["return"]),
                "parts": [run.money(row[group]) for group in GROUPS],
            }
            for row in run.summary["months"]
        ],
        "total": percent(run.summary["total_return"]),
        "sums": [run.money(run.summary["groups"][group]) for group in GROUPS],
    }


def _tinted(value: float | None) -> dict[str, str]:
    """A return and the depth of its tint: five percent are full."""
    if value is None:
        return {"text": "", "tint": ""}
    depth = min(abs(value) / 0.05, 1.0) * 100.0
    name = "good-wash" if value > 0.0 else "bad-wash"
    tint = f"color-mix(in srgb, var(--{name}) {depth:.0f}%, transparent)"
    return {"text": percent(value), "tint": tint}


def _attribution_rows(run: RunView) -> list[dict[str, Any]]:
    """Components under their groups, with the share each has in the capital."""
    parts, groups = run.summary["attribution"], run.summary["groups"]
    capital = run.result.identity.capital
    rows = []
    for group, names in GROUPS.items():
        rows += [_part(run, name, parts[name], capital, "part") for name in names]
        rows.append(_part(run, group, groups[group], capital, "group"))
    return rows


def _part(run: RunView, name: str, value: float, capital: float, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "meaning": COMPONENT_MEANING[name],
        "text": run.money(value),
        "share": percent(value / capital, 3),
        "negative": value < 0.0,
    }


def _rounding(run: RunView) -> str:
    """By how much the displayed components miss the displayed total, empty when they do not."""
    parts = [round(value, run.digits) for value in run.summary["attribution"].values()]
    missed = round(sum(parts) - round(run.summary["pnl"], run.digits), run.digits)
    return run.money(abs(missed)) if missed else ""


def _reasons(run: RunView) -> list[tuple[str, int]]:
    """How often each trigger restored the weights."""
    counted = run.events_of("rebalance")["reason"].value_counts()
    return [(REASONS.get(str(name), str(name)), int(count)) for name, count in counted.items()]


def _liquidations(run: RunView) -> list[dict[str, str]]:
    """Every liquidation."""
    return [
        {
            "when": f"{event['timestamp']:%Y-%m-%d %H:%M}",
            "where": f"{event['venue']} {event['instrument']}",
            "quantity": amount(event["quantity"], 4),
            "price": amount(event["price"]),
            "notional": run.money(event["notional"]),
            "fee": run.money(event["fee"]),
        }
        for event in run.events_of("liquidation").to_dict("records")
    ]


def _flows(run: RunView) -> list[tuple[str, str]]:
    """Every deposit and withdrawal."""
    return [
        (f"{event['timestamp']:%Y-%m-%d %H:%M}", run.money(event["amount"]))
        for event in run.events_of("flow").to_dict("records")
    ]


def _data(run: RunView) -> list[dict[str, str]]:
    """Every dataset the run read: its hash, and how many hours rest on a repair of it."""
    hours = {name: int(flags.sum()) for name, flags in run.repaired_by_dataset.items()}
    return [
        {
            "name": name,
            "hash": digest,
            "hours": f"{hours.get(name, 0):,}",
            "share": percent(hours.get(name, 0) / run.stamps.size, 1),
        }
        for name, digest in sorted(run.result.identity.data_hashes.items())
    ]


def _settings(run: RunView) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the mode, its share class and its venues as dotted keys; datasets have hashes."""
    config = {key: value for key, value in run.result.config.items() if key != "datasets"}
    sections = []
    for title, part in config.items():
        flat = flattened(part) if isinstance(part, dict) else {title: part}
        flat.pop("description", None)
        sections.append((title, [(key, _written(value)) for key, value in flat.items()]))
    return sections


def _written(value: Any) -> str:
    """A setting as its file would say it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
