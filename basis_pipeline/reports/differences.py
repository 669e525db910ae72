"""What differs between runs: configuration, data, code, window and capital."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from basis_pipeline.reports.run_view import flattened
from basis_pipeline.results.definitions import DASH
from basis_pipeline.results.store import RunResult

ABSENT = object()
SHOWN_DIGITS = 12  # of a hash


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in all runs, with its value in each."""

    what: str
    values: tuple[str, ...]


def configuration_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Keys of the configuration that differ; of datasets, those that more than one run reads."""
    flat = [flattened(_without_description(result.config)) for result in results]
    shared = _datasets_of_all(results)
    return [
        Difference(key, tuple(_written(config.get(key, ABSENT)) for config in flat))
        for key in sorted({key for config in flat for key in config})
        if _is_shown(key, shared) and _differ(config.get(key, ABSENT) for config in flat)
    ]


def data_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Datasets that are not the same in all runs, by the first digits of their hashes."""
    hashes = [result.identity.data_hashes for result in results]
    return [
        Difference(name, tuple(own.get(name, "not read")[:SHOWN_DIGITS] for own in hashes))
        for name in sorted({name for own in hashes for name in own})
        if _differ(own.get(name) for own in hashes)
    ]


def run_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Code, window and capital, where they differ."""
    facts = {
        "engine": [result.identity.engine_version for result in results],
        "first hour": [f"{result.identity.start:%Y-%m-%d %H:%M}" for result in results],
        "last hour": [f"{result.identity.end:%Y-%m-%d %H:%M}" for result in results],
        "capital": [
            f"{result.identity.capital:,.10g} {result.summary.get('share_class', '')}".strip()
            for result in results
        ],
    }
    return [Difference(name, tuple(v)) for name, v in facts.items() if _differ(v)]


def _without_description(config: dict[str, Any]) -> dict[str, Any]:
    mode = config.get("mode")
    if not isinstance(mode, dict):
        return config
    return {**config, "mode": {k: v for k, v in mode.items() if k != "description"}}


def _datasets_of_all(results: Sequence[RunResult]) -> set[str]:
    read = [set(result.config.get("datasets", {})) for result in results]
    return set.intersection(*read) if read else set()


def _is_shown(key: str, shared: set[str]) -> bool:
    part, _, rest = key.partition(".")
    return part != "datasets" or rest.partition(".")[0] in shared


def _differ(values: Iterable[Any]) -> bool:
    first, *others = values
    return any(value != first for value in others)


def _written(value: Any) -> str:
    if value is ABSENT:
        return DASH
    return f"{value:g}" if isinstance(value, float) else str(value)
