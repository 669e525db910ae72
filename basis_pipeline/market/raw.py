"""Raw feeds: the files of one catalogue entry as read, typed, nothing repaired."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.dataset import DatasetConfig, TimestampRule
from basis_pipeline.errors import DataError
from basis_pipeline.files import sha256
from basis_pipeline.market.csv_file import parse_csv, shown
from basis_pipeline.market.json_file import parse_json
from basis_pipeline.market.plausibility import require_limits, require_plausible
from basis_pipeline.market.rejection import RejectedDataError, unexpected
from basis_pipeline.market.rows import (
    DistinctRows,
    distinct_rows,
    require_agreement,
    require_growth,
    require_values,
)
from basis_pipeline.market.timestamps import UNREADABLE, Int64, parse_timestamps, to_index
from basis_pipeline.times import DAY_NS

# A line at most twice as long is within what the csv module reads (131,072 characters a value).
LONGEST_LINE = 64 * 1024
SHOWN_FILES = 8
LARGEST_DOCUMENT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file as it was read: its path below the data directory, content hash, bytes, rows."""

    path: str
    sha256: str
    size: int
    rows: int


@dataclass(frozen=True)
class RawFeed:
    """A feed as read.

    config: the catalogue entry it was read by.
    frame: raw column names, rows in the order of the files; timestamps as datetime64[ns, UTC],
        values as float64, identity columns and `file` (the path) as categories.
    files: what was read, sorted by path.
    """

    config: DatasetConfig
    frame: pd.DataFrame
    files: tuple[RawFile, ...]

    @property
    def name(self) -> str:
        """The feed's name, which is its dataset's too."""
        return self.config.name

    @property
    def paths(self) -> str:
        """Paths of the files, for messages: the first ones, and how many more."""
        more = len(self.files) - SHOWN_FILES
        paths = ", ".join(file.path for file in self.files[:SHOWN_FILES])
        return paths + (f" and {more} more" if more > 0 else "")

    @cached_property
    def content_hash(self) -> str:
        """Sha256 over the sorted hashes of the files: the data version, whatever their names."""
        return sha256(*sorted(file.sha256 for file in self.files))

    @cached_property
    def distinct(self) -> DistinctRows:
        """Canonical rows in order of time, exact duplicates dropped."""
        return distinct_rows(self.frame, self.config)

    @property
    def intervals(self) -> npt.NDArray[np.float64] | None:
        """Hours that each distinct settlement says it covers; None where the files say none."""
        column = self.config.interval_column
        if column is None or column not in self.frame:
            return None
        return self.frame[column].to_numpy()[self.distinct.rows]

    @property
    def exact_duplicates(self) -> int:
        """Rows that repeat another one value for value."""
        return len(self.frame) - len(self.distinct.timestamps)

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """First and last timestamp; None for a document without time."""
        timestamps = self.distinct.timestamps
        if not self.distinct.has_time or not len(timestamps):
            return None
        index = to_index(timestamps[[0, -1]])
        return index[0], index[1]


def feed_files(data_dir: Path, config: DatasetConfig) -> list[Path]:
    """List the files of a feed, sorted by path; the reader and the file watch see the same."""
    return sorted(path for path in data_dir.glob(config.glob) if path.is_file())


def read_feed(data_dir: Path, config: DatasetConfig) -> RawFeed:
    """Read every file of one feed. Nothing is repaired; what cannot be believed is rejected.

    Raises
    ------
    RejectedDataError: DATA-001 no file, 002 empty, 003 missing column, 004 unreadable value,
        005 truncated last line, 006 conflicting duplicates, 007 files that disagree, 008 missing
        or non-positive price, 009 falling index, 011 wrong symbol inside, 015 a line too long, 016
        a value or a feed that cannot be true.
    """
    paths = feed_files(data_dir, config)
    if not paths:
        raise RejectedDataError(
            "DATA-001",
            f"{config.name} has no file",
            where=f"{config.glob} below the data directory {data_dir}",
            available=_neighbours(data_dir, config.glob),
            action=f"deliver {config.name}, or leave out the modes that need it",
            context={
                "required": config.name,
                "expected": config.glob,
                "searched": str(data_dir),
            },
        )
    parts = [_read_file(path, path.relative_to(data_dir).as_posix(), config) for path in paths]
    origin = np.repeat(np.arange(len(parts)), [len(frame) for frame, _ in parts])
    frame = pd.concat([part for part, _ in parts], ignore_index=True)
    frame["file"] = _categories(origin, [file.path for _, file in parts])
    feed = RawFeed(config, frame, tuple(file for _, file in parts))
    require_agreement(frame, config)
    require_growth(feed.distinct, config, feed.paths)
    require_plausible(feed.distinct, config, feed.paths)
    return feed


