"""What the scribe does with the messages it is given."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from basis_pipeline.operations.events.files import Limits, log_files
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.packing import packed, packed_table
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.scribe import Scribe, serve
from basis_pipeline.operations.events.wire import message

MIDNIGHT = 1717286400.0  # 2024-06-02


def line(when: float, **fields: Any) -> bytes:
    """An event of that moment, on the wire."""
    return json.dumps([when, {}, "test", EventType.TIMING, fields]).encode() + b"\n"


def served(directory: Path, messages: bytes, limits: Limits | None = None) -> list[dict[str, Any]]:
    """Give a scribe these messages; its answers."""
    kept = limits or Limits(keep_days=100_000)
    sink = io.BytesIO()
    serve(io.BytesIO(messages), sink, Scribe(directory, kept, 7, 0))
    return [json.loads(answer) for answer in sink.getvalue().splitlines()]


def test_each_message_is_answered(tmp_path: Path) -> None:
    """With the number of the last event written, waiting for the disk included."""
    rows = packed_table({"run_id": "r"}, "engine", EventType.TIMING, {"n": [1, 2, 3]})
    first = message(line(MIDNIGHT) + line(MIDNIGHT))
    answers = served(tmp_path, first + message(rows) + message(b""))
    assert [answer["seq"] for answer in answers] == [2, 5, 5]
    assert [event.seq for event in query(tmp_path)] == [1, 2, 3, 4, 5]
    assert log_files(tmp_path)[0].path.suffix == ".gz"


def test_a_message_over_midnight_goes_into_two_files(tmp_path: Path) -> None:
    """A file holds one day; the numbers run on."""
    served(tmp_path, message(b"".join(line(MIDNIGHT + n) for n in (-2, -1, 0, 1))))
    assert [name.starts for name in log_files(tmp_path)] == [
        "2024-06-01T23:59:58",
        "2024-06-02T00:00:00",
    ]
    assert [event.seq for event in query(tmp_path, since="2024-06-02")] == [3, 4]


def test_a_clock_set_back_does_not_change_the_order(tmp_path: Path) -> None:
    """Stamps wait for the clock; the order in which things were said stands."""
    served(
        tmp_path, message(line(MIDNIGHT, n=1) + line(MIDNIGHT - 3600, n=2) + line(MIDNIGHT, n=3))
    )
    events = list(query(tmp_path))
    assert [event.fields["n"] for event in events] == [1, 2, 3]
    assert {event.at.timestamp() for event in events} == {MIDNIGHT}


def test_a_message_cut_short_gives_its_whole_events(tmp_path: Path) -> None:
    """The sender was killed in the middle of one."""
    served(tmp_path, message(line(MIDNIGHT, n=1) + line(MIDNIGHT, n=2))[:-4])
    assert [event.fields["n"] for event in query(tmp_path)] == [1]
    assert served(tmp_path, b"12") == []


def test_a_refusal_is_told_each_time_and_logged_once(tmp_path: Path) -> None:
    """What was refused is written with the next message the disk takes."""
    logs = tmp_path / "logs"
    logs.mkdir()
    scribe = Scribe(logs, Limits(keep_days=100_000), 7, 0)
    scribe._upkeep.finish()
    logs.rmdir()
    logs.write_text("in the way")
    first, second = scribe.answer(line(MIDNIGHT, n=1)), scribe.answer(line(MIDNIGHT, n=2))
    assert first["refused"]["code"] == second["refused"]["code"] == "EVENT-002"
    assert (first["seq"], first["own"], second["own"]) == (0, 1, 0)
    logs.unlink()
    assert scribe.answer(line(MIDNIGHT, n=3))["seq"] == 4
    scribe.close()
    assert [event.fields.get("n", event.type) for event in query(logs)] == [1, "error", 2, 3]


def test_a_table_may_have_a_column_of_secrets(tmp_path: Path) -> None:
    """Columns are masked by their names as fields are."""
    rows = packed_table({}, "t", EventType.TIMING, {"password": ["Wh1teRabbit"], "token": ["USDT"]})
    served(tmp_path, message(rows))
    assert [event.fields for event in query(tmp_path)] == [{"password": "***", "token": "USDT"}]


def test_events_of_the_past_are_removed_on_record(tmp_path: Path) -> None:
    """Retention says what it took."""
    served(tmp_path, message(line(MIDNIGHT)))
    answers = served(tmp_path, message(packed({}, "t", EventType.TIMING, {})), Limits(keep_days=1))
    assert answers
    (told,) = query(tmp_path, types=[EventType.LOG_FILES_REMOVED])
    assert told.fields["files"][0].startswith("events-2024-06-02T000000")


def test_the_scribe_starts_without_the_rest_of_the_pipeline() -> None:
    """It is started by every process that logs: no pandas, numpy, structlog or Dagster."""
    heavy = "{'pandas', 'numpy', 'structlog', 'dagster', 'pydantic', 'numba'}"
    program = (
        "import sys; import basis_pipeline.operations.events.scribe;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
