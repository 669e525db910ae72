"""From raw feeds to datasets with the verdicts of their checks."""

from collections.abc import Collection, Mapping
from pathlib import Path

from basis_pipeline.backtests.benchmarks import benchmark_names
from basis_pipeline.config import Configs, ModeSlice
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.freshness import Freshness, freshness
from basis_pipeline.market.panel import Panel, build_panel
from basis_pipeline.market.peers import compare_all
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.market.window import Window


def feeds_for(configs: Configs, names: Collection[str]) -> list[str]:
    """List the raw feeds of the datasets named: their own and those their repairs may read."""
    sources = {source for name in names for source in configs.datasets[name].sources}
    return sorted({*names, *sources})


def quoted_by(configs: Configs, names: Collection[str]) -> set[str]:
    """Return the datasets of the catalogue whose quotes those named are compared with."""
    rules = [configs.datasets[name].agreement for name in names]
    return {quote for rule in rules if rule for quote in rule.quotes if quote in configs.datasets}


def ingest(
    configs: Configs,
    names: Collection[str],
    feeds: Mapping[str, RawFeed | DataError],
    window: Window,
    peers: Mapping[str, Dataset | DataError],
) -> dict[str, Dataset | DataError]:
    """Build the datasets named and compare them with other sources; return errors as values.

    Parameters
    ----------
    feeds: at least those of `feeds_for`; the error of a rejected one.
    peers: further datasets for the same window, to compare quotes with.
    """
    built = build_datasets([configs.datasets[name] for name in names], feeds, window)
    return compare_all(built, peers, configs.venues)


class Feeds:
    """A data directory: feeds are read once, datasets and panels are built once per window.

    Parameters
    ----------
    configs: the catalogue. data_dir: directory of the raw files.
    """

    def __init__(self, configs: Configs, data_dir: Path) -> None:
        self.configs = configs
        self.data_dir = data_dir
        self._read: dict[str, RawFeed | DataError] = {}
        self._built: dict[Window, dict[str, Dataset | DataError]] = {}
        self._ages: dict[tuple[frozenset[str], int, frozenset[str]], list[Freshness]] = {}
        self._panels: dict[tuple[str, Window], Panel] = {}

    def read(self, names: Collection[str]) -> dict[str, RawFeed | DataError]:
        """Return the raw feeds named, or the error of one that is absent or rejected."""
        wanted = [self.configs.datasets[name] for name in names if name not in self._read]
        self._read |= read_feeds(self.data_dir, wanted)
        return {name: self._read[name] for name in names}

    def datasets(self, names: Collection[str], window: Window) -> dict[str, Dataset | DataError]:
        """Build the datasets named and compare them with the quotes their files name.

        An absent or rejected one is returned as its error. A feed that only repairs or comparisons
        use is read where it exists.
        """
        built = self._built.setdefault(window, {})
        missing = set(names) - built.keys()
        quoted = quoted_by(self.configs, missing) - missing
        feeds = self.read(feeds_for(self.configs, missing | quoted))
        quotes = [self.configs.datasets[name] for name in sorted(quoted)]
        peers = build_datasets(quotes, feeds, window)
        built |= ingest(self.configs, sorted(missing), feeds, window, peers)
        return {name: built[name] for name in names}

    def ages(self, names: Collection[str], now: int, accruing: Collection[str]) -> list[Freshness]:
        """Return the `freshness` of the feeds named, computed once per set of arguments."""
        key = frozenset(names), now, frozenset(accruing)
        if key not in self._ages:
            configs = {name: self.configs.datasets[name] for name in names}
            self._ages[key] = freshness(configs, self.read(names), now, accruing)
        return self._ages[key]

    def panel(self, mode_slice: ModeSlice, window: Window) -> Panel:
        """Build the panel of a slice, once for all of equal trading. Raises as `build_panel`."""
        key = mode_slice.trading_hash, window
        if key not in self._panels:
            datasets = self.datasets(list(mode_slice.datasets), window)
            self._panels[key] = build_panel(mode_slice, datasets, window)
        return self._panels[key]


def inputs_of(configs: Configs, mode_slice: ModeSlice) -> set[str]:
    """Return every dataset that a mode's run reads: its slice, benchmarks and risk parameters."""
    benchmarks = benchmark_names(mode_slice, configs).values()
    return {*mode_slice.datasets, *benchmarks, *parameter_files(configs, mode_slice)}


def parameter_files(configs: Configs, mode_slice: ModeSlice) -> list[str]:
    """Return the datasets with the risk parameters of the venues that a mode uses."""
    return [
        name
        for name, config in configs.datasets.items()
        if config.kind is Kind.RISK_PARAMS and config.of.venue in mode_slice.venues
    ]
