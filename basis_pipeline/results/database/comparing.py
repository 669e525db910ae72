"""Runs side by side: what they were, what came out, and which settings differ."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from basis_pipeline.results.database.runs import RunRecord
from basis_pipeline.results.store import CONFIG

FACTS = ("mode", "share_class", "start", "end", "capital", "config_hash", "data_hash")
FIGURES = (
    "final_equity",
    "total_return",
    "apy",
    "volatility",
    "sharpe",
    "max_drawdown",
    "min_health_factor",
    "min_margin_ratio",
    "rebalances",
    "liquidations",
)


def compare(records: Sequence[RunRecord]) -> dict[str, dict[str, list[Any]]]:
    """Values of every run, in the order given, by name.

    `facts` and `figures` are those of the database; `settings` are the keys of the configuration,
    dotted, in which the runs differ: None where a run has none, or its files are gone.
    """
    configs = [_settings(record) for record in records]
    keys = sorted({key for config in configs for key in config})
    values = {key: [config.get(key) for config in configs] for key in keys}
    return {
        "facts": {name: [getattr(record, name) for record in records] for name in FACTS},
        "figures": {name: [getattr(record, name) for record in records] for name in FIGURES},
        "settings": {key: held for key, held in values.items() if any(v != held[0] for v in held)},
    }


def _settings(record: RunRecord) -> dict[str, Any]:
    try:
        return dict(_flat("", json.loads((Path(record.path) / CONFIG).read_bytes())))
    except (OSError, ValueError):
        return {}


def _flat(key: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(key, value)]
    return [
        pair
        for name, inner in value.items()
        for pair in _flat(f"{key}.{name}" if key else str(name), inner)
    ]
