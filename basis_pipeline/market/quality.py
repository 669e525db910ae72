"""The checks of a dataset: their names, and the verdict of the build on each.

The build rejects violations of schema, policy or coverage. A dataset that exists has therefore
passed those checks, and they report what was found; the others report unusual values and
differences from other sources.
"""

from functools import partial

import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.findings import Findings
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.risk_parameters import (
    RISK_NOT_UNDERSTATED,
    RISK_PARAMETERS,
    compare_parameters,
)
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
_judge = partial(judge, phase=PHASE)
# The check that an error belongs to; all other codes belong to files_and_schema.
CHECK_OF_CODE = {
    "DATA-006": "duplicates",
    "DATA-007": "duplicates",
    "DATA-009": "monotone_index",
    "DATA-010": "coverage",
    "DATA-012": "coverage",
    "DATA-013": "gaps",
    "DATA-016": "plausible",
}


def check_names(config: DatasetConfig) -> dict[str, tuple[Severity, str]]:
    """Return the checks of a dataset: name → severity and requirement."""
    checks: dict[str, tuple[Severity, str]] = {
        "files_and_schema": ("ERROR", "files are readable and the dataset fits its schema"),
        "coverage": ("ERROR", "the feed's own rows cover enough of the window"),
        "plausible": ("ERROR", "no value is beyond its limits, and most other quotes agree"),
        "gaps": ("ERROR", "every gap is covered by the declared repair"),
        "duplicates": ("ERROR", "no timestamp has two different rows"),
    }
    if config.kind not in (Kind.RISK_PARAMS, Kind.EXECUTION_COSTS):
        checks["order"] = ("ERROR", "timestamps are in order")
    if any(column.grows is not None for column in config.columns.values()):
        checks["monotone_index"] = ("ERROR", "indices never fall")
    if config.outliers:
        checks["outliers"] = ("WARN", "changes and levels are within their usual bounds")
    if config.agreement:
        checks["cross_venue"] = ("WARN", "other quotes of the same thing agree")
    if config.kind is Kind.RISK_PARAMS:
        checks[RISK_PARAMETERS] = ("WARN", "the venue's own file agrees with its configuration")
        checks[RISK_NOT_UNDERSTATED] = (
            "ERROR",
            "the configuration is not more lenient than the venue's own file",
        )
    return checks


def dataset_verdicts(
    config: DatasetConfig,
    frame: pd.DataFrame,
    own_share: float,
    findings: Findings,
    venue: object | None = None,
) -> tuple[Verdict, ...]:
    """Return the verdicts on a dataset that was built, one per check of `check_names`, in order.

    Parameters
    ----------
    frame, own_share: of the dataset.
    venue: the configuration to compare the venue's own file of risk parameters with.
    """
    rows = f"{count_of(len(frame), 'row')} fit the schema"
    verdicts = {
        "files_and_schema": _passed("files_and_schema", rows, {"rows": len(frame)}),
        "coverage": _coverage(config, own_share),
        "plausible": _passed("plausible", "no value is beyond its limits"),
        "gaps": _gaps(findings),
        "duplicates": _passed(
            "duplicates",
            f"{count_of(findings.duplicates, 'exact duplicate')} dropped, no conflicting rows",
            {"dropped": findings.duplicates},
        ),
        "order": _passed("order", "timestamps are in order"),
        "monotone_index": _passed("monotone_index", "the index never falls"),
    }
    names = check_names(config)
    if "outliers" in names:
        verdicts["outliers"] = _outliers(findings)
    if "cross_venue" in names:
        verdicts["cross_venue"] = _cross_venue(config, findings)
    if RISK_PARAMETERS in names:
        verdicts |= compare_parameters(frame, venue, PHASE)
    return tuple(verdicts[name] for name in names)


def rejected_verdicts(config: DatasetConfig, error: DataError) -> tuple[Verdict, ...]:
    """Return the verdicts on a dataset that was rejected: one check fails, the others are blocked.

    The check that the error's code belongs to fails. An absent feed is only a warning: the modes
    that need it fail.
    """
    names = check_names(config)
    failed = CHECK_OF_CODE.get(error.code, "files_and_schema")
    failed = failed if failed in names else "files_and_schema"
    return tuple(
        rejection_verdict(name, error) if name == failed else _not_evaluated(name, severity, error)
        for name, (severity, _) in names.items()
    )


