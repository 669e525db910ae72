"""Datasets: canonical, hour-aligned, validated; every repaired row states its source."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.events import cost_rows, reward_rows
from basis_pipeline.market.findings import Findings, find_in_dataset
from basis_pipeline.market.grid import Grid, build_grid, require_coverage
from basis_pipeline.market.quality import dataset_verdicts
from basis_pipeline.market.raw import WORKERS, RawFeed
from basis_pipeline.market.rejection import RejectedDataError, unexpected
from basis_pipeline.market.repairs import AS_READ, Gap, Sources, repair_gaps
from basis_pipeline.market.schemas import validate
from basis_pipeline.market.timestamps import Int64, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.verdict import Verdict, count_of


@dataclass(frozen=True)
class Dataset:
    """A feed aligned, repaired and validated for a window.

    frame: `timestamp` (datetime64[ns, UTC]), value columns (float64), `source`, `repair`; documents
        have key columns instead of, or in addition to, the timestamp.
    own_share: share of the rows required by the window that the feed has itself.
    content_hashes: dataset → SHA-256 of the raw content, of this feed and of its repair sources.
    findings, verdicts: of the build, and of every check of the dataset.
    """

    config: DatasetConfig
    window: Window
    frame: pd.DataFrame
    own_share: float
    content_hashes: dict[str, str]
    findings: Findings = field(default_factory=Findings)
    verdicts: tuple[Verdict, ...] = ()

    @property
    def name(self) -> str:
        """Name of the dataset and of its feed."""
        return self.config.name

    @cached_property
    def is_repaired(self) -> npt.NDArray[np.bool_]:
        """Whether each row was filled by a repair, (n,)."""
        return (self.frame["repair"] != AS_READ).to_numpy(dtype=bool)

    @cached_property
    def costs(self) -> dict[str, dict[float, pd.Series]]:
        """Basis points of an execution-cost table by pair, size bucket and day."""
        found: dict[str, dict[float, pd.Series]] = {}
        days = self.frame.set_index("timestamp")["cost_bps"]
        keys = [self.frame[name].to_numpy() for name in ("pair", "size_bucket_usd")]
        groups: Any = days.groupby(keys)
        for (pair, size), bps in groups:
            found.setdefault(pair, {})[size] = bps
        return found

    @property
    def repairs(self) -> dict[str, int]:
        """Number of rows filled by each repair."""
        return self.findings.repairs


def build_dataset(config: DatasetConfig, raw: RawFeed, window: Window, sources: Sources) -> Dataset:
    """Build a dataset: align, repair by the declared policy and validate one feed.

    Parameters
    ----------
    sources: raw feeds by name, at least those of `config.sources`; a rejected one as its error.
        They are used only where this feed has a gap.

    Raises
    ------
    RejectedDataError: DATA-006 duplicates that the policy does not drop, DATA-010 too little of
        the window, DATA-012 window outside the data, DATA-013 a gap longer than its policy,
        DATA-014 rows that violate the schema.
    """
    _require_enough_rows(config, raw)
    grid: Grid | None = None
    gaps: tuple[Gap, ...] = ()
    reads: tuple[str, ...] = ()
    share = 1.0
    if config.kind is Kind.RISK_PARAMS:
        frame = raw.frame.iloc[raw.distinct.rows][["parameter", "value"]]
    elif config.kind is Kind.EXECUTION_COSTS:
        frame = cost_rows(config, raw, window)
    elif config.kind is Kind.REWARDS:
        frame, share = reward_rows(config, raw, window)
    else:
        grid = build_grid(config, raw, window)
        require_coverage(config, raw, grid, window)
        repaired = repair_gaps(config, raw, grid, sources, window)
        reads, gaps, share = repaired.reads, repaired.gaps, grid.own_share
        frame = _hourly_frame(raw, grid.timestamps, repaired.values)
        frame["source"] = pd.Series(repaired.source, dtype="str")
        frame["repair"] = pd.Series(repaired.repair, dtype="str")
    if "source" not in frame:
        frame = frame.reset_index(drop=True)
        frame = frame.assign(source=config.name, repair=AS_READ)
        frame = frame.astype({"source": "str", "repair": "str"})
    validate(frame, config, raw.paths)
    findings = find_in_dataset(raw, grid, gaps, frame)
    return Dataset(
        config=config,
        window=window,
        frame=frame,
        own_share=share,
        content_hashes={config.name: raw.content_hash, **_content_hashes(reads, sources)},
        findings=findings,
        verdicts=dataset_verdicts(config, frame, share, findings),
    )


def build_datasets(
    configs: Iterable[DatasetConfig],
    feeds: Mapping[str, RawFeed | DataError],
    window: Window,
) -> dict[str, Dataset | DataError]:
    """Build datasets in parallel; return each by name, or the error it was rejected with."""
    wanted = list(configs)
    with ThreadPoolExecutor(WORKERS) as pool:
        built = pool.map(lambda config: try_build(config, feeds, window), wanted)
        return {config.name: one for config, one in zip(wanted, built, strict=True)}


def try_build(
    config: DatasetConfig, feeds: Mapping[str, RawFeed | DataError], window: Window
) -> Dataset | DataError:
    """Build one dataset, or return the error it was rejected with."""
    raw = feeds[config.name]
    if isinstance(raw, DataError):
        return raw
    try:
        return build_dataset(config, raw, window, feeds)
    except DataError as error:
        return error
    except Exception as error:  # noqa: BLE001 - an unforeseen error rejects only its feed
        return unexpected("DATA-014", f"{config.name} cannot be built", error, raw.paths)


def _content_hashes(names: Iterable[str], sources: Sources) -> dict[str, str]:
    feeds = {name: sources[name] for name in names}
    return {name: feed.content_hash for name, feed in feeds.items() if isinstance(feed, RawFeed)}


def _require_enough_rows(config: DatasetConfig, raw: RawFeed) -> None:
    if raw.exact_duplicates and not config.repair.drop_exact_duplicates:
        raise RejectedDataError(
            "DATA-006",
            f"{config.name} has {count_of(raw.exact_duplicates, 'exact duplicate')}, "
            "and its policy does not drop them",
            where=raw.paths,
        )
    wanted = config.coverage.min_rows
    if wanted is not None and len(raw.distinct.timestamps) < wanted:
        raise RejectedDataError(
            "DATA-010",
            f"{config.name} has {len(raw.distinct.timestamps)} rows and needs {wanted}",
            where=raw.paths,
        )


def _hourly_frame(raw: RawFeed, timestamps: Int64, values: npt.NDArray[np.float64]) -> pd.DataFrame:
    columns = {name: values[:, i].copy() for i, name in enumerate(raw.distinct.columns)}
    return pd.DataFrame({"timestamp": to_index(timestamps), **columns})
