"""The files of the log: `events-<day>-<pid>.jsonl`, one per process and day (UTC).

They are compressed after their day, and removed after a month.
"""

import gzip
import re
import secrets
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from basis_pipeline.errors import EventError
from basis_pipeline.settings import Settings

# Below the results directory.
DIRECTORY = "events"
KEPT_DAYS = 30
# A process that was suspended over midnight may still write a line of yesterday.
QUIET_SECONDS = 600.0
_NAME = re.compile(r"events-(\d{4}-\d\d-\d\d)-\d+\.jsonl(\.gz)?")


def log_directory(settings: Settings) -> Path:
    """Return the directory of the log: `events/` below the results directory."""
    return settings.results_dir / DIRECTORY


def log_path(directory: Path, day: str, pid: int) -> Path:
    """Return the file that a process writes on a day (ISO date)."""
    return directory / f"events-{day}-{pid}.jsonl"


def log_files(directory: Path) -> list[Path]:
    """List the files by day; where a file and its compressed copy both exist, the file."""
    files: dict[str, Path] = {}
    for path in sorted(directory.glob("events-*")):
        if _NAME.fullmatch(path.name):
            files.setdefault(path.name.removesuffix(".gz"), path)
    return list(files.values())


def day_of(file: Path) -> date:
    """Return the day (UTC) whose events a file of the log holds."""
    return date.fromisoformat(file.name.removeprefix("events-")[:10])


def retire_old_files(directory: Path, keep_days: int = KEPT_DAYS) -> None:
    """Compress the files of past days and remove those older than `keep_days`.

    Any number of processes may do so at once.

    Raises
    ------
    EventError: EVENT-007 when a file cannot be compressed or removed; the others are processed.
    """
    today = datetime.now(UTC).date()
    problems = []
    for file in log_files(directory):
        try:
            if day_of(file) < today - timedelta(days=keep_days):
                file.unlink(missing_ok=True)
            elif day_of(file) < today and file.suffix != ".gz":
                _compress(file)
        except FileNotFoundError:
            continue  # another process was faster
        except OSError as error:
            problems.append(f"{file}: {error.strerror}")
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
