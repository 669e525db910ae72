"""The page of a finished study, and the full tear sheets of some of its points beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from basis_pipeline.backtests.scenario_checks import worst
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import data_hash, identity_of, run_point
from basis_pipeline.backtests.walk_forward import NONE, Walked, summary_of
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.reports.walk_forward import walk_forward_html
from basis_pipeline.results.definitions import amount
from basis_pipeline.results.origin import Origin
from basis_pipeline.verdict import Verdict

PAGE = "report.html"
BEST, WORST = 2, 3  # points of a set with keys that have a sheet; of one without, the worst five


def write_report(
    study: Study,
    out: Path,
    rows: pd.DataFrame,
    verdicts: Sequence[Verdict],
    origin: Origin,
    provenance: Provenance,
) -> Path:
    """Write the page of a scenario set and its sheets below a sweep's directory; the page.

    Raises
    ------
    ResultsError: RS-001 when they cannot be written.
    """
    best = rows[rows["status"] == ""].nlargest(BEST if study.scenarios.keys else 0, "total_return")
    chosen = [*worst(rows, BEST + WORST - len(best))["index"], *best["index"]]
    page = scenarios_html(
        rows,
        provenance,
        mode=study.mode,
        scenarios=study.scenarios,
        facts=_facts(study, origin, len(rows)),
        verdicts=verdicts,
        inputs=study.verdicts,
        links=_sheets(study, out, chosen, provenance),
    )
    return write_page(out / PAGE, page)


def write_walk_report(
    walked: Walked,
    study: Study,
    out: Path,
    verdicts: Sequence[Verdict],
    origin: Origin,
    provenance: Provenance,
) -> Path:
    """Write the page of a walk-forward and the sheet of the point it chooses; the page.

    Raises
    ------
    ResultsError: RS-001 when they cannot be written.
    """
    chosen = [] if walked.chosen == NONE else [int(walked.points["index"].iloc[walked.chosen])]
    page = walk_forward_html(
        walked.points,
        walked.folds,
        walked.growth,
        provenance,
        plan=walked.plan,
        figures=summary_of(walked),
        facts=_facts(study, origin, len(walked.points)),
        verdicts=verdicts,
        inputs=study.verdicts,
        links=_sheets(study, out, chosen, provenance),
    )
    return write_page(out / PAGE, page)


def _sheets(
    study: Study, out: Path, indices: Iterable[int], provenance: Provenance
) -> dict[int, str]:
    """Write the sheets of points, and return their names; what a single run rejects has none."""
    links = {}
    for index in dict.fromkeys(indices):
        try:
            point = run_point(study, index)
        except BasisError:
            continue
        links[index] = f"sheet-{index}.html"
        write_page(out / links[index], tear_sheet_html(point.result, point.verdicts, provenance))
    return links


def _facts(study: Study, origin: Origin, points: int) -> list[tuple[str, str]]:
    """What the study is: data, window, capital, program, and what its rows depend on."""
    windows = study.windows.values()
    bounds = min(w.start for w in windows), max(w.end for w in windows)
    start, end = (f"{bound:%Y-%m-%d %H:%M} UTC" for bound in bounds)
    currency = study.configs.mode(study.mode).share_class
    return [
        ("data", origin.data),
        ("from", start),
        ("to", end),
        ("capital", f"{amount(study.capital)} {currency}"),
        ("points", f"{points:,}"),
        *((key, str(value)) for key, value in study.overrides.items()),
        ("program", origin.program),
        ("engine", ENGINE_VERSION),
        ("data hash", data_hash(study)[:12]),
        ("run", identity_of(study)[:12]),
    ]
