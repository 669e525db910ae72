"""Reading the log back."""

import gzip
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits, OpenFile, log_files
from basis_pipeline.operations.events.lines import STAMP, render, stamp
from basis_pipeline.operations.events.model import CATEGORIES, EventType
from basis_pipeline.operations.events.query import moment, query

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
REQUESTED, STARTED, LEDGER = EventType.RUN_REQUESTED, EventType.RUN_STARTED, EventType.LEDGER_ENTRY
Entry = tuple[float, EventType, str, str]


def write(directory: Path, entries: list[Entry], pid: int = 1, *, packed: bool = False) -> Path:
    """Write events into one file: seconds after noon, type, mode, run."""
    file = OpenFile(directory, Limits(), pid)
    lines = []
    for seq, (seconds, kind, mode, run) in enumerate(entries, start=1):
        at = NOON.timestamp() + seconds
        context = {"mode": mode, "run_id": run}
        # A field that looks like the head of another event must never be taken for it.
        fields = {"number": seq, "type": "halted", "mode": '"mode":"fake"', "like": {"mode": "x"}}
        lines.append(render((at, context, "test", kind, {"of": fields}), seq, pid, at))
    file.append(b"".join(lines), stamp(NOON.timestamp() + entries[0][0]))
    file.close()
    (path,) = directory.glob(f"events-*-{pid}-*.jsonl")
    if packed:
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        path = Path(f"{path}.gz")
    os.utime(path, (NOON.timestamp() + entries[-1][0],) * 2)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three processes of one day and one of the next."""
    write(tmp_path, [(0, REQUESTED, "a", "r1"), (10, STARTED, "a", "r1"), (20, LEDGER, "a", "r1")])
    write(tmp_path, [(5, REQUESTED, "b", "r2"), (15, STARTED, "b", "r2")], 2, packed=True)
    write(tmp_path, [(5, LEDGER, "", ""), (6, LEDGER, "", "")], 3)
    write(tmp_path, [(86400, REQUESTED, "a", "r3")], 4)
    return tmp_path


def seconds(directory: Path, **asked: object) -> list[float]:
    """What a query finds, as seconds after noon."""
    return [(e.at - NOON).total_seconds() for e in query(directory, **asked)]  # type: ignore[arg-type]


def test_processes_are_merged_in_order_of_time(directory: Path) -> None:
    """One stream of all files, compressed or not."""
    assert seconds(directory) == [0, 5, 5, 6, 10, 15, 20, 86400]


def test_each_question_narrows(directory: Path) -> None:
    """By type, category, mode and run, alone and together."""
    assert seconds(directory, types=["run_requested"]) == [0, 5, 86400]
    assert seconds(directory, types=["run_requested", "run_started"]) == [0, 5, 10, 15, 86400]
    assert seconds(directory, categories=["business"]) == [5, 6, 20]
    assert seconds(directory, mode="a") == [0, 10, 20, 86400]
    assert seconds(directory, run_id="r2") == [5, 15]
    assert seconds(directory, mode="a", types=["run_started"], categories=["audit"]) == [10]
    assert seconds(directory, mode="") == [5, 6]
    assert seconds(directory, mode="fake") == seconds(directory, mode="x") == []
    assert seconds(directory, types=["halted"]) == []


def test_since_is_included_and_until_is_not(directory: Path) -> None:
    """Spans that follow one another neither overlap nor leave anything out."""
    assert seconds(directory, since="2024-06-01T12:00:05", until="2024-06-01T12:00:15") == [
        5,
        5,
        6,
        10,
    ]
    assert seconds(directory, since="2024-06-02") == [86400]
    assert seconds(directory, until="2024-06-01T14:00:05+02:00") == [0]
    assert seconds(directory, since=NOON + timedelta(seconds=20), until="2024-06-02") == [20]


def test_the_last_events(directory: Path) -> None:
    """`limit` keeps the end of the answer, in order, over days."""
    assert seconds(directory, limit=1) == [86400]
    assert seconds(directory, limit=3) == [15, 20, 86400]
    assert seconds(directory, limit=2, types=["run_started"]) == [10, 15]
    assert seconds(directory, limit=100) == seconds(directory)


def test_files_that_cannot_hold_an_answer_are_not_opened(directory: Path) -> None:
    """Chosen by name and by their last writing: damage elsewhere is not even seen."""
    for name in log_files(directory):
        if name.pid in {1, 2, 3}:
            held = name.path.stat().st_mtime
            name.path.write_bytes(b"damaged")
            os.utime(name.path, (held, held))
    assert seconds(directory, since="2024-06-02") == [86400]
    assert seconds(directory, since="2024-06-01T13:00") == [86400]
    with pytest.raises(EventError, match="EVENT-00"):
        seconds(directory, since="2024-06-01T12:00:01")
    assert seconds(directory, limit=1) == [86400]
    log_files(directory)[-1].path.write_bytes(b"damaged")
    assert seconds(directory, until="2024-06-01T11:59:59", since="2024-06-01T11:00") == []


def test_a_line_that_is_no_event_is_reported_and_passed_over(directory: Path) -> None:
    """EVENT-004 with file and line, whether it looks like nothing or almost like an event."""
    path = log_files(directory)[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1:1] = [b"noise\n", lines[0][:60] + b"}\n", lines[0].replace(b'"seq"', b'"sec"')]
    path.write_bytes(b"".join(lines))
    damages: list[EventError] = []
    assert seconds(directory, damages=damages) == [0, 5, 5, 6, 10, 15, 20, 86400]
    assert {damage.code for damage in damages} == {"EVENT-004"}
    assert sorted(damage.where for damage in damages) == [f"{path}, line {n}" for n in (2, 3, 4)]
    with pytest.raises(EventError, match="EVENT-004"):
        seconds(directory)


def test_a_last_line_cut_short_is_reported_and_passed_over(directory: Path) -> None:
    """EVENT-005: a writer was killed, or its disk failed."""
    path = log_files(directory)[0].path
    path.write_bytes(path.read_bytes()[:-30])
    damages: list[EventError] = []
    assert seconds(directory, damages=damages) == [0, 5, 5, 6, 10, 15, 86400]
    assert [(d.code, d.where) for d in damages] == [("EVENT-005", f"{path}, line 3")]
    with pytest.raises(EventError, match="EVENT-005"):
        seconds(directory)


def test_half_a_line_of_a_file_being_written_is_no_damage(tmp_path: Path) -> None:
    """A reader may come between two halves of a write."""
    path = write(tmp_path, [(0, REQUESTED, "a", "r1")])
    file = OpenFile(tmp_path, Limits(), 9)
    file.append(path.read_bytes() + b'{"at":"2024-06-01T12', stamp(NOON.timestamp()))
    assert seconds(tmp_path) == [0, 0]
    file.close()
    with pytest.raises(EventError, match="EVENT-005"):
        seconds(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "changed", "replaced"])
def test_a_damaged_compressed_file_is_reported(directory: Path, damage: str) -> None:
    """EVENT-006; what can be read of it is, and the other files are."""
    path = next(name.path for name in log_files(directory) if name.path.suffix == ".gz")
    whole = path.read_bytes()
    middle = len(whole) // 2
    changed = whole[:middle] + bytes(255 - byte for byte in whole[middle:])
    path.write_bytes({"cut": whole[:-12], "changed": changed, "replaced": b"noise"}[damage])
    damages: list[EventError] = []
    assert {0, 6, 10, 20, 86400} <= set(seconds(directory, damages=damages))
    assert "EVENT-006" in {error.code for error in damages}
    assert damages[-1].where.startswith(str(path))
    with pytest.raises(EventError, match="EVENT-00"):
        seconds(directory)


def test_a_file_compressed_or_removed_while_reading_is_followed(directory: Path) -> None:
    """The listing is older than the reading; the copy takes the file's place."""
    found = query(directory)
    for name in log_files(directory):
        if name.pid == 1:
            Path(f"{name.path}.gz").write_bytes(gzip.compress(name.path.read_bytes()))
            name.path.unlink()
        if name.pid == 4:
            name.path.unlink()
    assert [(event.at - NOON).total_seconds() for event in found] == [0, 5, 5, 6, 10, 15, 20]


