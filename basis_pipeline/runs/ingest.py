"""Raw files to checked datasets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from basis_pipeline.config import Configs
from basis_pipeline.config.dataset import Kind
from basis_pipeline.config.venue import Exchange
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.quality import dataset_checks
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.window import Window
from basis_pipeline.verdict import Verdict


@dataclass(frozen=True, slots=True)
class CheckedDataset:
    """A dataset, or the error it was refused with, and what every check found."""

    outcome: Dataset | DataError
    checks: list[Verdict]


def feeds_for(configs: Configs, names: Collection[str]) -> list[str]:
    """Raw families that the datasets named are made of: their own and those repairs may read."""
    sources = {source for name in names for source in configs.datasets[name].sources}
    return sorted({*names, *sources})


def checked_datasets(
    configs: Configs,
    names: Collection[str],
    families: Mapping[str, RawFeed | DataError],
    window: Window,
    peers: Mapping[str, Dataset],
) -> dict[str, CheckedDataset]:
    """Build the datasets named and evaluate their checks; a refusal is an outcome, not a raise.

    Parameters
    ----------
    families: at least those of `feeds_for`; a refused one as its error.
    peers: further datasets for the same window, to compare quotes with.
    """
    built = build_datasets([configs.datasets[name] for name in names], families, window)
    quotes = dict(peers) | {n: found for n, found in built.items() if isinstance(found, Dataset)}
    checked = {}
    for name, outcome in built.items():
        config = configs.datasets[name]
        venue = _exchange(configs, name) if config.kind is Kind.RISK_PARAMS else None
        checked[name] = CheckedDataset(outcome, dataset_checks(config, outcome, quotes, venue))
    return checked


def _exchange(configs: Configs, dataset: str) -> Exchange | None:
    venue = configs.venues.get(dataset.partition("_")[0])
    return venue if isinstance(venue, Exchange) else None
