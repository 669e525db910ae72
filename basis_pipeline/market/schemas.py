"""Pandera schemas, generated from the dataset files: one per dataset."""

from functools import cache

import numpy as np
import pandas as pd
import pandera.pandas as pa

from basis_pipeline.config.dataset import Column, DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.repairs import REPAIRS, allowed_sources
from basis_pipeline.verdict import SHOWN_ROWS

UTC_NS = pd.DatetimeTZDtype("ns", "UTC")
# One check per column: no value is missing or infinite.
WITHIN = {
    name: pa.Check.in_range(
        low, np.inf, include_min=name == "non_negative", include_max=False, error=name
    )
    for name, low in (("finite", -np.inf), ("positive", 0.0), ("non_negative", 0.0))
}
# A period ends at 24:00 of its last day: nothing is paid before it is earned.
PAID_AFTER_PERIOD = pa.Check(
    lambda f: (
        (f["period_start"] <= f["period_end"])
        & (f["period_end"] + pd.Timedelta(days=1) <= f["timestamp"])
    ),
    name="period_ends_before_payout",
)


def schema_for(config: DatasetConfig) -> pa.DataFrameSchema:
    """Build the schema of a dataset's frame: strict, ordered, no nulls, no coercion.

    Every column carries its description and `metadata={"unit": …}`.
    """
    return _schema(config.model_dump_json())


@cache
def _schema(config_json: str) -> pa.DataFrameSchema:
    config = DatasetConfig.model_validate_json(config_json)
    columns = _document_columns(config) if config.is_document else _table_columns(config)
    repairs = list(REPAIRS)
    columns |= {
        "source": _text(
            "the dataset that the row's values come from", list(allowed_sources(config))
        ),
        "repair": _text("how the row was repaired; empty for a row as read", repairs),
    }
    return pa.DataFrameSchema(
        columns,
        name=config.name,
        description=config.description,
        checks=[PAID_AFTER_PERIOD] if config.kind is Kind.REWARDS else [],
        strict=True,
        ordered=True,
        coerce=False,
    )


def validate(frame: pd.DataFrame, config: DatasetConfig, files: str) -> None:
    """Validate a frame against its schema; DATA-014 with the rows at fault when it does not fit."""
    try:
        schema_for(config).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        first = cases.iloc[0]
        rows = cases["index"].dropna().unique()[:SHOWN_ROWS]
        labels = [row for row in rows if row in frame.index]
        broken = ", ".join(dict.fromkeys(f"{c.column}: {c.check}" for c in cases.itertuples()))
        raise RejectedDataError(
            "DATA-014",
            f"{config.name} breaks {broken}; the first value at fault is {first['failure_case']}"
            + (f" at {frame.loc[labels[0], frame.columns[0]]}" if labels else ""),
            where=files,
            offending=frame.loc[labels] if labels else cases.head(SHOWN_ROWS),
        ) from None


def _table_columns(config: DatasetConfig) -> dict[str, pa.Column]:
    columns = {"timestamp": _time("when the row is valid, UTC", config.kind is not Kind.REWARDS)}
    for column in config.columns.values():
        columns[column.to] = _value(column)
    if config.kind is Kind.REWARDS and "tokens_per_unit" not in columns:
        description = "tokens of the whole period per unit, total over all units"
        columns["tokens_per_unit"] = pa.Column(
            "float64", WITHIN["non_negative"], description=description
        )
    return columns


def _document_columns(config: DatasetConfig) -> dict[str, pa.Column]:
    if config.kind is Kind.RISK_PARAMS:
        parameter = pa.Column("str", unique=True, description="dotted path in the document")
        value = pa.Column("float64", WITHIN["finite"], description="value as in the file")
        return {"parameter": parameter, "value": value}
    return {
        "timestamp": pa.Column(UTC_NS, description="the day, at its 00:00 UTC"),
        "pair": pa.Column("str", description="what is traded"),
        "size_bucket_usd": pa.Column(
            "float64",
            WITHIN["positive"],
            description="largest notional that the rate applies to",
            metadata={"unit": "USD"},
        ),
        "cost_bps": pa.Column(
            "float64",
            WITHIN["non_negative"],
            description="cost of the trade",
            metadata={"unit": "bp of notional"},
        ),
    }


def _value(column: Column) -> pa.Column:
    checks = [] if column.values == "date" else [WITHIN[column.values]]
    if column.grows is not None:
        checks.append(_grows(column.grows))
    return pa.Column(
        UTC_NS if column.values == "date" else "float64",
        checks,
        description=column.description,
        metadata={"unit": column.unit},
    )


def _text(description: str, allowed: list[str]) -> pa.Column:
    return pa.Column("str", pa.Check.isin(allowed), description=description)


def _time(description: str, distinct: bool) -> pa.Column:
    order = pa.Check(
        lambda s: s.diff().fillna(pd.Timedelta(1)) > pd.Timedelta(0),
        name="strictly_increasing",
        error="strictly increasing",
    )
    return pa.Column(UTC_NS, order if distinct else None, description=description)


def _grows(tolerance: float) -> pa.Check:
    return pa.Check(
        lambda s: ~(s < s.shift() * (1.0 - tolerance)),
        name="only_grows",
        error="only grows",
    )
