"""Comparison of a venue's own file of risk parameters with its configuration, which decides."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from basis_pipeline.config.venue import Exchange, LendingProtocol
from basis_pipeline.verdict import Value, Verdict, judge, rows_of

RISK_PARAMETERS, RISK_NOT_UNDERSTATED = "risk_parameters", "risk_not_understated"
TERMS = {
    "max_ltv": "ltv_limits",
    "liquidation_threshold": "liquidation_thresholds",
    "liquidation_bonus": "liquidation_bonus",
}


def compare_parameters(frame: pd.DataFrame, venue: object, phase: int) -> dict[str, Verdict]:
    """Return, by check, whether file and configuration agree, and which is more lenient.

    A configuration that is more lenient than the file is a failure: runs would be liquidated too
    late or too cheaply. A stricter one, and a file that contradicts itself, are warnings.

    Parameters
    ----------
    frame: `parameter` and `value` of the venue's file.
    venue: its configuration; None without one.
    """
    stated = dict(zip(frame["parameter"], frame["value"].astype(float), strict=True))
    table = pd.DataFrame(
        [row for row in _pairs(stated, venue) if row[1] is not None],
        columns=["parameter", "file", "configuration", "lenient"],
    )
    differences = table[table["configuration"].notna() & (table["file"] != table["configuration"])]
    inverted = _inverted(stated)
    messages = [inverted] if inverted else []
    messages += [_difference(row) for row in differences.to_dict("records")]
    message = "; ".join(messages) or "the file agrees with the configuration"
    figures: dict[str, Value] = dict(zip("file " + table["parameter"], table["file"], strict=True))
    rows = rows_of(table.drop(columns="lenient"))
    lenient = differences[differences["lenient"].astype(bool)].to_dict("records")
    passed: bool | None = not lenient
    finding = "the configuration is not more lenient than the file"
    if inverted:
        # A file that contradicts itself is no evidence about the configuration.
        passed, finding = None, f"nothing to compare: {inverted}"
    elif lenient:
        finding = "; ".join(_difference(row) for row in lenient)
        finding = f"the configuration is more lenient than the file: {finding}"
    return {
        RISK_PARAMETERS: judge(
            RISK_PARAMETERS, "WARN", not messages, message, evidence=figures, rows=rows, phase=phase
        ),
        RISK_NOT_UNDERSTATED: judge(RISK_NOT_UNDERSTATED, "ERROR", passed, finding, phase=phase),
    }


def _difference(row: Mapping[Hashable, Any]) -> str:
    return (
        f"{row['parameter']} is {row['file']:g} in the file, {row['configuration']:g} in the "
        "configuration"
    )


def _inverted(stated: dict[str, float]) -> str:
    initial = stated.get("initial_margin_requirement", 1.0)
    maintenance = stated.get("maintenance_margin_requirement", 0.0)
    if initial >= maintenance:
        return ""
    return f"the file's initial margin {initial:g} is below its maintenance margin {maintenance:g}"


def _pairs(
    stated: dict[str, float], venue: object
) -> Iterator[tuple[str, float | None, float | None, bool]]:
    """Parameter, value in file and configuration, and whether the latter is more lenient."""
    if isinstance(venue, LendingProtocol):
        for token, terms in venue.emode.items():
            for term, block in TERMS.items():
                file = stated.get(f"emode.{block}.{token}_{terms.debt}")
                own = float(getattr(terms, term))
                # The liquidator receives the bonus; the borrower may use the limits.
                is_bonus = term == "liquidation_bonus"
                lenient = file is not None and (own < file if is_bonus else own > file)
                yield f"{term} of {token}", file, own, lenient
        return
    margin = venue.perp_margin if isinstance(venue, Exchange) else None
    for name in ("initial", "maintenance"):
        file = stated.get(f"{name}_margin_requirement")
        known = float(getattr(margin, name)) if margin else None
        is_lower = file is not None and known is not None and known < file
        yield f"{name} margin", file, known, is_lower and name == "maintenance"
