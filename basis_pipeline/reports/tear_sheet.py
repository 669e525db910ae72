"""The tear sheet of one run: result, attribution, risk, gates, and the data behind it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from basis_pipeline.reports.banners import banners, stamp_of
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.downloads import downloads
from basis_pipeline.reports.explanation import Explanation
from basis_pipeline.reports.gate_tables import verdict_table
from basis_pipeline.reports.page import Page, Provenance, Section, write_page
from basis_pipeline.reports.returns import explained_ratios, returns_parts
from basis_pipeline.reports.risk_charts import risk_charts
from basis_pipeline.reports.risk_tables import capacity_table, extremes_table, worst_risk
from basis_pipeline.reports.run_charts import run_charts
from basis_pipeline.reports.run_view import RunView, flattened
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, FIGURES, amount, percent
from basis_pipeline.results.origin import Origin, read_origin
from basis_pipeline.results.store import RunResult, read_run, read_verdicts
from basis_pipeline.results.summary import finite
from basis_pipeline.results.tables import COMPONENT_MEANING, GROUPS
from basis_pipeline.verdict import Verdict, tally

HEADLINE = (
    "total_return", "apy", "sharpe", "max_drawdown",
    "pnl", "final_equity", "closed_equity", "carry_per_year",
)  # fmt: skip
BESIDE = ("total_return", "apy", "volatility", "sharpe", "sortino", "max_drawdown")
LISTS = {
    "Yields": ("apr", "calmar", "carry_per_year", "funding_per_year", "cost_per_year", "net_flows"),
    "Risk": (
        "min_health_factor", "min_margin_ratio", "max_ltv", "max_abs_delta", "max_abs_residual",
    ),
    "Activity": ("total_cost", "exit_cost", "turnover", "trades", "rebalances", "liquidations"),
}  # fmt: skip
AGAINST = {
    "excess_return": ("Excess return", "The run's return less the benchmark's."),
    "excess_apy": ("Excess APY", "The run's APY less the benchmark's."),
    "tracking_error": ("Tracking error", "Standard deviation of the daily differences × √365."),
    "correlation": ("Correlation", "Of daily returns."),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTES = "%Y-%m-%d %H:%M"


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
    verdicts: of the run and its inputs; by default those stored with it.

    Raises
    ------
    ResultsError: RS-001 when the page cannot be written; as `read_run` when the run cannot be read.
    """
    known = read_verdicts(directory) if verdicts is None else verdicts
    html = tear_sheet_html(read_run(directory), known, provenance, read_origin(directory))
    return write_page(page, html)


def tear_sheet_html(
    result: RunResult,
    verdicts: Sequence[Verdict],
    provenance: Provenance,
    origin: Origin | None = None,
) -> str:
    """Return the tear sheet of a run.

    Parameters
    ----------
    verdicts: of the run's gates, and of its input datasets, whose warnings the page names; without
        any gate it says that the run was not judged.
    origin: data and program of the run, where they are known.
    """
    run = RunView(result)
    gates = [verdict for verdict in verdicts if not verdict.dataset]
    explanation = Explanation(run, verdicts)
    return Page(
        title=result.mode,
        what=str(run.mode_config.get("description", "")),
        stamp=stamp_of(run, gates),
        facts=_facts(run, origin),
        answer=_answer(run, gates, explanation),
        banners=banners(run, gates),
        headline=[_headline(run, name) for name in HEADLINE],
        sections=_sections(run, gates, explanation),
        downloads=downloads(result.frames),
        footer=(
            "Simulated on historical data; hours are in UTC. Every figure is computed from the "
            f"tables of run {result.run_id}. A dash means: not defined for this run. Hover over a "
            "name, or reach it with the Tab key, for its definition."
        ),
    ).html(provenance)


def _facts(run: RunView, origin: Origin | None) -> list[tuple[str, str]]:
    """Return data, window and capital of the run, and when and by which program it was made."""
    identity = run.result.identity
    made = ("data", "not recorded with the run"), ("created", "not recorded"), ("program", DASH)
    if origin is not None:
        created = f"{origin.created_at:{_MINUTES}} UTC"
        made = ("data", origin.data), ("created", created), ("program", origin.program)
    return [
        made[0],
        ("from", f"{identity.start:{_MINUTES}} UTC"),
        ("to", f"{identity.end:{_MINUTES}} UTC"),
        ("capital", f"{run.money(identity.capital)} {run.currency}"),
        *made[1:],
        ("engine", identity.engine_version),
        ("data hash", identity.data_hash[:12]),
        ("run", run.result.run_id),
    ]