def _not_evaluated(check: str, severity: Severity, error: DataError) -> Verdict:
    if error.code == "DATA-001":
        return _judge(check, severity, None, "there are no files to check")
    return blocked(check, severity, error.fault, phase=PHASE)


def rejection_verdict(check: str, error: DataError) -> Verdict:
    """Return the failure of the check that an error belongs to, with the rows at fault."""
    rows = rows_of(error.offending) if isinstance(error, RejectedDataError) else ()
    severity: Severity = "WARN" if error.code == "DATA-001" else "ERROR"
    evidence: dict[str, Value] = {"code": error.code, "where": error.where}
    message, cause = f"{error.code}: {error.what}", error.fault
    return _judge(check, severity, False, message, evidence=evidence, rows=rows, cause=cause)


def _passed(check: str, message: str, evidence: dict[str, Value] | None = None) -> Verdict:
    return _judge(check, "ERROR", True, message, evidence=evidence)


def _coverage(config: DatasetConfig, own: float) -> Verdict:
    wanted = config.coverage.min_share
    message = against("the share of own rows", own, wanted, "share", floor=True)
    return _judge(
        "coverage", "ERROR", own >= wanted, message, measured=own, limit=wanted, unit="share"
    )


def _gaps(findings: Findings) -> Verdict:
    """Verdict on gaps, all of which the build has repaired; `rows` lists them."""
    gaps, repairs = findings.gaps, findings.repairs
    figures: dict[str, Value] = {"gaps": len(gaps), "repaired_rows": sum(repairs.values())}
    if gaps.empty:
        return _passed("gaps", "no gaps", figures)
    figures |= {f"repaired_{kind}": count for kind, count in repairs.items()}
    filled = ", ".join(f"{count_of(count, 'row')} {kind}" for kind, count in repairs.items())
    longest = count_of(int(gaps["hours"].max()), "hour")
    message = f"{count_of(len(gaps), 'gap')}, the longest of {longest}, repaired as declared: "
    rows = rows_of(gaps.sort_values("hours", ascending=False, kind="stable"))
    return _judge("gaps", "ERROR", True, message + filled, evidence=figures, rows=rows)


def _outliers(findings: Findings) -> Verdict:
    figures: dict[str, Value] = {f"worst_{c}_of_bound": x for c, x in findings.worst.items()}
    count = findings.outliers["timestamp"].nunique()
    message = "no row is beyond its usual bounds"
    if count:
        worst = findings.outliers.iloc[0]
        message = (
            f"{count_of(count, 'row')} beyond the usual bounds; the worst is {worst['column']} "
            f"{worst['value']:.6g} at {worst['timestamp']:%Y-%m-%d %H:%M} ({worst['bound']})"
        )
    return _judge(
        "outliers",
        "WARN",
        not count,
        message,
        measured=count,
        limit=0,
        unit="rows",
        evidence=figures,
        rows=rows_of(findings.outliers),
    )


def _cross_venue(config: DatasetConfig, findings: Findings) -> Verdict:
    rule, spreads = config.agreement, findings.spreads
    assert rule is not None  # the check exists only with a rule
    if spreads.empty and not findings.causes:
        message = "there is no other quote to compare"
        return _judge("cross_venue", "WARN", None, message)
    figures: dict[str, Value] = {"peers": len(spreads)}
    parts = []
    for row in spreads.to_dict("records"):
        peer, median, largest = row["peer"], row["median_bp"], row["max_bp"]
        figures |= {f"{peer}_median_bp": median, f"{peer}_max_bp": largest}
        parts.append(
            f"the difference to {peer} has a median of {median:.2f} bp (limit "
            f"{rule.max_median_bp:g} bp) and is at most {largest:.1f} bp (limit "
            f"{rule.max_gap_bp:g} bp), at {row['at']:%Y-%m-%d %H:%M}"
        )
    parts += findings.causes
    passed = not findings.causes
    passed &= not beyond(findings, (rule.max_median_bp, rule.max_gap_bp)).any()
    days = findings.daily_spreads.sort_values("max_bp", ascending=False)
    rows = () if passed else rows_of(days)
    return _judge("cross_venue", "WARN", passed, "; ".join(parts), evidence=figures, rows=rows)


def beyond(findings: Findings, limits: tuple[float, float]) -> "pd.Series[bool]":
    """Return whether the median or the largest spread of each peer is beyond its limit."""
    spreads = findings.spreads
    return (spreads["median_bp"] > limits[0]) | (spreads["max_bp"] > limits[1])
