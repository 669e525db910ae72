"""Small checks on one dataset, each with a verdict a person can read and rows to look at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import Agreement, DatasetConfig, Kind, OutlierBounds
from basis_pipeline.config.venue import Exchange
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.repairs import AS_READ
from basis_pipeline.market.schemas import validate
from basis_pipeline.verdict import (
    Severity,
    Value,
    Verdict,
    against,
    blocked,
    count_of,
    judge,
    rows_of,
)

PHASE = 2  # data
SHOWN_ROWS = 50
# Which check a refusal belongs to; every other code is files_and_schema's.
OWNERS = {
    "DATA-006": "duplicates",
    "DATA-007": "duplicates",
    "DATA-009": "monotone_index",
    "DATA-010": "coverage",
    "DATA-012": "coverage",
    "DATA-013": "gaps",
}


def check_names(config: DatasetConfig) -> dict[str, tuple[Severity, str]]:
    """Every check of a dataset: name → severity and what it asks, whatever its outcome will be."""
    asked: dict[str, tuple[Severity, str]] = {
        "files_and_schema": ("ERROR", "files are readable and the dataset fits its schema"),
        "coverage": ("ERROR", "enough of the window stands on the family's own rows"),
        "gaps": ("ERROR", "every hole is covered by the declared repair"),
        "duplicates": ("ERROR", "no stamp has two different rows"),
    }
    if config.kind not in (Kind.RISK_PARAMS, Kind.EXECUTION_COSTS):
        asked["order"] = ("ERROR", "stamps are in order of time")
    if any(column.grows is not None for column in config.columns.values()):
        asked["monotone_index"] = ("ERROR", "what can only grow never falls")
    if config.outliers:
        asked["outliers"] = ("WARN", "steps and levels are within their usual bounds")
    if config.agreement:
        asked["cross_venue"] = ("WARN", "other quotes of the same thing agree")
    if config.kind is Kind.RISK_PARAMS and config.name != "aave_risk_params":
        asked["margin_parameters"] = ("WARN", "the venue's own file agrees with its configuration")
    return asked


def dataset_checks(
    config: DatasetConfig,
    outcome: Dataset | DataError,
    peers: Mapping[str, Dataset | DataError],
    venue: Exchange | None = None,
) -> list[Verdict]:
    """Evaluate every check of `check_names`, in its order.

    Parameters
    ----------
    outcome: the dataset, or the error it was refused with; then the check that owns the error's
        code fails with its severity, and the others are not evaluated and have not passed.
    peers: datasets by name, for cross-venue agreement; absent and refused ones are left out.
    venue: the exchange's configuration, to hold its margin file against.
    """
    if isinstance(outcome, DataError):
        return _refused(config, outcome)
    results = []
    for name, (severity, _) in check_names(config).items():
        passed, message, facts, offending = _evaluate(name, outcome, peers, venue)
        facts |= {"rows": rows_of(offending), "phase": PHASE}
        results.append(judge(name, severity, passed, message, **facts))
    return results


def _refused(config: DatasetConfig, error: DataError) -> list[Verdict]:
    owner = OWNERS.get(error.code, "files_and_schema")
    names = check_names(config)
    if owner not in names:
        owner = "files_and_schema"
    rows = rows_of(error.offending) if isinstance(error, RejectedDataError) else ()
    results = []
    for name, (severity, _) in names.items():
        if name == owner:
            # An absent family is a fault only of the modes that need it, and they say so.
            own: Severity = "WARN" if error.code == "DATA-001" else "ERROR"
            figures: dict[str, Value] = {"code": error.code, "where": error.where}
            results.append(
                judge(name, own, False, str(error), evidence=figures, rows=rows, phase=PHASE)
            )
        else:
            cause = f"{config.name} was rejected with {error.code}"
            results.append(blocked(name, severity, cause, phase=PHASE))
    return results


# Whether it passed (None: nothing to judge), its message, further fields of the verdict, its rows.
Found = tuple[bool | None, str, dict[str, Any], pd.DataFrame]


def _evaluate(
    name: str, dataset: Dataset, peers: Mapping[str, Dataset | DataError], venue: Exchange | None
) -> Found:
    match name:
        case "files_and_schema":
            return _schema(dataset)
        case "coverage":
            return _coverage(dataset)
        case "gaps":
            return _gaps(dataset)
        case "duplicates":
            return _duplicates(dataset)
        case "order":
            return _order(dataset)
        case "monotone_index":
            return _monotone(dataset)
        case "outliers":
            return _outliers(dataset)
        case "cross_venue":
            return _cross_venue(dataset, peers)
        case _:
            return margin_parameters(dataset, venue)


def _schema(dataset: Dataset) -> Found:
    facts: dict[str, Any] = {"evidence": {"rows": len(dataset.frame)}}
    try:
        validate(dataset.frame, dataset.config, dataset.name)
    except RejectedDataError as error:
        return False, error.what, facts, error.offending
    return True, f"{count_of(len(dataset.frame), 'row')} fit the schema", facts, pd.DataFrame()


def _coverage(dataset: Dataset) -> Found:
    own, wanted = dataset.own_share, dataset.config.coverage.min_share
    facts = {"measured": own, "limit": wanted, "unit": "share"}
    message = against("share of hours with rows of their own", own, wanted, "share", floor=True)
    return own >= wanted, message, facts, pd.DataFrame()


def _gaps(dataset: Dataset) -> Found:
    """Gaps are repaired or rejected before this: here they are counted and shown."""
    frame = dataset.frame
    repaired = frame["repair"] != AS_READ
    declared = repaired & frame["source"].ne("")
    counted, found = sum(dataset.repairs.values()), int(repaired.sum())
    undeclared = max(found - int(declared.sum()), abs(found - counted))
    message = ", ".join(f"{count_of(n, 'row')} {kind}" for kind, n in dataset.repairs.items())
    message = f"gaps are repaired as declared: {message}" if message else "no gaps"
    if undeclared:
        message = f"{count_of(undeclared, 'row')} of {found} repaired without a declared repair"
    figures = {"repaired_rows": found}
    figures |= {f"repaired_{kind}": count for kind, count in dataset.repairs.items()}
    facts = {"measured": undeclared, "limit": 0, "unit": "rows", "evidence": figures}
    return not undeclared, message, facts, frame[repaired].head(SHOWN_ROWS)


def _keys(dataset: Dataset) -> list[str]:
    match dataset.config.kind:
        case Kind.RISK_PARAMS:
            return ["parameter"]
        case Kind.EXECUTION_COSTS:
            return ["timestamp", "pair", "size_bucket_usd"]
        case Kind.REWARDS:
            return ["period_start"]
        case _:
            return ["timestamp"]


def _duplicates(dataset: Dataset) -> Found:
    frame = dataset.frame
    twice = frame.duplicated(_keys(dataset), keep=False)
    dropped, left = dataset.duplicates_dropped, int(twice.sum())
    message = f"{count_of(dropped, 'exact duplicate')} dropped, "
    message += f"{count_of(left, 'row')} left that share a timestamp"
    facts = {"measured": left, "limit": 0, "unit": "rows", "evidence": {"dropped": dropped}}
    return not left, message, facts, frame[twice].head(SHOWN_ROWS)


def _order(dataset: Dataset) -> Found:
    back = dataset.frame["timestamp"].diff() < pd.Timedelta(0)
    count = int(back.sum())
    message = "timestamps are in order"
    if count:
        message = f"{count_of(count, 'row')} earlier than the one before"
    return not count, message, _none_allowed(count), dataset.frame[back].head(SHOWN_ROWS)


def _none_allowed(count: int) -> dict[str, Any]:
    return {"measured": count, "limit": 0, "unit": "rows"}


def _monotone(dataset: Dataset) -> Found:
    frame = dataset.frame
    fallen = np.zeros(len(frame), dtype=bool)
    for column in dataset.config.columns.values():
        if column.grows is not None:
            values = frame[column.to].to_numpy()
            fallen[1:] |= values[1:] < values[:-1] * (1.0 - column.grows)
    count = int(fallen.sum())
    message = "the index never falls"
    if count:
        message = f"{count_of(count, 'row')} where the index falls, though it can only grow"
    return not count, message, _none_allowed(count), frame[fallen].head(SHOWN_ROWS)


def _outliers(dataset: Dataset) -> Found:
    marked = outlier_rows(dataset.frame, dataset.config)
    count, figures = int(marked.sum()), {}
    for bounds in dataset.config.outliers:
        worst = np.max(excess(dataset.frame, bounds), initial=0.0)
        figures[f"worst_{bounds.column}_of_bound"] = float(worst)
    message = "no row is beyond its usual bounds"
    if count:
        message = f"{count_of(count, 'row')} beyond the usual bounds"
    facts = {**_none_allowed(count), "evidence": figures}
    return not count, message, facts, dataset.frame[marked].head(SHOWN_ROWS)


def outlier_rows(frame: pd.DataFrame, config: DatasetConfig) -> npt.NDArray[np.bool_]:
    """Rows beyond any of the declared bounds, (n,) bool."""
    marked = np.zeros(len(frame), dtype=bool)
    for bounds in config.outliers:
        marked |= excess(frame, bounds) > 1.0
    return marked


def excess(frame: pd.DataFrame, bounds: OutlierBounds) -> npt.NDArray[np.float64]:
    """How far each row goes, as a multiple of its bound, (n,); above 1 is beyond it."""
    values = frame[bounds.column].to_numpy(dtype=np.float64)
    times = np.zeros(len(values))
    if bounds.max_abs is not None:
        times = np.maximum(times, np.abs(values) / bounds.max_abs)
    if bounds.max_log_change is not None and len(values):
        # What has no logarithm is no outlier but no price, and the schema's to refuse.
        logs = np.log(np.where(values > 0.0, values, np.nan))
        change = np.nan_to_num(np.abs(np.diff(logs, prepend=logs[0])))
        times = np.maximum(times, change / bounds.max_log_change)
    return times


def _cross_venue(dataset: Dataset, peers: Mapping[str, Dataset | DataError]) -> Found:
    rule = dataset.config.agreement
    assert rule is not None  # the check is asked for only then
    figures: dict[str, Value] = {}
    passed, compared, worst = True, [], []
    for name in rule.peers:
        peer = peers.get(name)
        if not isinstance(peer, Dataset):
            continue
        gaps = gaps_to(dataset, peer, rule)
        if gaps.empty:
            continue
        median, largest = float(gaps["gap_bp"].median()), float(gaps["gap_bp"].max())
        figures |= {f"{name}_median_bp": median, f"{name}_max_bp": largest}
        passed &= median <= rule.max_median_bp and largest <= rule.max_gap_bp
        compared.append(
            f"the difference to {name} has a median of {median:.2f} bp (limit "
            f"{rule.max_median_bp:g} bp) and is at most {largest:.1f} bp (limit "
            f"{rule.max_gap_bp:g} bp)"
        )
        worst.append(gaps.nlargest(SHOWN_ROWS // len(rule.peers), "gap_bp"))
    if not compared:
        return None, "there is no other quote to compare with", {}, pd.DataFrame()
    figures["peers"] = len(worst)
    shown = pd.DataFrame() if passed else pd.concat(worst, ignore_index=True)
    return passed, "; ".join(compared), {"evidence": figures}, shown


def gaps_to(dataset: Dataset, peer: Dataset, rule: Agreement) -> pd.DataFrame:
    """`timestamp`, both quotes, `peer` and `gap_bp`, of every stamp at which both landed."""
    own, other = (d.frame[d.frame["repair"] == AS_READ] for d in (dataset, peer))
    both = pd.merge(
        own[["timestamp", rule.column]].set_axis(["timestamp", dataset.name], axis=1),
        other[["timestamp", rule.peer_column]].set_axis(["timestamp", peer.name], axis=1),
        on="timestamp",
    )
    difference = both[dataset.name] - both[peer.name]
    scale = both[peer.name] if rule.relative else 1.0
    return both.assign(peer=peer.name, gap_bp=(difference / scale).abs() * 1e4)


def margin_parameters(dataset: Dataset, venue: Exchange | None) -> Found:
    """Whether a venue's own margin file makes sense and agrees with the venue's configuration."""
    values = dataset.frame.set_index("parameter")["value"]
    initial = float(values["initial_margin_requirement"])
    maintenance = float(values["maintenance_margin_requirement"])
    rows = [("initial", initial), ("maintenance", maintenance)]
    differs = []
    if initial < maintenance:
        differs.append(
            f"the file's initial margin {initial:g} lies below maintenance {maintenance:g}"
        )
    table = pd.DataFrame(rows, columns=["margin", "file"])
    if venue is not None:
        table["configuration"] = [venue.perp_margin.initial, venue.perp_margin.maintenance]
        apart = table[table["file"] != table["configuration"]]
        differs += [
            f"{row.margin} {row.file:g} in the file, {row.configuration:g} in the configuration"
            for row in apart.itertuples()
        ]
    message = "; ".join(differs) or "the file agrees with the configuration"
    figures = {"file_initial": initial, "file_maintenance": maintenance}
    return not differs, message, {"evidence": figures}, table