def _answer(run: RunView, gates: Sequence[Verdict], explanation: Explanation) -> list[str]:
    """State the result, the comparison with lending, the worst risk, and the gates."""
    judged = f"Gates: {tally(gates)}." if gates else "No gate has judged the run."
    return [explanation.on_result(), explanation.on_equity(), worst_risk(run), judged]


def _sections(run: RunView, gates: Sequence[Verdict], explanation: Explanation) -> list[Section]:
    charts, risk = run_charts(run), risk_charts(run)
    flows = _flows(run)
    timeline = [charts["timeline"]] if "timeline" in charts else []
    earned: list[Chart | Table] = [charts["attribution"], charts["waterfall"], _components(run)]
    carry = [charts[key] for key in ("carry", "funding") if key in charts]
    tables = [t for t in (extremes_table(run), capacity_table(run, gates)) if t.rows]
    no_risk = "The run holds no loan, no perpetual and no exposure: none of the measures applies."
    no_events = "After its entry nothing was rebalanced, liquidated, deposited or withdrawn."
    unjudged = "No gate verdict is recorded for this run."
    return [
        Section(
            "Performance",
            [charts["equity"], _beside(run), *_figure_lists(run), _months(run)],
            explained_ratios(run),
        ),
        Section("Returns and drawdowns", returns_parts(run)),
        Section("What moved the result", explanation.tables, sentences=explanation.sentences[2:]),
        Section("Attribution", earned),
        Section("Carry and cost", [*carry, *_cost_tables(run)]),
        Section("Risk", [*risk, *tables], "" if risk else no_risk),
        Section("Events", [*timeline, *flows], "" if timeline else no_events),
        Section("Gates", [verdict_table(gates)] if gates else [], "" if gates else unjudged),
        Section("Data and configuration", [*_basis(run), *_settings(run)]),
    ]


def _term(run: RunView, name: str) -> Term:
    meaning = FIGURES[name].description
    if name in ("sharpe", "sortino"):
        meaning += f" Rate: {percent(run.summary['risk_free_rate'])} a year."
    return Term(FIGURES[name].label, meaning)


def _headline(run: RunView, name: str) -> dict[str, Any]:
    """Return a figure, with the same figure of every benchmark that has one."""
    beside = []
    for label, growth in run.benchmarks.items():
        final = float(run.benchmark_equity(growth)[-1])
        gained = final - run.result.identity.capital - run.summary["net_flows"]
        ends = {"final_equity": final, "closed_equity": final, "pnl": gained}
        figures = {**run.figures_of(growth), **ends}
        if figures.get(name) is not None:
            beside.append(f"{label} {run.written(name, figures[name])}")
    return {
        "name": name,
        "term": _term(run, name),
        "text": run.written(name, run.summary.get(name)),
        "unit": run.currency if FIGURES[name].unit == "currency" else "",
        "beside": " · ".join(beside),
    }


def _beside(run: RunView) -> Table:
    """List the figures of the run and its benchmarks, and the differences between them."""
    columns = [run.figures_of(growth) for growth in run.benchmarks.values()]
    rows: list[Cells] = [
        (_term(run, name), *(run.written(name, own.get(name)) for own in (run.summary, *columns)))
        for name in BESIDE
    ]
    for key, (label, meaning) in AGAINST.items() if run.benchmarks else ():
        write = amount if key == "correlation" else percent
        found = [run.summary["benchmarks"][name][key] for name in run.benchmarks]
        values = [run.missing(key) if value is None else write(value) for value in found]
        rows.append((Term(label, f"{meaning} Sampling: {run.summary['sampling']}."), "", *values))
    lent = Term(">lending", f"The same money lent in {run.currency}, without cost or gas.")
    titles = [
        lent if name == "lending" else Term(f">{name}", "The same money at that token's yield.")
        for name in run.benchmarks
    ]
    return Table(("figure", ">this run", *titles), rows, "Against its benchmarks", wide=False)


def _figure_lists(run: RunView) -> list[Table]:
    return [
        Table(
            ("figure", f">{run.currency} or unit"),
            [
                (_term(run, name), run.written(name, run.summary[name]))
                for name in names
                if run.summary.get(name) is not None
            ],
            caption,
            wide=False,
        )
        for caption, names in LISTS.items()
    ]


def _months(run: RunView) -> Table:
    """List the returns by year and month; the months of a year compound to it."""
    rows = [
        (str(year), *("" if pd.isna(value) else percent(float(value)) for value in row))
        for year, row in run.month_matrix.iterrows()
    ]
    titles = ("year", *(f">{name}" for name in MONTHS), ">year")
    return Table(titles, rows, "Return by month: time-weighted, flows removed, months in UTC")


