"""Raw feeds: the files of one dataset file as read, typed, nothing repaired."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.files import sha256
from basis_pipeline.market.increments import (
    drop_unfinished,
    hourly_bars,
    last_announcements,
    require_one_symbol,
    settled_rates,
)
from basis_pipeline.market.plausibility import require_plausible
from basis_pipeline.market.raw_file import RawFile, categories, read_file
from basis_pipeline.market.rejection import RejectedDataError, unexpected
from basis_pipeline.market.rows import (
    DistinctRows,
    distinct_rows,
    require_agreement,
    require_growth,
)
from basis_pipeline.market.timestamps import to_index

SHOWN_FILES = 8
WORKERS = 2
_NAMED_SPAN = re.compile(r"_(\d{4}-\d\d-\d\d)_(\d{4}-\d\d-\d\d)\.")


@dataclass(frozen=True)
class RawFeed:
    """A feed as read.

    frame: raw column names, rows in the order of the files; timestamps as datetime64[ns, UTC],
        values as float64, identity columns and `file` (the path) as categories.
    files: the files read, sorted by path.
    remarks: what was left out or aggregated while reading.
    """

    config: DatasetConfig
    frame: pd.DataFrame
    files: tuple[RawFile, ...]
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the feed and of its dataset."""
        return self.config.name

    @property
    def paths(self) -> str:
        """Paths of the first files and the number of the others, for messages."""
        more = len(self.files) - SHOWN_FILES
        paths = ", ".join(file.path for file in self.files[:SHOWN_FILES])
        return paths + (f" and {more} more" if more > 0 else "")

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the sorted hashes of the files: the data version, whatever their names."""
        return sha256(*sorted(file.sha256 for file in self.files))

    @cached_property
    def distinct(self) -> DistinctRows:
        """Canonical rows in order of time, exact duplicates dropped."""
        return distinct_rows(self.frame, self.config)

    @property
    def intervals(self) -> npt.NDArray[np.float64] | None:
        """Stated interval of each distinct settlement [hours]; None where the files state none."""
        column = self.config.interval_column
        if column is None or column not in self.frame:
            return None
        # Round to whole minutes: the factor from minutes to hours is inexact.
        return np.round(self.frame[column].to_numpy()[self.distinct.rows] * 60.0) / 60.0

    @property
    def exact_duplicates(self) -> int:
        """Number of rows that repeat another row exactly."""
        return len(self.frame) - len(self.distinct.timestamps)

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """First and last timestamp; None for a document without time."""
        timestamps = self.distinct.timestamps
        if self.config.kind is Kind.RISK_PARAMS or not len(timestamps):
            return None
        index = to_index(timestamps[[0, -1]])
        return index[0], index[1]

    @property
    def named_spans(self) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
        """First and last day in the name of each file that contains them."""
        matches = [_NAMED_SPAN.search(PurePosixPath(file.path).name) for file in self.files]
        return [
            (pd.Timestamp(match[1], tz="UTC"), pd.Timestamp(match[2], tz="UTC"))
            for match in matches
            if match
        ]


def feed_files(data_dir: Path, config: DatasetConfig) -> list[Path]:
    """List the files of a feed, sorted by path."""
    return sorted(path for path in data_dir.glob(config.glob) if path.is_file())


def expected_at(config: DatasetConfig, data_dir: Path) -> str:
    """Return where the files of a feed belong, for messages."""
    return f"{config.glob} below the data directory {data_dir}"


def read_feed(data_dir: Path, config: DatasetConfig) -> RawFeed:
    """Read every file of one feed. Nothing is repaired; implausible data are rejected.

    Raises
    ------
    RejectedDataError: DATA-001 no file, 002 empty, 003 missing column, 004 unreadable value,
        005 truncated last line, 006 conflicting duplicates, 007 files that disagree, 008 missing
        or non-positive price, 009 falling index, 011 wrong symbol, 015 a line too long, 016
        implausible value or feed.
    """
    paths = feed_files(data_dir, config)
    if not paths:
        raise RejectedDataError(
            "DATA-001",
            f"{config.name} has no files",
            where=expected_at(config, data_dir),
            available=_folder_content(data_dir, config.glob),
            action="put the files there, or leave out the modes that need them",
            context={
                "required": config.name,
                "expected": config.glob,
                "searched": str(data_dir),
            },
        )
    frame, files = _join(data_dir, paths, config)
    require_one_symbol(frame, config)
    frame, unfinished = drop_unfinished(frame, config)
    frame, unsettled = settled_rates(frame, config)
    require_agreement(frame, config)
    frame, short_hours = hourly_bars(frame, config)
    feed = RawFeed(config, frame, files, (*unfinished, *unsettled, *short_hours))
    require_growth(feed.distinct, config, feed.paths)
    require_plausible(feed.distinct, config, feed.paths)
    return feed


def read_feeds(data_dir: Path, configs: Iterable[DatasetConfig]) -> dict[str, RawFeed | DataError]:
    """Read feeds in parallel; return each feed by name, or the error it was rejected with."""

    def attempt(config: DatasetConfig) -> RawFeed | DataError:
        try:
            return read_feed(data_dir, config)
        except DataError as error:
            return error
        except Exception as error:  # noqa: BLE001 - an unforeseen error rejects only its feed
            return unexpected("DATA-004", f"{config.name} cannot be read", error, config.glob)

    wanted = list(configs)
    with ThreadPoolExecutor(WORKERS) as pool:
        return {c.name: feed for c, feed in zip(wanted, pool.map(attempt, wanted), strict=True)}


def _join(
    data_dir: Path, paths: list[Path], config: DatasetConfig
) -> tuple[pd.DataFrame, tuple[RawFile, ...]]:
    """Read the files into one frame, joined by column so that no rows are in memory twice."""
    parts: list[dict[str, pd.Series]] = []
    files: list[RawFile] = []
    for path in paths:
        frame, file = read_file(path, path.relative_to(data_dir).as_posix(), config)
        frame = last_announcements(frame, config)
        parts.append({str(name): column for name, column in frame.items()})
        files.append(file)
    counts = [len(next(iter(part.values()))) for part in parts]
    names = [name for name in parts[0] if all(name in part for part in parts)]
    columns: dict[str, object] = {
        name: pd.concat([part.pop(name) for part in parts], ignore_index=True)
        if len(parts) > 1
        else parts[0][name]
        for name in names
    }
    columns["file"] = categories(
        np.repeat(np.arange(len(parts)), counts), [file.path for file in files]
    )
    return pd.DataFrame(columns, copy=False), tuple(files)


def _folder_content(data_dir: Path, glob: str) -> str:
    """Files in the folder in which the feed's files were expected."""
    if not data_dir.is_dir():
        return f"the directory {data_dir} does not exist"
    folder = (data_dir / glob).parent
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") or "no files"