def test_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    """Files are opened when the stream reaches them and closed at their end."""
    line = write(tmp_path, [(0, REQUESTED, "a", "r1")]).read_bytes()
    for pid in range(2, 1500):
        start = NOON + timedelta(seconds=pid)
        at = stamp(start.timestamp()).encode()
        path = tmp_path / f"events-{start:%Y-%m-%dT%H%M%S}-{pid}-0001.jsonl"
        path.write_bytes(line.replace(line[STAMP], at))
    opened = set()
    for event in query(tmp_path, limit=None):
        opened.add(len(list(Path("/proc/self/fd").iterdir())))
        assert event.mode == "a"
    assert max(opened) < 200 + threading.active_count()


def test_unknown_types_and_categories_are_refused(tmp_path: Path) -> None:
    """EVENT-007 lists what there is: an empty answer would look like good news."""
    with pytest.raises(EventError, match=r"EVENT-007.*run_strated.*available: .*run_started"):
        query(tmp_path, types=["run_started", "run_strated"])
    with pytest.raises(EventError, match=r"EVENT-007.*adit.*available: .*audit"):
        query(tmp_path, categories=["adit"])


@pytest.mark.parametrize("text", ["yesterday", "", "2h ago", "2024-13-01", "9" * 30 + "d", "-2h"])
def test_unreadable_times_are_refused(tmp_path: Path, text: str) -> None:
    """EVENT-008 lists the forms."""
    with pytest.raises(EventError, match=r"EVENT-008.*neither a time nor a span.*2h"):
        query(tmp_path, since=text)


def test_an_empty_span_is_refused(tmp_path: Path) -> None:
    """EVENT-008: since and until were swapped, most likely."""
    with pytest.raises(EventError, match="EVENT-008: nothing lies between"):
        query(tmp_path, since="1h", until="2h")


def test_no_directory_is_no_empty_log(tmp_path: Path) -> None:
    """EVENT-012, at once and not when the first event is asked for."""
    with pytest.raises(EventError, match="EVENT-012"):
        query(tmp_path / "nowhere")
    assert list(query(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOON - timedelta(seconds=90)),
        ("30m", NOON - timedelta(minutes=30)),
        (" 2h ", NOON - timedelta(hours=2)),
        ("3d", NOON - timedelta(days=3)),
        ("1w", NOON - timedelta(weeks=1)),
        ("2024-06-01", NOON - timedelta(hours=12)),
        ("2024-06-01T12:00Z", NOON),
        ("2024-06-01T14:00+02:00", NOON),
    ],
)
def test_times_and_spans(text: str, expected: datetime) -> None:
    """UTC unless an offset says otherwise."""
    assert moment(text, NOON) == expected


def test_every_type_has_a_category() -> None:
    """No event is without an owner."""
    assert set(CATEGORIES) == set(EventType)
