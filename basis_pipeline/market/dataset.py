"""Datasets: canonical, hour-aligned, validated; every repaired row says where it came from."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig, Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.grid import SLIVER, lay_grid, require_coverage
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.repairs import AS_READ, Sources, repair_holes
from basis_pipeline.market.schemas import validate
from basis_pipeline.market.timestamps import Int64, spell, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import DAY_NS

COST_BUCKETS_USD = (10_000.0, 100_000.0, 1_000_000.0)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A family made fit for a window.

    frame: `timestamp` (datetime64[ns, UTC]), value columns (float64), `source`, `repair`; the long
        documents have their key columns instead of, or beside, the timestamp.
    own_share: share of the rows the window asks for that the family has itself.
    repairs: repair → number of rows; empty when everything is as landed.
    duplicates_dropped: exact duplicates among the raw rows.
    content_hashes: dataset → sha256 of the raw content, of this family and of all it was
        repaired from.
    """

    config: DatasetConfig
    window: Window
    frame: pd.DataFrame
    own_share: float
    repairs: dict[str, int]
    duplicates_dropped: int
    content_hashes: dict[str, str]

    @property
    def name(self) -> str:
        """The dataset's name, which is its family's too."""
        return self.config.name


def build_dataset(config: DatasetConfig, raw: RawFeed, window: Window, sources: Sources) -> Dataset:
    """Align, repair by the declared policy and validate one family.

    Parameters
    ----------
    sources: raw families by name, at least those of `config.sources`; a refused one as its error.
        They are read only where this family has a hole.

    Raises
    ------
    RejectedDataError: DATA-006 duplicates the policy keeps from being dropped, DATA-010 too little
        of the window, DATA-012 window outside the data, DATA-013 a hole longer than its policy,
        DATA-014 rows that do not fit the schema.
    """
    _require_enough_rows(config, raw)
    reads: tuple[str, ...] = ()
    if config.kind is Kind.RISK_PARAMS:
        frame, share = raw.frame.iloc[raw.distinct.rows][["parameter", "value"]], 1.0
    elif config.kind is Kind.EXECUTION_COSTS:
        frame, share = _costs(config, raw, window), 1.0
    elif config.kind is Kind.REWARDS:
        frame, share = _rewards(config, raw, window)
    else:
        grid = lay_grid(config, raw, window)
        require_coverage(config, raw, grid, window)
        repaired = repair_holes(config, raw, grid, sources, window)
        reads, share = repaired.reads, grid.own_share
        frame = _hourly_frame(raw, grid.timestamps, repaired.values)
        frame["source"] = pd.Series(repaired.source, dtype="str")
        frame["repair"] = pd.Series(repaired.repair, dtype="str")
    if "source" not in frame:
        frame = frame.reset_index(drop=True)
        frame = frame.assign(source=config.name, repair=AS_READ)
        frame = frame.astype({"source": "str", "repair": "str"})
    validate(frame, config, _files(raw))
    counts = frame.loc[frame["repair"] != AS_READ, "repair"].value_counts().sort_index()
    hashes = {config.name: raw.content_hash}
    for name in reads:
        source = sources[name]
        assert isinstance(source, RawFeed)  # an error cannot have been read
        hashes[name] = source.content_hash
    return Dataset(
        config=config,
        window=window,
        frame=frame,
        own_share=share,
        repairs={str(kind): int(count) for kind, count in counts.items()},
        duplicates_dropped=raw.exact_duplicates,
        content_hashes=hashes,
    )


def build_datasets(
    configs: Iterable[DatasetConfig],
    families: Mapping[str, RawFeed | DataError],
    window: Window,
    workers: int = 2,
) -> dict[str, Dataset | DataError]:
    """Build many datasets; one that is refused is its error, and stops no other."""

    def attempt(config: DatasetConfig) -> Dataset | DataError:
        raw = families[config.name]
        if isinstance(raw, DataError):
            return raw
        try:
            return build_dataset(config, raw, window, families)
        except DataError as error:
            return error

    wanted = list(configs)
    with ThreadPoolExecutor(workers) as pool:
        return {c.name: built for c, built in zip(wanted, pool.map(attempt, wanted), strict=True)}


def _files(raw: RawFeed) -> str:
    return ", ".join(file.path for file in raw.files)


def _require_enough_rows(config: DatasetConfig, raw: RawFeed) -> None:
    if raw.exact_duplicates and not config.repair.drop_exact_duplicates:
        raise RejectedDataError(
            "DATA-006",
            f"{config.name} repeats {raw.exact_duplicates} rows, and its policy keeps them",
            where=_files(raw),
        )
    wanted = config.coverage.min_rows
    if wanted is not None and len(raw.distinct.timestamps) < wanted:
        raise RejectedDataError(
            "DATA-010",
            f"{config.name} has {len(raw.distinct.timestamps)} rows and needs {wanted}",
            where=_files(raw),
        )


