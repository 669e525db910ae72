"""Raw feeds to datasets with the verdicts of their checks."""

from collections.abc import Collection, Mapping

from basis_pipeline.config import Configs
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_datasets, compare_all
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.window import Window


def feeds_for(configs: Configs, names: Collection[str]) -> list[str]:
    """Raw feeds that the datasets named are made of: their own and those repairs may read."""
    sources = {source for name in names for source in configs.datasets[name].sources}
    return sorted({*names, *sources})


def quoted_by(configs: Configs, names: Collection[str]) -> set[str]:
    """Datasets whose quotes those named are compared with."""
    rules = [configs.datasets[name].agreement for name in names]
    return {peer for rule in rules if rule for peer in rule.peers}


def ingest(
    configs: Configs,
    names: Collection[str],
    feeds: Mapping[str, RawFeed | DataError],
    window: Window,
    peers: Mapping[str, Dataset],
) -> dict[str, Dataset | DataError]:
    """Build the datasets named and compare them with other sources; a rejected one is its error.

    Parameters
    ----------
    feeds: at least those of `feeds_for`; a rejected one as its error.
    peers: further datasets for the same window, to compare quotes with.
    """
    built = build_datasets([configs.datasets[name] for name in names], feeds, window)
    return compare_all(built, peers, configs.venues)