def _components(run: RunView) -> Table:
    """List components and their groups, in money and as shares of the capital."""
    capital, parts = run.result.identity.capital, run.summary["attribution"]
    rows = [
        (Term(label, COMPONENT_MEANING[name]), run.money(value), percent(value / capital, 3))
        for group, names in GROUPS.items()
        for label, name, value in (
            *((name, name, parts[name]) for name in names),
            (f"{group}, sum", group, run.summary["groups"][group]),
        )
    ]
    rounded = round(sum(round(value, run.digits) for value in parts.values()), run.digits)
    missed = abs(round(rounded - round(run.summary["pnl"], run.digits), run.digits))
    note = f"; rounded one by one, their sum is off by {run.money(missed)}" if missed else ""
    pnl = run.summary["pnl"]
    return Table(
        ("component", f">{run.currency}", ">of capital"),
        rows,
        f"Components and their sums{note}",
        foot=("profit and loss", run.money(pnl), percent(pnl / capital, 3)),
        wide=False,
    )


def _cost_tables(run: RunView) -> list[Table]:
    tables = (_funding(run), _costs(run), _by_month(run))
    return [table for table in tables if table.rows]


def _funding(run: RunView) -> Table:
    funding = run.funding_by_venue
    rows = [
        (
            str(venue),
            str(row["side"]),
            f"{row['settlements']:,.0f}",
            run.money(row["received"]),
            run.written("funding_per_year", finite(row["rate"])),
        )
        for venue, row in funding.iterrows()
    ]
    received_title = Term(f">received, {run.currency}", "Below zero where funding was paid.")
    rate = Term(">rate a year", "Received over the average notional at settlement and the years.")
    received = run.money(run.summary["attribution"]["funding"])
    return Table(
        ("venue", "side", ">settlements", received_title, rate),
        rows,
        "Funding by venue",
        foot=("funding", "", f"{funding['settlements'].sum():,.0f}", received, ""),
        wide=False,
    )


def _costs(run: RunView) -> Table:
    costs, parts, money = (
        run.costs_by_kind,
        run.summary["attribution"],
        ("execution", "gas", "total"),
    )
    rows = [
        (str(kind), f"{row['count']:,.0f}", f"{row['notional']:,.0f}",
         *(run.money(row[name]) for name in money))
        for kind, row in costs.iterrows()
    ]  # fmt: skip
    sums = (-parts["execution_cost"], -parts["gas"], run.summary["total_cost"])
    return Table(
        ("kind", ">count", ">notional", *(f">{name}" for name in money)),
        rows,
        f"Costs by kind, {run.currency}",
        foot=("total", f"{costs['count'].sum():,.0f}", "", *(run.money(value) for value in sums)),
        wide=False,
    )


def _by_month(run: RunView) -> Table:
    rows = [
        (row["month"], percent(row["return"]), *(run.money(row[group]) for group in GROUPS))
        for row in run.summary["months"]
    ]
    sums = (run.money(run.summary["groups"][group]) for group in GROUPS)
    foot = ("total", percent(run.summary["total_return"]), *sums)
    titles = ("month", ">return", *(f">{group}" for group in GROUPS))
    return Table(titles, rows, f"By month, {run.currency}", foot, wide=False)


def _flows(run: RunView) -> list[Table]:
    flows = [
        (f"{event['timestamp']:{_MINUTES}}", run.money(event["amount"]))
        for event in run.events_of("flow").to_dict("records")
    ]
    caption = f"Deposits and withdrawals, {run.currency}"
    return [Table(("UTC", ">amount"), flows, caption, wide=False)] if flows else []


def _basis(run: RunView) -> list[Table]:
    """List every dataset that the run read with its repaired hours, and the run's identity."""
    identity, hours = run.result.identity, {}
    for name, flags in run.repaired_by_dataset.items():
        hours[name] = int(flags.sum())
    data = [
        (name, f"{hours.get(name, 0):,}", percent(hours.get(name, 0) / run.stamps.size, 1), digest)
        for name, digest in sorted(identity.data_hashes.items())
    ]
    hashes = [
        ("run", run.result.run_id),
        ("configuration", identity.config_hash),
        ("engine", identity.engine_version),
    ]
    titles = ("dataset", ">repaired hours", ">share", "sha256")
    return [
        Table(titles, data, "Data, by content hash", code=True),
        Table(("identity", "hash"), hashes, "Identity", code=True),
    ]


def _settings(run: RunView) -> list[Table]:
    """List the mode, its share class and its venues as dotted keys; datasets have hashes."""
    tables = []
    for title, part in run.result.config.items():
        if title != "datasets":
            flat = flattened(part) if isinstance(part, dict) else {title: part}
            rows = [
                (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
                for key, value in flat.items()
                if key != "description"
            ]
            caption = f"Configuration: {title}"
            tables.append(Table(("key", "value"), rows, caption, folded=True, code=True))
    return tables
