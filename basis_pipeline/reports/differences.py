"""What differs between runs: configuration, data, code, window and capital."""

from collections.abc import Mapping, Sequence
from typing import Any

from basis_pipeline.reports.run_view import flattened
from basis_pipeline.results.definitions import DASH
from basis_pipeline.results.store import RunResult

SHOWN_DIGITS = 12  # of a hash
Differences = dict[str, tuple[str, ...]]  # what is not the same in all runs → its value in each


def differences(results: Sequence[RunResult]) -> dict[str, Differences]:
    """Return everything that is not the same in all runs, by part: configuration, data, run.

    Of datasets, the configuration of those that all runs read, and the beginning of their hashes.
    """
    read = [set(result.config.get("datasets", {})) for result in results]
    shared = set.intersection(*read) if read else set()
    hashes = [
        {name: digest[:SHOWN_DIGITS] for name, digest in result.identity.data_hashes.items()}
        for result in results
    ]
    return {
        "configuration": _unequal([_settings(r.config, shared) for r in results], DASH),
        "data": _unequal(hashes, "not read"),
        "run": _unequal([_identity(result) for result in results], DASH),
    }


def _identity(result: RunResult) -> dict[str, str]:
    run = result.identity
    return {
        "engine": run.engine_version,
        "first hour": f"{run.start:%Y-%m-%d %H:%M}",
        "last hour": f"{run.end:%Y-%m-%d %H:%M}",
        "capital": f"{run.capital:,.10g} {result.summary.get('share_class', '')}".strip(),
    }


def _settings(config: Mapping[str, Any], shared: set[str]) -> dict[str, str]:
    datasets = {n: d for n, d in config.get("datasets", {}).items() if n in shared}
    flat = flattened({**config, "datasets": datasets})
    flat.pop("mode.description", None)
    return {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in flat.items()}


def _unequal(runs: Sequence[Mapping[str, str]], absent: str) -> Differences:
    keys = dict.fromkeys(key for run in runs for key in run)
    rows = {key: tuple(run.get(key, absent) for run in runs) for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}
