"""The decompressed bytes of one raw file, of bounded size, and the detection of its format."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from basis_pipeline.files import sha256
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.verdict import count_of

# A line is rejected at twice this length at the latest: the csv module reads 131,072 characters.
LONGEST_LINE = 64 * 1024
LARGEST_DOCUMENT = 64 * 1024 * 1024
LARGEST_FILE = 2 * 1024**3
LARGEST_JSON = 256 * 1024**2
ZIP, GZIP, PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"PAR1"


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of a file.

    data: decompressed. sha256, size: of the stored file.
    names: of the file, and of the file inside it when it is a zip archive.
    """

    data: bytes
    sha256: str
    size: int
    names: tuple[str, ...]


def read_content(path: Path, name: str, *, lines: bool | None, largest: int) -> FileContent:
    """Read a file; decompress a zip archive or gzip file.

    Parameters
    ----------
    name: of the file in messages. lines: whether the content consists of lines, each of bounded
        length; None: unless it begins like JSON or Parquet.
    largest: maximum size of the decompressed content [bytes].

    Raises
    ------
    RejectedDataError: DATA-004 it cannot be read or decompressed, DATA-005 it ends early, DATA-015
        a line or the file is too long.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic != ZIP and magic[:2] != GZIP:
                data = _read(file, name, lines=lines, largest=largest)
                return FileContent(data, sha256(data), len(data), (path.name,))
            stored = file.read(LARGEST_FILE)
        with _decompressed(stored, name, is_zip=magic == ZIP) as (inner, names):
            data = _read(inner, name, lines=lines, largest=largest)
    except EOFError:
        raise RejectedDataError(
            "DATA-005", f"{name} is truncated: its gzip stream ends early", where=name
        ) from None
    except (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, NotImplementedError) as error:
        what = f"{name} is an archive that cannot be read: {error}"
        raise RejectedDataError("DATA-004", what, where=name) from None
    except OSError as error:
        what = f"{name} cannot be read: {error.strerror or error}"
        action = "let this user read the file, or deliver it again"
        raise RejectedDataError("DATA-004", what, where=name, action=action) from None
    return FileContent(data, sha256(stored), len(stored), (path.name, *names))


@contextmanager
def _decompressed(
    stored: bytes, name: str, *, is_zip: bool
) -> Iterator[tuple[IO[bytes], tuple[str, ...]]]:
    """Open the file inside an archive; yield it with its name there."""
    if not is_zip:
        with gzip.GzipFile(fileobj=io.BytesIO(stored)) as stream:
            yield stream, ()  # type: ignore[misc]  # a GzipFile reads like any binary file
        return
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        if any(member.filename.startswith("xl/") for member in members):
            what = f"{name} is an Excel workbook: save its sheet as CSV"
            raise RejectedDataError("DATA-004", what, where=name)
        if len(members) != 1 or members[0].flag_bits & 1:
            what = f"{name} is a zip archive of {count_of(len(members), 'file')}"
            reason = "it is encrypted" if len(members) == 1 else "unpack it, one file a feed"
            raise RejectedDataError(
                "DATA-004",
                f"{what}: {reason}",
                where=name,
                available=", ".join(member.filename for member in members[:8]),
            )
        with archive.open(members[0]) as stream:
            yield stream, (PurePosixPath(members[0].filename).name,)


def _read(file: IO[bytes], name: str, *, lines: bool | None, largest: int) -> bytes:
    """Read in pieces and stop at one without a line end, so that no file fills the memory."""
    pieces, line_ends, size = [], 0, 0
    while piece := file.read(16 * LONGEST_LINE if lines is False else LONGEST_LINE):
        if lines is None:
            lines = not piece.lstrip().startswith((b"{", b"[", PARQUET))
        size += len(piece)
        count = piece.count(b"\n") if lines else 1
        if not count and len(piece) == LONGEST_LINE:
            what = f"{name}: line {line_ends + 1} is longer than {LONGEST_LINE // 1024} kB"
            raise RejectedDataError("DATA-015", what, where=name)
        if size > largest:
            what = f"{name} is larger than {largest // 1024**2} MB"
            raise RejectedDataError("DATA-015", what, where=name)
        line_ends += count
        pieces.append(piece)
    return b"".join(pieces)


def require_symbol(names: tuple[str, ...], pattern: str | None, file: str) -> None:
    """Reject a file whose name does not match the `file_name` pattern: DATA-011."""
    for name in names:
        if pattern is not None and not re.match(pattern, name):
            raise RejectedDataError(
                "DATA-011",
                f"{file} is another symbol: {name} does not begin with `file_name`, {pattern}",
                where=file,
            )


def format_mismatch(data: bytes, wanted: str) -> str:
    """Return what the content is if it is not of the wanted format; empty if not detectable."""
    start = data[:512].lstrip().lower()
    if data.startswith(PARQUET) and wanted != "parquet":
        return "it is a Parquet file: set `format: {type: parquet}`"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<error")):
        return "it is a web page or an error message, not data: the download failed"
    if wanted in ("csv", "parquet") and start.startswith((b"{", b"[")):
        first = data.lstrip().partition(b"\n")[0].rstrip()
        kind = "jsonl" if first.endswith(b"}") and first.startswith(b"{") else "json"
        return f"it is JSON: set `format: {{type: {kind}}}`"
    if wanted == "parquet":
        return "it is not a Parquet file: set `format: {type: csv}`, or omit `type`"
    if wanted in ("json", "jsonl") and not start.startswith((b"{", b"[")):
        return "it is not JSON: omit `type` in `format` for CSV"
    return ""
