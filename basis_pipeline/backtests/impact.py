"""The impact of a change: from raw feeds and configuration to datasets and modes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.loading import canonical_json
from basis_pipeline.errors import ConfigError
from basis_pipeline.files import sha256


@dataclass(frozen=True, slots=True)
class Reach:
    """Datasets to rebuild, in catalogue order, and modes to run again, by name."""

    datasets: tuple[str, ...]
    modes: tuple[str, ...]


def reach_of(configs: Configs, feeds: Collection[str]) -> Reach:
    """Return everything downstream that uses the raw feeds.

    A dataset is reached through its own files and through those its repairs may read. One that is
    only compared with a reached one is checked again but reaches no mode: its values are the same.
    A mode is reached through the datasets of its slice and through its benchmarks.
    """
    made = {
        name for name, config in configs.datasets.items() if {name, *config.sources} & set(feeds)
    }
    compared = {
        name
        for name, config in configs.datasets.items()
        if config.agreement and set(config.agreement.quotes) & made
    }
    modes = tuple(name for name in sorted(configs.modes) if _reads(configs, name) & made)
    return Reach(tuple(name for name in configs.datasets if name in made | compared), modes)


def _reads(configs: Configs, mode: str) -> set[str]:
    try:
        mode_slice = slice_mode(configs, mode)
    except ConfigError:
        return set()  # its configuration is invalid, whatever the data
    return inputs_of(configs, mode_slice)


def fingerprints(configs: Configs) -> dict[str, dict[str, str]]:
    """Return hashes of the configuration of every mode, and of every catalogue entry.

    `modes` leaves the catalogue entries out: a change in one reaches modes through its dataset.
    """
    return {
        "modes": {name: _of_mode(configs, name) for name in configs.mode_names},
        "datasets": {
            name: sha256(canonical_json(config)) for name, config in configs.datasets.items()
        },
    }


def _of_mode(configs: Configs, mode: str) -> str:
    try:
        mode_slice = slice_mode(configs, mode)
    except ConfigError as error:
        return sha256("rejected", error.code, error.what)
    return sha256(*_parts(mode_slice))


def _parts(mode_slice: ModeSlice) -> Iterable[str]:
    yield canonical_json(mode_slice.mode)
    yield canonical_json(mode_slice.share_class)
    for name, venue in sorted(mode_slice.venues.items()):
        yield f"{name} {canonical_json(venue)}"
    yield from sorted(mode_slice.datasets)


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names that are new or whose hash has changed, sorted."""
    return sorted(name for name, digest in now.items() if before.get(name) != digest)