def read_feeds(
    data_dir: Path, configs: Iterable[DatasetConfig], workers: int = 2
) -> dict[str, RawFeed | DataError]:
    """Read many feeds at once; one that is rejected is its error, and stops no other."""

    def attempt(config: DatasetConfig) -> RawFeed | DataError:
        try:
            return read_feed(data_dir, config)
        except DataError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever is in one feed stops that feed alone
            return unexpected("DATA-004", f"{config.name} cannot be read", error, config.glob)

    wanted = list(configs)
    with ThreadPoolExecutor(workers) as pool:
        return {c.name: feed for c, feed in zip(wanted, pool.map(attempt, wanted), strict=True)}


def _neighbours(data_dir: Path, glob: str) -> str:
    """What lies where the feed was looked for."""
    if not data_dir.is_dir():
        return f"the directory {data_dir} does not exist"
    folder = (data_dir / glob).parent
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") or "nothing there"


def _read_file(path: Path, name: str, config: DatasetConfig) -> tuple[pd.DataFrame, RawFile]:
    shown = name.encode(errors="backslashreplace").decode()
    if shown != name:
        what = f"the name of the file {shown} is not UTF-8"
        raise RejectedDataError("DATA-004", what, where=shown)
    try:
        with path.open("rb") as file:
            data = _read_document(file, name) if config.is_document else _read_lines(file, name)
    except OSError as error:
        raise RejectedDataError(
            "DATA-004", f"{name} cannot be read: {error.strerror}", where=name
        ) from None
    if config.is_document:
        frame = parse_json(data, name, config)
        require_limits(frame, config, name, None)
    else:
        frame = _parse_table(data, name, config)
    return frame, RawFile(name, sha256(data), len(data), len(frame))


def _read_lines(file: BinaryIO, name: str) -> bytes:
    """Read in pieces, and stop where one has no line end: a broken file must not fill memory."""
    pieces, lines = [], 0
    while piece := file.read(LONGEST_LINE):
        ends = piece.count(b"\n")
        if not ends and len(piece) == LONGEST_LINE:
            what = f"{name}: line {lines + 1} is longer than {LONGEST_LINE // 1024} kB"
            raise RejectedDataError("DATA-015", what, where=name)
        lines += ends
        pieces.append(piece)
    return b"".join(pieces)


def _read_document(file: BinaryIO, name: str) -> bytes:
    data = file.read(LARGEST_DOCUMENT + 1)
    if len(data) > LARGEST_DOCUMENT:
        what = f"{name} is larger than {LARGEST_DOCUMENT // 1024**2} MB"
        raise RejectedDataError("DATA-015", what, where=name)
    return data


def _parse_table(data: bytes, file: str, config: DatasetConfig) -> pd.DataFrame:
    rule = config.timestamp
    assert rule is not None  # the model asks for one in every CSV feed
    kinds: dict[str, pa.DataType] = {rule.column: pa.string()}
    for raw, column in config.columns.items():
        kinds[raw] = pa.string() if column.values == "date" else pa.float64()
    kinds |= dict.fromkeys(config.identity, pa.dictionary(pa.int32(), pa.string()))
    optional = {config.interval_column: pa.float64()} if config.interval_column else {}
    table, first_line = parse_csv(data, file, kinds, optional)
    kinds |= {name: kind for name, kind in optional.items() if name in table.column_names}
    for name, expected in config.identity.items():
        _require_identity(table[name], name, expected, file, first_line)
    values: dict[str, object] = {}
    for raw, kind in kinds.items():
        if kind == pa.string():
            values[raw] = to_index(_timestamps(table[raw], raw, rule, file, first_line))
        elif kind == pa.float64():
            values[raw] = _floats(table[raw])
        else:
            values[raw] = _categories(np.zeros(len(table), dtype=np.int64), [config.identity[raw]])
    frame = pd.DataFrame(values)
    require_values(frame, config, file, first_line)
    require_limits(frame, config, file, first_line)
    return frame


def _categories(codes: Int64, names: list[str]) -> "pd.Categorical[str]":
    return pd.Categorical.from_codes(codes, categories=pd.Index(names))


def _floats(column: "pa.ChunkedArray") -> npt.NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _timestamps(
    texts: "pa.ChunkedArray", column: str, rule: TimestampRule, file: str, first_line: int
) -> Int64:
    timestamps = parse_timestamps(texts)
    wrong = timestamps == UNREADABLE
    if rule.format == "date" and column == rule.column:
        wrong |= timestamps % DAY_NS != 0
    if wrong.any():
        at = int(np.argmax(wrong))
        value = shown(texts[at].as_py() or "")
        what = f"{file} is unreadable: line {first_line + at}, {column} is {value}"
        raise RejectedDataError("DATA-004", what, where=file)
    return timestamps


def _require_identity(
    column: "pa.ChunkedArray", name: str, expected: str, file: str, first_line: int
) -> None:
    values = pc.unique(column.cast(pa.string())).to_pylist()
    if values == [expected]:
        return
    others = [shown(value) for value in values if value != expected]
    rows = column.to_pylist()
    at = next(i for i, value in enumerate(rows) if value != expected)
    raise RejectedDataError(
        "DATA-011",
        f"{file} holds {name} {', '.join(others[:3])} from line {first_line + at} on "
        f"in {sum(value != expected for value in rows)} rows, where {expected!r} belongs",
        where=file,
    )
