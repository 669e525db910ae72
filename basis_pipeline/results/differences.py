"""What runs differ in: every key of their configuration, their data, window, capital and engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from basis_pipeline.results.store import RunResult

ABSENT = "–"  # the run has no such key or dataset


# Sections of a configuration by name: what only one run has is told as a name it lacks.
NAMED = ("datasets", "venues")


def differences(results: Sequence[RunResult]) -> pd.DataFrame:
    """One row a thing that is not the same in all runs, one column a run, in the order given.

    The rows are indexed by (`part`, `name`): part is configuration (a dotted key; of datasets and
    venues only those that all runs have), venues (named by those that have them), data (a dataset,
    its value the first digits of its content hash), window, capital or code. No row: the same run.
    """
    told = [_told(result, _shared(results)) for result in results]
    keys = dict.fromkeys(key for one in told for key in one)
    rows = {key: [one.get(key, ABSENT) for one in told] for key in keys}
    unequal = {key: row for key, row in rows.items() if any(value != row[0] for value in row)}
    index = pd.MultiIndex.from_tuples(list(unequal), names=["part", "name"])
    if index.empty:
        index = pd.MultiIndex.from_arrays([[], []], names=["part", "name"])
    columns = [result.run_id for result in results]
    return pd.DataFrame(list(unequal.values()), index=index, columns=columns, dtype=object)


def _shared(results: Sequence[RunResult]) -> dict[str, set[str]]:
    """Names of each section that every run has."""
    return {
        section: set.intersection(*(set(r.config.get(section, {})) for r in results))
        for section in NAMED
    }


def _told(result: RunResult, shared: Mapping[str, set[str]]) -> dict[tuple[str, str], Any]:
    identity = result.identity
    config = {
        section: {n: v for n, v in part.items() if n in shared[section]}
        if section in shared
        else part
        for section, part in result.config.items()
    }
    # Keys of the mode are told as overrides name them.
    keys = {key.removeprefix("mode."): value for key, value in flat(config) if value != {}}
    return {
        **{("configuration", key): value for key, value in keys.items()},
        **{("venues", name): "used" for name in result.config.get("venues", {})},
        **{("data", name): digest[:12] for name, digest in identity.data_hashes.items()},
        ("window", "start"): f"{identity.start:%Y-%m-%d %H:%M}",
        ("window", "end"): f"{identity.end:%Y-%m-%d %H:%M}",
        ("capital", "capital"): identity.capital,
        ("code", "engine"): identity.engine_version,
    }


def flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; a list stays one value."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
