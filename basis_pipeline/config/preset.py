"""Presets: the formats of publishers' files, which dataset files build on."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from basis_pipeline.config.base import Hours, Name, StrictModel
from basis_pipeline.config.dataset import TimestampRule
from basis_pipeline.config.file_format import FileFormat

_PLACEHOLDER = re.compile(r"\{(base|quote|token|lst|chain|venue)\}")
# Canonical columns, for dataset files that give only the name of one: unit, values, description.
# `{quote}` is the currency that the dataset is priced in.
_BAR = {
    name: {"to": name, "unit": "{quote}", "values": "positive", "description": description}
    for name, description in (
        ("open", "first price of the hour that begins at the timestamp"),
        ("high", "highest price of the hour"),
        ("low", "lowest price of the hour"),
        ("close", "last price of the hour"),
    )
}
_VOLUME = {
    "to": "volume",
    "unit": "venue units",
    "values": "non_negative",
    "description": "traded in the hour as the venue counts it",
}
_RATE = {"unit": "per year", "values": "non_negative"}
_TOTAL = {"unit": "{token}", "values": "non_negative"}
_INDEX = {"unit": "{token} per scaled unit", "values": "positive", "grows": 1.0e-12}
COLUMNS: dict[str, dict[str, Any]] = {
    **_BAR,
    "volume": _VOLUME,
    "funding_rate": {
        "unit": "share of notional per settlement",
        "values": "finite",
        "description": "paid by longs to shorts when positive",
    },
    "liquidity_index": {**_INDEX, "description": "what one scaled unit supplied has grown to"},
    "variable_borrow_index": {
        **_INDEX,
        "description": "what one scaled unit borrowed has grown to",
    },
    "liquidity_rate": {**_RATE, "description": "supply rate at the snapshot"},
    "variable_borrow_rate": {**_RATE, "description": "borrow rate at the snapshot"},
    "total_a_token": {**_TOTAL, "description": "supplied in all"},
    "total_variable_debt": {**_TOTAL, "description": "borrowed in all"},
    "price_usd": {"unit": "USD", "values": "positive", "description": "oracle price of the token"},
    "oracle_rate": {
        "unit": "per {lst}",
        "values": "positive",
        "grows": 1.0e-6,
        "description": "what one token redeems for",
    },
    "market_rate": {
        "unit": "per {lst}",
        "values": "positive",
        "description": "what one token sells for",
    },
    "base_fee_gwei": {
        "unit": "gwei per gas",
        "values": "positive",
        "description": "base fee of the hour's block",
    },
    "priority_fee_p50_gwei": {
        "unit": "gwei per gas",
        "values": "non_negative",
        "description": "median priority fee of the hour's blocks",
    },
    "apr": {"unit": "per year", "values": "finite", "description": "APR of the day"},
}


class Preset(StrictModel):
    """The format of a publisher's files.

    Parameters
    ----------
    title: what the files are. page: address where the publisher describes them.
    kinds: of the datasets that can be made from them.
    of: keys of `of` that all of these datasets share: the venue.
    columns: raw name → canonical name; `{base}` and so on stand for keys of a dataset's `of`.
    symbol: regular expression for the beginning of a file's name, or for the value of
        `symbol_column`, by which files are recognised; its groups are keys of `of`, or `symbol`,
        which is base and quote in one.
    smallest_units: columns in the token's smallest unit, whose scale a dataset's file must give.
    note: what a user should know.
    """

    preset: Name
    title: str
    page: Annotated[str, Field(pattern=r"^https://")]
    kinds: Annotated[tuple[str, ...], Field(min_length=1)]
    of: dict[str, str] = Field(default_factory=dict)
    note: str = ""
    symbol: str | None = None
    symbol_column: str | None = None
    frequency_hours: Hours
    timestamp: TimestampRule
    columns: dict[str, str]
    identity: dict[str, str] = Field(default_factory=dict)
    interval_column: str | None = None
    smallest_units: tuple[str, ...] = ()
    format: FileFormat = FileFormat()


def complete(document: dict[str, Any], preset: Preset | None) -> dict[str, Any]:
    """Return a dataset's file completed by its preset, with its short columns written out.

    Keys of the file take precedence over the preset, in `format` and its mappings key by key. A
    column may be given by its canonical name alone. The model rejects anything else later.
    """
    found = dict(document)
    given = found.get("of")
    of = {k: str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}
    if preset is not None:
        stated = preset.model_dump(mode="json", exclude_unset=True)
        taken = ("frequency_hours", "timestamp", "columns", "identity", "interval_column")
        form = found.get("format") or {}
        if isinstance(form, Mapping):
            found["format"] = _merged(_filled(stated.get("format", {}), of), form)
        for key in taken:
            if key in stated:
                found.setdefault(key, _filled(stated[key], of))
        found.setdefault("identity", {})
    columns = found.get("columns")
    if isinstance(columns, Mapping):
        found["columns"] = {raw: _written_out(column, of) for raw, column in columns.items()}
    return found


def _merged(stated: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the keys given over those of the preset, mappings key by key."""
    both = {
        key: {**stated[key], **value}
        for key, value in given.items()
        if isinstance(value, Mapping) and isinstance(stated.get(key), Mapping)
    }
    return {**stated, **given, **both}


def _written_out(column: Any, of: Mapping[str, str]) -> Any:
    if not isinstance(column, str):
        return column
    return _filled({"to": column, **COLUMNS.get(column, {})}, of)


def _filled(value: Any, of: Mapping[str, str]) -> Any:
    """Replace `{base}` and so on by the keys of the dataset's `of`, in keys and in values."""
    if isinstance(value, Mapping):
        return {_filled(key, of): _filled(item, of) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, of) for item in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: of.get(found[1], found[0]), value)
    return value
