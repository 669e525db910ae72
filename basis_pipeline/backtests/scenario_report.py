"""The page of a finished sweep, and the full tear sheets of its worst scenarios beside it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from basis_pipeline.backtests.scenario_checks import worst
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import run_point
from basis_pipeline.errors import BasisError
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.verdict import Verdict

PAGE = "report.html"
SHEETS = 5  # of the worst scenarios
SHOWN = 20


def write_report(
    study: Study,
    out: Path,
    rows: pd.DataFrame,
    verdicts: Sequence[Verdict],
    folds: pd.DataFrame | None = None,
) -> Path:
    """Write the page and the sheets below a sweep's directory, and return the page.

    A scenario that a single run rejects has no sheet.

    Raises
    ------
    ResultsError: RS-001 when they cannot be written.
    """
    first, provenance = worst(rows, SHOWN), Provenance.now()
    links = {}
    for index in first["index"].head(SHEETS).tolist():
        try:
            point = run_point(study, index)
        except BasisError:
            continue
        links[index] = f"sheet-{index}.html"
        write_page(out / links[index], tear_sheet_html(point.result, point.verdicts, provenance))
    page = scenarios_html(
        rows,
        provenance,
        title=f"{study.mode}: {study.scenarios.name}",
        what=study.scenarios.description,
        keys=[key for key in study.scenarios.keys if key in rows],
        worst=first,
        verdicts=verdicts,
        inputs=study.verdicts,
        links=links,
        folds=folds,
    )
    return write_page(out / PAGE, page)
