"""The files of the log: `events-<day>-<pid>.jsonl`, one a process and day (UTC).

They are compressed when their day is over, and removed after a month.
"""

import gzip
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from basis_pipeline.errors import EventError
from basis_pipeline.settings import Settings

# Below the results directory.
DIRECTORY = "events"
KEPT_DAYS = 30
# A process that was asleep over midnight may still hold a line of yesterday.
QUIET_SECONDS = 600.0
_NAME = re.compile(r"events-(\d{4}-\d\d-\d\d)-(\d+)\.jsonl(\.gz)?")


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """A file of the log."""

    day: date
    pid: int
    path: Path

    @property
    def is_compressed(self) -> bool:
        """Whether it is gzip."""
        return self.path.suffix == ".gz"


def log_directory(settings: Settings) -> Path:
    """Return the directory of the log: `events/` below the results directory."""
    return settings.results_dir / DIRECTORY


def log_path(directory: Path, day: str, pid: int) -> Path:
    """Return the file that a process writes on a day (ISO date)."""
    return directory / f"events-{day}-{pid}.jsonl"


def log_files(directory: Path) -> list[LogFile]:
    """List the files by day and process; of a file and its compressed copy, the file."""
    files: dict[str, LogFile] = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            day, pid, compressed = match.groups()
            plain = path.name.removesuffix(".gz")
            # Both exist for a moment between making the one and removing the other.
            if not compressed or plain not in files:
                files[plain] = LogFile(date.fromisoformat(day), int(pid), path)
    return sorted(files.values())


def retire_old_files(directory: Path, keep_days: int = KEPT_DAYS) -> None:
    """Compress the files of former days and remove those older than `keep_days`.

    Any number of processes may do so at once.

    Raises
    ------
    EventError: EVENT-007 when a file cannot be compressed or removed; the others are done.
    """
    today = datetime.now(UTC).date()
    problems = []
    for file in log_files(directory):
        try:
            if file.day < today - timedelta(days=keep_days):
                file.path.unlink(missing_ok=True)
            elif file.day < today and not file.is_compressed:
                _compress(file.path)
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            problems.append(f"{file.path}: {error.strerror}")
    if problems:
        what = f"{len(problems)} log files cannot be compressed or removed"
        raise EventError("EVENT-007", what, where="; ".join(problems[:3]))


def _compress(path: Path) -> None:
    if time.time() - path.stat().st_mtime < QUIET_SECONDS:
        return
    target = path.with_name(f"{path.name}.gz")
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(gzip.compress(path.read_bytes()))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
