"""Reading the log back: every filter, every kind of damage, compressed or not."""

import gzip
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from basis_pipeline.errors import EventError
from basis_pipeline.operations.audit_log import EventType, read_events
from basis_pipeline.operations.audit_log.files import log_files, log_path, retire_old_files

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
REQUESTED, STARTED, TIMING = EventType.RUN_REQUESTED, EventType.RUN_STARTED, EventType.TIMING
Entry = tuple[float, EventType, str, str]


def write(directory: Path, entries: list[Entry], pid: int, *, packed: bool = False) -> Path:
    """Write events into one file: seconds after noon, type, mode, run."""
    lines = []
    for seq, (seconds, kind, mode, run) in enumerate(entries, start=1):
        head = {"seq": seq, "pid": pid, "type": kind, "category": kind.category}
        head |= {"level": kind.level, "component": "test", "run_id": run, "mode": mode}
        at = (NOON + timedelta(seconds=seconds)).isoformat(timespec="microseconds")
        # Fields that look like the head of another event must never be taken for it.
        fields = {"type": "halted", "mode": "fake", "like": {"mode": "x"}}
        event = {"at": at, **head, "environment": "test", "fields": fields}
        lines.append(json.dumps(event).encode() + b"\n")
    day = (NOON + timedelta(seconds=entries[0][0])).date().isoformat()
    path = log_path(directory, day, pid)
    path = path.with_name(f"{path.name}.gz") if packed else path
    path.write_bytes(gzip.compress(b"".join(lines)) if packed else b"".join(lines))
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three processes of one day and one of the next."""
    write(
        tmp_path, [(0, REQUESTED, "a", "r1"), (10, STARTED, "a", "r1"), (20, TIMING, "a", "r1")], 1
    )
    write(tmp_path, [(5, REQUESTED, "b", "r2"), (15, STARTED, "b", "r2")], 2, packed=True)
    write(tmp_path, [(5, TIMING, "", ""), (6, TIMING, "", "")], 3)
    write(tmp_path, [(86400, REQUESTED, "a", "r3")], 4)
    return tmp_path


def seconds(directory: Path, **asked: object) -> list[float]:
    """The events that match, as seconds after noon."""
    events = read_events(directory, **asked)  # type: ignore[arg-type]
    return [(event.at - NOON).total_seconds() for event in events]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [0, 5, 5, 6, 10, 15, 20, 86400]),
        ({"types": ["run_requested"]}, [0, 5, 86400]),
        ({"categories": ["performance"]}, [5, 6, 20]),
        ({"mode": "a"}, [0, 10, 20, 86400]),
        ({"mode": ""}, [5, 6]),
        ({"types": ["halted"]}, []),
        ({"run_id": "r2"}, [5, 15]),
        ({"mode": "a", "types": ["run_started"], "categories": ["audit"]}, [10]),
        ({"since": "2024-06-01T12:00:05", "until": "2024-06-01T12:00:15"}, [5, 5, 6, 10]),
        ({"until": "2024-06-01T14:00:05+02:00"}, [0]),
        ({"since": NOON + timedelta(seconds=20), "until": "2024-06-02"}, [20]),
        ({"limit": 3}, [15, 20, 86400]),
        ({"limit": 2, "types": ["run_started"]}, [10, 15]),
        ({"since": "1d"}, []),
    ],
)
def test_filters(directory: Path, asked: dict[str, object], expected: list[float]) -> None:
    """Processes are merged in order of time; each filter narrows, alone and together."""
    assert seconds(directory, **asked) == expected


def test_a_kind_of_alert_can_be_asked_for_like_a_type(tmp_path: Path) -> None:
    """`basis events --type run_failed` finds the alerts about failed runs, and only them."""
    path = write(tmp_path, [(0, EventType.ALERT, "", ""), (1, EventType.ALERT, "", "")], 1)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    first["fields"]["kind"], second["fields"]["kind"] = "run_failed", "tick_failed"
    path.write_text("".join(json.dumps(event) + "\n" for event in (first, second)))
    assert seconds(tmp_path, types=["run_failed"]) == [0]
    assert seconds(tmp_path, types=["alert"]) == [0, 1]


def test_what_cannot_be_read_is_reported_and_passed_over(directory: Path) -> None:
    """A foreign line, a torn last line and a damaged archive: each named, the rest is read."""
    plain, packed, *_ = log_files(directory)
    lines = plain.read_bytes().splitlines(keepends=True)
    lines[1:1] = [b"noise\n", lines[0].replace(b'"seq"', b'"sec"')]
    plain.write_bytes(b"".join([*lines, lines[0][:40]]))
    packed.write_bytes(packed.read_bytes()[:-9])
    damages: list[EventError] = []
    assert seconds(directory, damages=damages) == [0, 5, 6, 10, 20, 86400]
    codes = [damage.code for damage in damages]
    assert sorted(codes) == ["EVENT-002", "EVENT-002", "EVENT-003", "EVENT-004"]
    assert any(f"{plain}, line 2" in damage.where for damage in damages)
    with pytest.raises(EventError, match="EVENT-00"):
        seconds(directory)


def test_the_last_events_are_read_without_those_before_them(directory: Path) -> None:
    """A busy day has a thousand files: only the ends of the latest are read."""
    early, late = log_files(directory)[0], log_files(directory)[2]
    for file in log_files(directory):
        os.utime(file, (NOON.timestamp() + 60, NOON.timestamp() + 60))
    os.utime(early, (NOON.timestamp(), NOON.timestamp()))
    early.write_bytes(b"noise\n" + early.read_bytes())
    os.utime(early, (NOON.timestamp(), NOON.timestamp()))
    late.write_bytes(b"noise\n" + late.read_bytes())
    asked = {"until": NOON + timedelta(seconds=9), "types": ["timing"], "damages": []}
    assert seconds(directory, limit=2, **asked) == [5, 6]
    assert asked["damages"] == []
    assert seconds(directory, **asked) == [5, 6]
    assert len(asked["damages"]) == 2


def test_an_unknown_filter_is_rejected_with_what_is_available(directory: Path) -> None:
    """A misspelt type would otherwise find nothing, as if nothing had happened."""
    with pytest.raises(EventError, match="EVENT-005") as unknown:
        read_events(directory, types=["run_failled"])
    assert "run_failed" in unknown.value.available
    for span in ({"since": "soon"}, {"since": "2024-06-02", "until": "2024-06-01"}):
        with pytest.raises(EventError, match="EVENT-006"):
            read_events(directory, **span)  # type: ignore[arg-type]
    with pytest.raises(EventError, match="EVENT-008"):
        read_events(directory / "nowhere")


def test_files_are_compressed_after_their_day_and_removed_after_a_month(directory: Path) -> None:
    """Events read the same before and after; a file of today is not compressed."""
    today = datetime.now(UTC)
    write(directory, [((today - NOON).total_seconds(), STARTED, "", "")], 5)
    before = seconds(directory)
    for file in log_files(directory):
        os.utime(file, (time.time() - 3600,) * 2)
    retire_old_files(directory, keep_days=36500)
    suffixes = [file.suffix for file in log_files(directory)]
    assert suffixes == [".gz"] * 4 + [".jsonl"]
    assert seconds(directory) == before
    retire_old_files(directory)
    assert len(seconds(directory)) == 1
    assert [path.suffix for path in directory.iterdir()] == [".jsonl"]
