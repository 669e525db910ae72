"""The page of a finished sweep, and the full tear sheets of its worst scenarios beside it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from basis_pipeline.errors import BasisError, ResultsError
from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.runs.scenario_checks import worst
from basis_pipeline.runs.scenarios import Study
from basis_pipeline.runs.sweep import run_point
from basis_pipeline.verdict import Verdict

PAGE = "report.html"
SHEETS = 5  # of the worst scenarios
SHOWN = 20


def write_report(
    study: Study,
    out: Path,
    rows: pd.DataFrame,
    gates: Sequence[Verdict],
    folds: pd.DataFrame | None = None,
) -> Path:
    """Write the page and the sheets below a sweep's directory; the page.

    A scenario that a single run rejects has no sheet.

    Raises
    ------
    ResultsError: RS-001 when they cannot be written.
    """
    first, links = worst(rows, SHOWN), {}
    try:
        for index in first["index"].head(SHEETS).tolist():
            try:
                result = run_point(study, index)
            except BasisError:
                continue
            links[index] = f"sheet-{index}.html"
            (out / links[index]).write_text(tear_sheet_html(result), "utf-8")
        page = scenarios_html(
            rows,
            title=f"{study.mode}: {study.scenarios.name}",
            what=study.scenarios.description,
            keys=[key for key in study.scenarios.keys if key in rows],
            worst=first,
            gates=gates,
            links=links,
            folds=folds,
        )
        (out / PAGE).write_text(page, "utf-8")
    except OSError as error:
        what = f"the report cannot be written: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(out)) from error
    return out / PAGE
