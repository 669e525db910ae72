"""Failures of the audit log."""

import gzip
import io
import os
import re
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from basis_pipeline.operations.audit_log import EventType, emit, log_directory, read_events
from basis_pipeline.operations.audit_log.files import retire_old_files
from basis_pipeline.settings import load_settings

FILE = "events-2024-06-01-1.jsonl"
LINE = b'{"at":"2024-06-01T08:00:00.000000+00:00","seq":1'


def in_the_way(place: Path) -> str:
    """A file is where the directory of the log should be; work goes on, stderr names the code."""
    settings = load_settings(results_dir=place)
    log_directory(settings).write_text("in the way")
    said = io.StringIO()
    with redirect_stderr(said):
        emit(settings, EventType.MESSAGE, "test", text="unheard")
    (code,) = re.findall(r"EVENT-\d+", said.getvalue())[:1]
    return str(code)


def read(content: bytes, name: str = FILE) -> Callable[[Path], object]:
    """Read a log that holds one file with that content."""

    def provoke(place: Path) -> object:
        (place / name).write_bytes(content)
        return list(read_events(place))

    return provoke


def not_compressible(place: Path) -> None:
    """A directory is where the compressed copy of a file should be."""
    (place / FILE).write_bytes(LINE)
    os.utime(place / FILE, (time.time() - 3600,) * 2)
    (place / f"{FILE}.gz").mkdir()
    retire_old_files(place, keep_days=36500)


PROVOCATIONS = {
    "EVENT-001": in_the_way,
    "EVENT-002": read(LINE + b"}\n"),
    "EVENT-003": read(LINE),
    "EVENT-004": read(gzip.compress(LINE * 1000)[:-9], f"{FILE}.gz"),
    "EVENT-005": lambda place: read_events(place, types=["nonsense"]),
    "EVENT-006": lambda place: read_events(place, since="soon"),
    "EVENT-007": not_compressible,
    "EVENT-008": lambda place: read_events(place / "nowhere"),
}
