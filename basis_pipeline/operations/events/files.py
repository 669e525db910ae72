"""The files of the log: one open file a process, rotated, compressed and in the end removed.

`events-<day>T<time>-<pid>-<n>.jsonl`: the stamp of its first event (UTC), so that a reader knows
from the name which files can hold what it looks for; all events of a file are of that day. A file
is locked while it is written, so nobody compresses or removes it; the lock dies with its owner.
"""

import fcntl
import gzip
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from basis_pipeline.errors import EventError

_NAME = re.compile(r"events-(\d{4}-\d\d-\d\d)T(\d{6})-(\d+)-(\d+)\.jsonl(\.gz)?")
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the log may grow to; all above zero, EVENT-013 otherwise.

    file_bytes: a file ends with the batch that fills it · keep_days: whole days kept beside today
    · total_bytes: of all files; the oldest go first, those being written never.
    """

    file_bytes: int = 64 * 2**20
    keep_days: int = 90
    total_bytes: int = 4 * 2**30

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not (value := getattr(self, name)) > 0:
                raise EventError("EVENT-013", f"{name} is {value}", where="limits of the event log")


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """A log file as its name tells it."""

    day: date
    time: str  # HHMMSS of its first event
    pid: int
    number: int
    path: Path

    @property
    def starts(self) -> str:
        """Stamp no event of the file is earlier than, as text that sorts with the lines'."""
        clock = self.time
        return f"{self.day}T{clock[:2]}:{clock[2:4]}:{clock[4:]}"


def log_files(directory: Path) -> list[LogName]:
    """The log files of a directory, in order of their start; of a file and its copy, the file."""
    found: dict[str, LogName] = {}
    for path in directory.iterdir():
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            day, time, pid, number, compressed = match.groups()
            plain = path.name.removesuffix(".gz")
            # Both lie there only if somebody was killed between making one and removing the other.
            if not compressed or plain not in found:
                found[plain] = LogName(date.fromisoformat(day), time, int(pid), int(number), path)
    return sorted(found.values())


def require_writable(directory: Path) -> None:
    """Make the log directory where it is missing, and write a few bytes into it.

    Raises
    ------
    EventError: EVENT-001 when that fails.
    """
    probe = directory / f".probe-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"can this be written?")
    except OSError as error:
        what = f"the event log cannot be written: {error.strerror}"
        raise EventError("EVENT-001", what, where=str(directory)) from error
    finally:
        with suppress(OSError):
            probe.unlink()


class OpenFile:
    """The file a process writes; the next one follows when it is full or its day is over.

    Raises EventError EVENT-002, from every method, when the disk refuses; what the refused call was
    to write is then nowhere in the file, and the call may be repeated.
    """

    def __init__(self, directory: Path, limits: Limits, pid: int) -> None:
        self._directory, self._limits, self._pid = directory, limits, pid
        self._fd = -1
        self._number = self._size = 0
        self._day = ""
        self._path = directory
        self.ended = 0  # files so far

    def append(self, lines: bytes, stamp: str) -> None:
        """Write whole lines, all of one day; `stamp` is that of the first."""
        with self._refusal():
            if self._fd >= 0 and (stamp[:10] != self._day or self._full() or self._gone()):
                self._end()
            if self._fd < 0:
                self._begin(stamp)
            try:
                view = memoryview(lines)
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                os.ftruncate(self._fd, self._size)
                raise
            self._size += len(lines)

    def sync(self) -> None:
        """Return when what was written has reached the disk."""
        with self._refusal():
            if self._fd >= 0:
                os.fsync(self._fd)

    def close(self) -> None:
        """End the file."""
        with self._refusal():
            if self._fd >= 0:
                self._end()

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"events cannot be written: {error.strerror}"
            raise EventError("EVENT-002", what, where=str(self._path)) from error

    def _full(self) -> bool:
        return self._size >= self._limits.file_bytes

    def _gone(self) -> bool:
        return os.fstat(self._fd).st_nlink == 0

    def _begin(self, stamp: str) -> None:
        clock = stamp[:19].replace(":", "")
        while True:
            self._number += 1
            name = f"events-{clock}-{self._pid}-{self._number:04d}.jsonl"
            self._path = self._directory / name
            self._directory.mkdir(parents=True, exist_ok=True)
            if self._path.with_name(f"{name}.gz").exists():
                continue  # closed a moment ago, and compressed since
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                fd = os.open(self._path, flags, 0o644)
            except FileExistsError:
                continue
            fcntl.flock(fd, fcntl.LOCK_EX)
            # Between creation and lock another process may have taken it for a closed file.
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)
        self._fd, self._size, self._day = fd, 0, stamp[:10]

    def _end(self) -> None:
        fd, self._fd = self._fd, -1
        self.ended += 1
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def _closed(path: Path) -> Iterator[bool]:
    """Hold the file's lock; False when it is being written, or no longer there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(fd).st_nlink > 0
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


def is_open(path: Path) -> bool:
    """Whether a process is writing the file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def compress_closed(directory: Path) -> None:
    """Compress every file that nobody writes any more.

    Raises
    ------
    EventError: EVENT-010 when one cannot be; it then stays as it is.
    """
    for name in log_files(directory):
        if name.path.suffix == ".jsonl":
            with _upkeep("compressed", name.path), _closed(name.path) as ours:
                if ours and _size(name.path):  # an empty one may be about to be written
                    _compress(name.path)


def _compress(path: Path) -> None:
    part, target = Path(f"{path}.gz{_PART}"), Path(f"{path}.gz")
    try:
        with path.open("rb") as source, part.open("wb") as sink:
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=sink, mtime=0) as packed:
                shutil.copyfileobj(source, packed, 2**20)
            sink.flush()
            os.fsync(sink.fileno())
        # Readers pass over files last written before the time they ask for.
        kept = path.stat()
        os.utime(part, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        part.replace(target)
    except OSError:
        if part.is_file():
            part.unlink()
        raise
    path.unlink()


def remove_old(directory: Path, limits: Limits, now: datetime | None = None) -> list[str]:
    """Remove files older than `keep_days`, then the oldest until the rest fits; return their names.

    Raises
    ------
    EventError: EVENT-010 when one cannot be removed.
    """
    today = (now or datetime.now(UTC)).date()
    first_day = today - timedelta(days=limits.keep_days)
    names = log_files(directory)
    sizes = {name: _size(name.path) for name in names}
    total = sum(sizes.values())
    removed = []
    for name in names:
        if name.day >= first_day and total <= limits.total_bytes:
            break
        with _upkeep("removed", name.path), _closed(name.path) as ours:
            if ours:
                name.path.unlink()
                total -= sizes[name]
                removed.append(name.path.name)
    return removed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _upkeep(done: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"a closed log file cannot be {done}: {error.strerror}"
        raise EventError("EVENT-010", what, where=str(path)) from error
