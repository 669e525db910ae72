"""What differs between runs: configuration, data, code, window and capital."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from basis_pipeline.reports.run_view import flattened
from basis_pipeline.results.definitions import DASH
from basis_pipeline.results.store import RunResult

SHOWN_DIGITS = 12  # of a hash


class Difference(NamedTuple):
    """One thing that is not the same in all runs, with its value in each."""

    what: str
    values: tuple[str, ...]


def configuration_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Return the keys of the configuration that differ; of datasets, those that all runs read."""
    read = [set(result.config.get("datasets", {})) for result in results]
    shared = set.intersection(*read) if read else set()
    return _differences([_comparable(result.config, shared) for result in results], DASH)


def data_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Return the datasets that are not the same in all runs, by the beginning of their hashes."""
    return _differences(
        [
            {name: digest[:SHOWN_DIGITS] for name, digest in result.identity.data_hashes.items()}
            for result in results
        ],
        "not read",
    )


def run_differences(results: Sequence[RunResult]) -> list[Difference]:
    """Return code, window and capital, where they differ."""
    return _differences([_facts(result) for result in results], DASH)


def _facts(result: RunResult) -> dict[str, str]:
    run = result.identity
    return {
        "engine": run.engine_version,
        "first hour": f"{run.start:%Y-%m-%d %H:%M}",
        "last hour": f"{run.end:%Y-%m-%d %H:%M}",
        "capital": f"{run.capital:,.10g} {result.summary.get('share_class', '')}".strip(),
    }


def _comparable(config: Mapping[str, Any], shared: set[str]) -> dict[str, str]:
    parts = {**config, "datasets": {}}
    parts["datasets"] = {n: d for n, d in config.get("datasets", {}).items() if n in shared}
    flat = flattened(parts)
    flat.pop("mode.description", None)
    return {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in flat.items()}


def _differences(runs: Sequence[Mapping[str, str]], absent: str) -> list[Difference]:
    """Return what has another value in one run than in another."""
    keys = dict.fromkeys(key for run in runs for key in run)
    rows = [Difference(key, tuple(run.get(key, absent) for run in runs)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]
