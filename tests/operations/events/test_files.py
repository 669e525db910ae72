"""Rotation, compression and retention."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import (
    Limits,
    OpenFile,
    compress_closed,
    is_open,
    log_files,
    remove_old,
    require_writable,
)

LINE = b'{"at":"2024-06-01T08:00:00.000000Z"}\n'


def write(directory: Path, stamp: str, lines: bytes = LINE, pid: int = 7) -> Path:
    """Write one closed file."""
    file = OpenFile(directory, Limits(), pid)
    file.append(lines, stamp)
    file.close()
    return log_files(directory)[-1].path


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """EVENT-001 before anything is offered, naming the directory."""
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(EventError, match="EVENT-001") as caught:
        require_writable(tmp_path / "file" / "logs")
    assert caught.value.where.endswith("logs")
    require_writable(tmp_path / "new" / "logs")
    assert list((tmp_path / "new" / "logs").iterdir()) == []


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    """Rotation by size."""
    file = OpenFile(tmp_path, Limits(file_bytes=100), 7)
    for _ in range(5):
        file.append(LINE, "2024-06-01T08:00:00.000000Z")
    file.close()
    sizes = [name.path.stat().st_size for name in log_files(tmp_path)]
    assert sizes == [3 * len(LINE), 2 * len(LINE)]


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    """Rotation by day, UTC; the name says from when on."""
    file = OpenFile(tmp_path, Limits(), 7)
    file.append(LINE, "2024-06-01T23:59:59.999999Z")
    file.append(LINE, "2024-06-02T00:00:00.000001Z")
    file.close()
    starts = [name.starts for name in log_files(tmp_path)]
    assert starts == ["2024-06-01T23:59:59", "2024-06-02T00:00:00"]


def test_two_processes_of_one_number_never_share_a_file(tmp_path: Path) -> None:
    """Process numbers come again, in containers all the time."""
    first, second = OpenFile(tmp_path, Limits(), 7), OpenFile(tmp_path, Limits(), 7)
    for file in (first, second):
        file.append(LINE, "2024-06-01T08:00:00.000000Z")
    assert [name.number for name in log_files(tmp_path)] == [1, 2]
    first.close()
    second.close()


def test_a_file_removed_from_under_its_writer_is_begun_anew(tmp_path: Path) -> None:
    """Events do not vanish into a file that no longer has a name, nor with the directory."""
    file = OpenFile(tmp_path / "logs", Limits(), 7)
    file.append(LINE, "2024-06-01T08:00:00.000000Z")
    log_files(tmp_path / "logs")[0].path.unlink()
    (tmp_path / "logs").rmdir()
    file.append(LINE, "2024-06-01T08:00:01.000000Z")
    file.close()
    assert [name.path.read_bytes() for name in log_files(tmp_path / "logs")] == [LINE]


def test_closed_files_are_compressed_and_open_ones_left_alone(tmp_path: Path) -> None:
    """The copy holds the same bytes and keeps the time readers go by."""
    closed = write(tmp_path, "2024-06-01T08:00:00.000000Z")
    os.utime(closed, (1e9, 1e9))
    file = OpenFile(tmp_path, Limits(), 8)
    file.append(LINE, "2024-06-01T09:00:00.000000Z")
    compress_closed(tmp_path)
    packed, written = (name.path for name in log_files(tmp_path))
    assert packed.suffix == ".gz"
    assert gzip.decompress(packed.read_bytes()) == LINE
    assert packed.stat().st_mtime == 1e9
    assert written.suffix == ".jsonl"
    assert is_open(written)
    file.close()
    assert not is_open(written)
    assert not closed.exists()


def test_of_a_file_and_its_copy_only_the_file_counts(tmp_path: Path) -> None:
    """Compression killed before its last step leaves both; nothing is read twice."""
    path = write(tmp_path, "2024-06-01T08:00:00.000000Z")
    Path(f"{path}.gz").write_bytes(gzip.compress(LINE)[:5])
    assert [name.path for name in log_files(tmp_path)] == [path]
    compress_closed(tmp_path)
    assert gzip.decompress(log_files(tmp_path)[0].path.read_bytes()) == LINE


def test_a_file_that_cannot_be_compressed_stays(tmp_path: Path) -> None:
    """EVENT-010 names it, and what it holds is not lost."""
    path = write(tmp_path, "2024-06-01T08:00:00.000000Z")
    Path(f"{path}.gz.part").mkdir()
    with pytest.raises(EventError, match="EVENT-010") as caught:
        compress_closed(tmp_path)
    assert caught.value.where == str(path)
    assert path.read_bytes() == LINE


def test_old_files_are_removed(tmp_path: Path) -> None:
    """Retention by days: whole days beside today."""
    for day in (1, 2, 3, 4):
        write(tmp_path, f"2024-06-0{day}T08:00:00.000000Z")
    removed = remove_old(tmp_path, Limits(keep_days=2), datetime(2024, 6, 4, 1, tzinfo=UTC))
    assert [name[:17] for name in removed] == ["events-2024-06-01"]
    assert [name.day.day for name in log_files(tmp_path)] == [2, 3, 4]


def test_the_oldest_files_go_when_all_are_too_large(tmp_path: Path) -> None:
    """Retention by size; a file being written stays, however old."""
    old = OpenFile(tmp_path, Limits(), 7)
    old.append(LINE, "2024-06-01T07:00:00.000000Z")
    for hour in (8, 9):
        write(tmp_path, f"2024-06-01T0{hour}:00:00.000000Z")
    remove_old(tmp_path, Limits(total_bytes=2 * len(LINE)), datetime(2024, 6, 1, 12, tzinfo=UTC))
    assert [name.time for name in log_files(tmp_path)] == ["070000", "090000"]
    old.close()


@pytest.mark.parametrize("limit", ["file_bytes", "keep_days", "total_bytes"])
def test_a_limit_of_nothing_is_refused(limit: str) -> None:
    """EVENT-013: keeping zero days would remove the log while it is written."""
    with pytest.raises(EventError, match=f"EVENT-013: {limit} is 0"):
        Limits(**{limit: 0})


def test_a_file_that_is_made_and_not_yet_written_is_left(tmp_path: Path) -> None:
    """Between making its file and locking it a writer may be overtaken by another's upkeep."""
    made = tmp_path / "events-2024-06-01T235958-7-0001.jsonl"
    made.touch()
    compress_closed(tmp_path)
    assert [name.path for name in log_files(tmp_path)] == [made]
