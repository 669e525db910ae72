"""JSON documents as long tables: execution costs and risk parameters."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.market.rejection import RejectedDataError

COST_COLUMNS = ("timestamp", "pair", "size_bucket_usd", "cost_bps")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_json(data: bytes, file: str, config: DatasetConfig) -> pd.DataFrame:
    """Read one document as a long table.

    Returns
    -------
    execution_costs: timestamp (day, UTC), pair, size_bucket_usd, cost_bps.
    risk_params: parameter (dotted), value; keys without a number are left out.

    Raises
    ------
    RejectedDataError: DATA-002 empty, DATA-003 a required key is missing, DATA-004 unreadable,
        DATA-005 truncated, DATA-006 a key with two different values.
    """
    document = _load(data, file)
    costs = config.kind is Kind.EXECUTION_COSTS
    frame = _cost_rows(document, file) if costs else _parameter_rows(document, file)
    present = set(frame["pair" if costs else "parameter"])
    missing = [key for key in config.required_keys if key not in present]
    if missing:
        raise RejectedDataError(
            "DATA-003",
            f"{file} lacks the key {', '.join(missing)}",
            where=file,
            available=", ".join(sorted(present)),
        )
    return frame


def _load(data: bytes, file: str) -> dict[str, Any]:
    if not data.strip():
        raise RejectedDataError("DATA-002", f"{file} is empty", where=file)
    document = load_json(data, file, file)
    if not isinstance(document, dict) or not document:
        code = "DATA-004" if document else "DATA-002"
        raise RejectedDataError(code, f"{file} is not a mapping of values", where=file)
    return document


def load_json(data: bytes, what: str, file: str) -> Any:
    """Parse JSON; reject a key with two different values.

    Raises
    ------
    RejectedDataError: DATA-004 unreadable, DATA-005 truncated, DATA-006 a key with two values.
    """
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, file))
    except (ValueError, RecursionError) as error:
        # Malformed text, bytes that are not UTF-8, too many digits, or too deep nesting.
        at_end = isinstance(error, json.JSONDecodeError) and _is_cut(error)
        code, fault = ("DATA-005", "truncated") if at_end else ("DATA-004", "unreadable")
        raise RejectedDataError(code, f"{what} is {fault}: {error}", where=file) from None


def _is_cut(error: json.JSONDecodeError) -> bool:
    """Whether the text ends before the document is complete."""
    rest = error.doc[error.pos :].strip()
    unfinished = any(word.startswith(rest) for word in ("true", "false", "null", "NaN", "-"))
    return unfinished or error.msg.startswith("Unterminated")


def _unique(pairs: list[tuple[str, Any]], file: str) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping and mapping[key] != value:
            raise RejectedDataError(
                "DATA-006",
                f"{file} has {key!r} twice, as {mapping[key]!r} and {value!r}",
                where=file,
            )
        mapping[key] = value
    return mapping


def _cost_rows(document: dict[str, Any], file: str) -> pd.DataFrame:
    """One row per pair, size bucket and day, built by column: there are tens of thousands."""
    series: list[tuple[str, int, int]] = []
    days: list[str] = []
    bps: list[object] = []
    for pair, buckets in document.items():
        for bucket, values in _mapping(buckets, pair, file).items():
            by_day = _mapping(values, f"{pair}.{bucket}", file)
            series.append((pair, _bucket_usd(bucket, file), len(by_day)))
            days += by_day
            bps += by_day.values()
    pairs, sizes, counts = zip(*series, strict=True)
    codes, texts = pd.factorize(np.array(days, dtype=object))
    dates = pd.to_datetime(texts, format="%Y-%m-%d", utc=True, errors="coerce").as_unit("ns")
    if dates.hasnans:
        wrong = texts[int(np.argmax(dates.isna()))]
        raise RejectedDataError("DATA-004", f"{file}: {wrong!r} is not a date", where=file)
    labels = pd.Series(pairs).repeat(list(counts)).reset_index(drop=True)
    values = _numbers(pd.Series(bps), labels, file)
    columns = (dates[codes], labels, np.repeat(np.array(sizes, dtype=np.float64), counts), values)
    return pd.DataFrame(dict(zip(COST_COLUMNS, columns, strict=True)))


def _parameter_rows(document: dict[str, Any], file: str) -> pd.DataFrame:
    rows = pd.DataFrame(_flatten(document, ""), columns=["parameter", "value"])
    numeric = ~rows["value"].map(lambda value: isinstance(value, str | bool | list))
    rows = rows[numeric].reset_index(drop=True)
    return rows.assign(value=_numbers(rows["value"], rows["parameter"], file))


def _flatten(node: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in node.items():
        path = f"{prefix}{key}"
        leaves += _flatten(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return leaves


def _numbers(values: pd.Series, labels: pd.Series, file: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
    wrong = ~np.isfinite(numbers.to_numpy())
    if wrong.any():
        at = int(np.argmax(wrong))
        raise RejectedDataError(
            "DATA-004",
            f"{file}: {labels.iloc[at]} is {values.iloc[at]!r}, not a number",
            where=file,
        )
    return numbers


def _mapping(node: object, path: str, file: str) -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        raise RejectedDataError(
            "DATA-004", f"{file}: {path} is not a mapping of values", where=file
        )
    return node


def _bucket_usd(bucket: str, file: str) -> int:
    """Return a size bucket such as `10k` or `1m` in USD."""
    size = re.fullmatch(r"(\d{1,9})([km]?)", bucket.lower(), re.ASCII)
    if size is None:
        raise RejectedDataError("DATA-004", f"{file}: {bucket!r} is not a size bucket", where=file)
    return int(size[1]) * _UNITS[size[2]]