def _hourly_frame(raw: RawFeed, stamps: Int64, values: npt.NDArray[np.float64]) -> pd.DataFrame:
    columns = {name: values[:, i].copy() for i, name in enumerate(raw.distinct.columns)}
    return pd.DataFrame({"timestamp": to_index(stamps), **columns})


def _rewards(config: DatasetConfig, raw: RawFeed, window: Window) -> tuple[pd.DataFrame, float]:
    """Payouts inside the window, and the share of its days the periods cover (SEMANTICS 3)."""
    own = raw.distinct
    dates = {
        name: own.values[:, own.columns.index(name)].astype(np.int64)
        for name in ("period_start", "period_end")
    }
    tokens = own.values[:, own.columns.index("tokens_per_eeth")]
    rate = next(c for c in config.columns.values() if c.to == "tokens_per_eeth")
    if rate.per_days is not None:
        days = (dates["period_end"] - dates["period_start"]) / DAY_NS
        tokens = tokens * np.maximum(1.0, days / rate.per_days)
        _require_unbroken(config, raw, dates["period_start"], dates["period_end"])
    share = _reward_coverage(config, raw, dates["period_start"], dates["period_end"], window)
    frame = pd.DataFrame(
        {
            "timestamp": to_index(own.timestamps),
            **{name: to_index(stamps) for name, stamps in dates.items()},
            "tokens_per_eeth": tokens,
        }
    )
    inside = frame["timestamp"].between(window.start, window.end)
    return frame[inside].sort_values("timestamp", kind="stable")[_order(config)], share


def _require_unbroken(config: DatasetConfig, raw: RawFeed, begins: Int64, ends: Int64) -> None:
    """Refuse a hole between periods that are paid at a rate: such a programme runs every day."""
    gaps = begins[1:] - ends[:-1] > DAY_NS
    if gaps.any():
        at = int(np.argmax(gaps))
        first, last = spell(int(ends[at] + DAY_NS)), spell(int(begins[at + 1] - DAY_NS))
        raise RejectedDataError(
            "DATA-013",
            f"{config.name} has no period for {first} … {last}; its policy is: {config.repair}",
            where=_files(raw),
        )


def _order(config: DatasetConfig) -> list[str]:
    return ["timestamp", *config.value_columns]


def _reward_coverage(
    config: DatasetConfig, raw: RawFeed, begins: Int64, ends: Int64, window: Window
) -> float:
    first = max(window.start.value, int(begins.min()))
    length = window.end.value - first
    if length <= 0:
        return 1.0
    paid = np.minimum(ends + DAY_NS, window.end.value) - np.maximum(begins, first)
    share = float(np.maximum(paid, 0).sum() / length)
    if share < config.coverage.min_share:
        raise RejectedDataError(
            "DATA-010",
            f"{config.name} pays for {share:.1%} of the days since it began in {window}, and needs "
            f"{config.coverage.min_share:.1%}; its last period ends {spell(int(ends.max()))}",
            where=_files(raw),
        )
    return share


def _costs(config: DatasetConfig, raw: RawFeed, window: Window) -> pd.DataFrame:
    """Costs of every day the window touches, for each pair and bucket the catalogue asks for."""
    frame = raw.frame.iloc[raw.distinct.rows].drop(columns="file")
    days = np.arange(window.start.value // DAY_NS, window.end.value // DAY_NS + 1) * DAY_NS
    index = to_index(days)
    frame = frame[frame["timestamp"].between(index[0], index[-1])]
    counts = frame.groupby(["pair", "size_bucket_usd"])["timestamp"].count()
    for pair in config.required_keys:
        for bucket in COST_BUCKETS_USD:
            found = int(counts.get((pair, bucket), 0))
            if found == len(days):
                continue
            rows = frame[(frame["pair"] == pair) & (frame["size_bucket_usd"] == bucket)]
            _refuse_missing_days(config, raw, f"{pair} at {bucket:.0f} USD", index, rows, window)
    return frame.sort_values(["timestamp", "pair", "size_bucket_usd"]).astype({"pair": "str"})


def _refuse_missing_days(
    config: DatasetConfig,
    raw: RawFeed,
    series: str,
    days: pd.DatetimeIndex,
    rows: pd.DataFrame,
    window: Window,
) -> None:
    missing = days.difference(pd.DatetimeIndex(rows["timestamp"]))
    share = 1.0 - len(missing) / len(days)
    told = (
        f"{config.name} lacks {len(missing)} of {len(days)} days for {series} in {window}, "
        f"{missing[0]:%Y-%m-%d} … {missing[-1]:%Y-%m-%d}"
    )
    first, last = raw.span or (window.start, window.end)
    beyond = bool(((missing < first) | (missing > last)).all())
    if beyond and (share >= SLIVER or first > window.end or last < window.start):
        code = "DATA-012"
    else:
        code = "DATA-010" if share < config.coverage.min_share else "DATA-013"
    raise RejectedDataError(
        code, f"{told}; its rows span {first:%Y-%m-%d} … {last:%Y-%m-%d}", where=_files(raw)
    )
