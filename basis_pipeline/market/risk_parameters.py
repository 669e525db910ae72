"""A venue's own file of risk parameters beside its configuration, which is what decides."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from basis_pipeline.config.venue import Exchange, LendingProtocol
from basis_pipeline.verdict import Value, Verdict, judge, rows_of

CHECK, SAFE = "risk_parameters", "risk_not_understated"
TERMS = {
    "max_ltv": "ltv_limits",
    "liquidation_threshold": "liquidation_thresholds",
    "liquidation_bonus": "liquidation_bonus",
}


def compare_parameters(frame: pd.DataFrame, venue: object, phase: int) -> dict[str, Verdict]:
    """Return by check whether the file agrees with the configuration, and whether a run is safer.

    A configuration that makes a run safer than the file states is a failure: it would liquidate too
    late or too cheaply. One that makes it less safe, and a file that contradicts itself, are
    warnings.

    Parameters
    ----------
    frame: `parameter` and `value` of the venue's file.
    venue: its configuration; None where there is none.
    """
    stated = dict(zip(frame["parameter"], frame["value"].astype(float), strict=True))
    table = pd.DataFrame(
        [row for row in _pairs(stated, venue) if row[1] is not None],
        columns=["parameter", "file", "configuration", "safer"],
    )
    differences = table[table["configuration"].notna() & (table["file"] != table["configuration"])]
    inverted = _inverted(stated)
    messages = [inverted] if inverted else []
    messages += [_difference(row) for row in differences.to_dict("records")]
    message = "; ".join(messages) or "the file agrees with the configuration"
    figures: dict[str, Value] = dict(zip("file " + table["parameter"], table["file"], strict=True))
    rows = rows_of(table.drop(columns="safer"))
    safer = differences[differences["safer"].astype(bool)].to_dict("records")
    stricter: bool | None = not safer
    understated = "no run is safer than stated"
    if inverted:
        # A file that contradicts itself proves nothing for or against the configuration.
        stricter, understated = None, f"nothing to compare with: {inverted}"
    elif safer:
        understated = "; ".join(_difference(row) for row in safer)
        understated = f"the run would be safer than the file states: {understated}"
    return {
        CHECK: judge(
            CHECK, "WARN", not messages, message, evidence=figures, rows=rows, phase=phase
        ),
        SAFE: judge(SAFE, "ERROR", stricter, understated, phase=phase),
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
    """Each parameter with its value in the file and in the configuration, and who is safer."""
    if isinstance(venue, LendingProtocol):
        for token, terms in venue.emode.items():
            for term, block in TERMS.items():
                file = stated.get(f"emode.{block}.{token}_{terms.debt}")
                own = float(getattr(terms, term))
                # A bonus is what the liquidator takes, a limit what the borrower may use.
                is_bonus = term == "liquidation_bonus"
                safer = file is not None and (own < file if is_bonus else own > file)
                yield f"{term} of {token}", file, own, safer
        return
    margin = venue.perp_margin if isinstance(venue, Exchange) else None
    for name in ("initial", "maintenance"):
        file = stated.get(f"{name}_margin_requirement")
        known = float(getattr(margin, name)) if margin else None
        is_lower = file is not None and known is not None and known < file
        yield f"{name} margin", file, known, is_lower and name == "maintenance"
