"""The page of a finished study, and the full tear sheets of some of its points."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from basis_pipeline.backtests.scenario_checks import broken, worst
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.backtests.sweep import data_hash, identity_of, read_rows, run_point
from basis_pipeline.backtests.walk_forward import NONE, Walked, summary_of
from basis_pipeline.config import ModeSlice, slice_mode
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.shocks import why_unaffected
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.reports.stress import Stress
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.reports.walk_forward import walk_forward_html
from basis_pipeline.results.definitions import amount
from basis_pipeline.results.origin import Origin
from basis_pipeline.verdict import Verdict

PAGE = "report.html"
BEST, WORST = 2, 3  # points with a tear sheet; the worst five where a set has no keys


def write_report(
    study: Study,
    out: Path,
    rows: pd.DataFrame,
    verdicts: Sequence[Verdict],
    origin: Origin,
    provenance: Provenance,
) -> Path:
    """Write the page of a scenario set and its sheets into a sweep's directory; return its path.

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
        stress=_stress(study, out),
    )
    return write_page(out / PAGE, page)


def _stress(study: Study, out: Path) -> Stress | None:
    """Return the stress part of the page; None for a set without markets and windows."""
    scenarios = study.scenarios
    if not (scenarios.markets or scenarios.windows):
        return None
    mode_slice = slice_mode(study.configs, study.mode, study.overrides)
    every = read_rows(study, out).to_pandas()
    return Stress(
        rows=every.assign(broken=broken(every, scenarios.limits) if scenarios.limits else ""),
        scenarios=scenarios,
        windows=study.windows,
        reasons={
            name: [why_unaffected(shock, mode_slice) for shock in shocks]
            for name, shocks in (scenarios.markets or {}).items()
        },
        replays=_replays(study, mode_slice) if scenarios.windows else pd.DataFrame(),
    )


def _replays(study: Study, mode_slice: ModeSlice) -> pd.DataFrame:
    """Return the market of each window: the coin's move, its largest fall, the lowest peg."""
    replays, mode = {}, mode_slice.mode
    for name, window in study.windows.items():
        panel = build_panel(mode_slice, study.datasets, window)
        price = panel.numeraire_usd if mode_slice.holds_its_currency else panel.spot
        is_priced = mode_slice.holds_its_currency or mode.trades_asset
        fall = (price / np.maximum.accumulate(price)).min() - 1.0
        replays[name] = {
            "move": price[-1] / price[0] - 1.0 if is_priced else np.nan,
            "fall": fall if is_priced else np.nan,
            "peg": (panel.market_rate / panel.oracle_rate).min() - 1.0
            if mode.allocation.staking > 0.0
            else np.nan,
        }
    return pd.DataFrame.from_dict(replays, orient="index")


def write_walk_report(
    walked: Walked,
    study: Study,
    out: Path,
    verdicts: Sequence[Verdict],
    origin: Origin,
    provenance: Provenance,
) -> Path:
    """Write the page of a walk-forward and the sheet of its choice; return the page's path.

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
    """Write the sheets of points and return their file names; a rejected point has none."""
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
    """List the study's data, window, capital, program and hashes."""
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
