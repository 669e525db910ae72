"""The sign-off of a month: every mode's result, gates, data, limits and waivers on one page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from basis_pipeline.config.control import ControlLimits
from basis_pipeline.reports.banners import Banner, in_order, stamp_of, with_status
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.explanation import Explanation
from basis_pipeline.reports.gate_tables import control_table, open_table, waiver_table
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.risk_tables import extremes_table, worst_risk
from basis_pipeline.reports.run_charts import equity_chart
from basis_pipeline.reports.run_view import JudgedRun, RunView
from basis_pipeline.reports.table import Cells, Table
from basis_pipeline.results import metrics
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.results.metrics import Month
from basis_pipeline.results.origin import Origin
from basis_pipeline.results.tables import GROUPS
from basis_pipeline.verdict import Status, Verdict, counts, failing, worst

ROLES = ("Prepared by", "Quantitative research", "Risk")


@dataclass(frozen=True)
class SignedRun(JudgedRun):
    """A run in a sign-off: its verdicts with waivers applied, its origin, its files' hash."""

    origin: Origin | None
    summary_sha256: str

    def month(self, period: str) -> Month | None:
        """Return the rows of a month (2024-06); None where the run has no hour in it."""
        found = (m for m in metrics.months(self.run.stamps.copy()) if m.name == period)
        return next(found, None)


def signoff_html(
    runs: Sequence[SignedRun],
    period: str,
    control: ControlLimits,
    versions: Sequence[tuple[str, str]],
    provenance: Provenance,
) -> str:
    """Return the page of a sign-off.

    Parameters
    ----------
    runs: one per mode, each with hours in the period. period: a month, 2024-06.
    versions: name and version of the programs that produced it.
    """
    verdicts = list({v.name: v for run in runs for v in run.verdicts}.values())
    stopping = failing(verdicts)
    tables = [_result_table(runs, period), _identity_table(runs)]
    data = [verdict for verdict in verdicts if verdict.dataset]
    sections = [
        Section("Sign-off", [Table(("role", "name", "date", "signature"), [
            (role, "", "", "") for role in ROLES
        ], "Names and dates")]),
        Section("Results of the month", tables),
        Section("Gates", [_counts_table(runs), open_table(verdicts, {})]),
        Section("Waivers", [waiver_table(verdicts)]),
        Section("Limits of emergency control", [control_table(verdicts, control)]),
        Section("Data", [_data_table(data)]),
        *(_mode_section(run) for run in runs),
        Section("Versions", [Table(("what", "version"), list(versions), "Versions", code=True)]),
    ]  # fmt: skip
    word = "FAIL" if stopping else worst(verdicts).value
    level = "alarm" if stopping else "good" if word in ("PASS", "N/A") else "warn"
    return Page(
        title=f"Sign-off {period}",
        what=f"{len(runs)} modes; figures of the month are those of its hours in UTC.",
        stamp=(word, level),
        banners=[Banner("alarm", verdict.name, verdict.message) for verdict in in_order(stopping)],
        counts=counts(verdicts),
        sections=sections,
        footer=(
            "Simulated on historical data. The manifest beside this page holds the hashes of the "
            "page, of its PDF and of every run; basis report verify compares them."
        ),
    ).html(provenance)


def _result_table(runs: Sequence[SignedRun], period: str) -> Table:
    """List return, profit and worst risk of each mode in the month."""
    rows: list[Cells] = []
    for signed in runs:
        run, month = signed.run, signed.month(period)
        if month is None:
            continue
        inside = slice(month.first, month.last)
        own = next(row for row in run.summary["months"] if row["month"] == period)
        ends = pd.DatetimeIndex(run.stamps[[month.first, month.last - 1]])
        first, last = (f"{end:%Y-%m-%d %H:%M}" for end in ends)
        lent = run.benchmarks.get("lending")
        lending = None if lent is None else _growth_of(lent, month)
        word, _ = stamp_of(run, signed.gates)
        rows.append(
            (
                signed.result.mode,
                word,
                f"{first} to {last}",
                percent(own["return"]),
                percent(lending),
                *(run.money(own[group]) for group in GROUPS),
                percent(float(run.column("equity", "drawdown")[inside].max())),
                _least(run, "margin_ratio_extreme", inside),
                _least(run, "health_factor_before", inside),
                run.money(float(run.column("equity", "equity")[month.last - 1])),
                run.currency,
            )
        )
    titles = (
        "mode", "gates", "hours", ">return", ">lending", *(f">{group}" for group in GROUPS),
        ">drawdown", ">margin ratio", ">health factor", ">equity at the end", "currency",
    )  # fmt: skip
    return Table(titles, rows, "Result and worst risk by mode")


def _growth_of(growth: metrics.Floats, month: Month) -> float:
    return float(growth[month.last - 1] / growth[max(month.first - 1, 0)]) - 1.0


def _least(run: RunView, column: str, inside: slice) -> str:
    values = run.column("risk", column)[inside]
    known = values[np.isfinite(values)]
    return amount(float(known.min()), 3) if known.size else DASH


def _identity_table(runs: Sequence[SignedRun]) -> Table:
    """List the run behind each mode's figures, with its data, configuration and program."""
    rows = [
        (
            signed.result.mode,
            signed.result.run_id,
            signed.result.identity.data_hash[:16],
            signed.result.identity.config_hash[:16],
            signed.result.identity.engine_version,
            signed.summary_sha256[:16],
            "not recorded" if signed.origin is None else signed.origin.data,
            "" if signed.origin is None else signed.origin.program,
        )
        for signed in runs
    ]
    titles = ("mode", "run", "data", "configuration", "engine", "files", "from", "program")
    return Table(titles, rows, "Runs, by their hashes", code=True)


def _counts_table(runs: Sequence[SignedRun]) -> Table:
    statuses = list(counts([]))
    rows = [
        (run.result.mode, worst(run.gates).value, *(str(n) for n in counts(run.gates).values()))
        for run in runs
    ]
    titles = ("mode", "verdict", *(f">{status.value}" for status in statuses))
    return Table(titles, rows, "Gates by mode")


def _data_table(verdicts: Sequence[Verdict]) -> Table:
    """List the verdict on every dataset with its reasons."""
    by_dataset: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_dataset.setdefault(verdict.dataset, []).append(verdict)
    rows = []
    for name, own in sorted(by_dataset.items(), key=lambda item: item[0]):
        open_ = with_status(own, Status.FAIL, Status.WAIVED, Status.WARN, Status.BLOCKED)
        reasons = "; ".join(f"{v.check}: {v.message}" for v in open_) or "every check passed"
        rows.append((name, worst(own).value, str(len(own)), reasons))
    return Table(("dataset", "verdict", ">checks", "~reasons"), rows, "Datasets")


def _mode_section(signed: SignedRun) -> Section:
    """Return a short tear sheet: the result in sentences, equity, and the worst of the run."""
    run, explained = signed.run, Explanation(signed.run, signed.verdicts)
    sentences = [explained.on_result(), explained.on_equity(), worst_risk(run)]
    chart, worst_of_run = equity_chart(run), extremes_table(run)
    parts: list[Chart | Table] = [
        chart.named(f"equity-{signed.result.mode}"),
        replace(worst_of_run, caption=f"{signed.result.mode}: {worst_of_run.caption}"),
    ]
    return Section(signed.result.mode, parts, sentences=sentences)
