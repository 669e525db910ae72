"""What the rest of the pipeline says, and how it arrives."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.errors import DataError, EventError
from basis_pipeline.operations.events.log import (
    close_log,
    correlated,
    emit,
    emit_table,
    error_event,
    get_logger,
    open_log,
)
from basis_pipeline.operations.events.model import Category, Event, EventType, Level
from basis_pipeline.operations.events.query import query


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """The process's log, open for one test."""
    open_log(tmp_path)
    yield tmp_path
    close_log()


def written(directory: Path) -> list[Event]:
    """Close the log and read it."""
    close_log()
    return list(query(directory))


def test_events_carry_the_run_they_belong_to(directory: Path) -> None:
    """The correlation id follows the context, inside and out again, and a field wins over it."""
    emit(EventType.RESUMED, "operations")
    with correlated("run-1", "eth_basis"):
        emit(EventType.RUN_STARTED, "runs")
        with correlated("run-2"):
            get_logger("runs").info(EventType.RUN_STARTED)
        emit_table(EventType.LEDGER_ENTRY, "engine", columns={"n": [1]})
        emit(EventType.RUN_REQUESTED, "runs", mode="btc_basis", run_id="run-3")
    emit(EventType.RESUMED, "operations")
    assert [(event.run_id, event.mode) for event in written(directory)] == [
        ("", ""),
        ("run-1", "eth_basis"),
        ("run-2", "eth_basis"),
        ("run-1", "eth_basis"),
        ("run-3", "btc_basis"),
        ("", ""),
    ]


def test_a_log_opened_again_at_once_keeps_what_was_written(tmp_path: Path) -> None:
    """Files of the same second and process have names of their own, compressed or not."""
    texts = [str(number) for number in range(4)]
    for text in texts:
        open_log(tmp_path)
        emit(EventType.MESSAGE, "runs", text=text)
        close_log()
    assert [event.fields["text"] for event in query(tmp_path)] == texts


def test_runs_side_by_side_do_not_mix(directory: Path) -> None:
    """Tasks of one thread, and threads, each keep their own run."""

    async def work(run: str) -> None:
        with correlated(run):
            for _ in range(5):
                emit(EventType.TIMING, "engine", of=run)
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    with correlated("c"):
        inside = contextvars.copy_context()
        fields = {"of": "c"}
        thread = threading.Thread(target=lambda: inside.run(emit, EventType.TIMING, "e", **fields))
        thread.start()
        thread.join()
    events = written(directory)
    assert len(events) == 11
    assert all(event.run_id == event.fields["of"] for event in events)


def test_component_loggers(directory: Path) -> None:
    """Structlog's lines become events: of their type, or messages of the logger's category."""
    log = get_logger("market", Category.DATA)
    log.debug("not at this level")
    log.info("read a file", rows=3)
    log.bind(venue="okx").warning("a hole of %s hours", 5)
    log.info(EventType.DATA_READ, dataset="okx_ethusdt_perp", sha256="ab")
    get_logger("market", level=Level.DEBUG).debug("now it is")
    read, hole, data, debug = written(directory)
    assert (read.type, read.category, read.level, read.component) == (
        "message",
        "data",
        "INFO",
        "market",
    )
    assert read.fields == {"text": "read a file", "rows": 3}
    assert (hole.level, hole.fields) == ("WARNING", {"text": "a hole of 5 hours", "venue": "okx"})
    assert (data.type, data.category) == ("data_read", "audit")
    assert data.fields == {"dataset": "okx_ethusdt_perp", "sha256": "ab"}
    assert debug.level == "DEBUG"


def test_a_logger_writes_the_stack_of_an_exception(directory: Path) -> None:
    """With its secrets masked."""
    try:
        raise ValueError("https://desk:Wh1teRabbit@host failed")
    except ValueError:
        get_logger("runs").exception("it failed")
    (event,) = written(directory)
    assert event.level == "ERROR"
    assert "ValueError: https://***@host failed" in event.fields["exception"]
    assert "test_log.py" in event.fields["exception"]


def test_an_error_is_logged_whole(directory: Path) -> None:
    """Code, severity, place, context, time, correlation id and stack, as JSON, secrets masked."""
    with correlated("run-1", "eth_basis"):
        try:
            try:
                raise OSError("the cause")
            except OSError as cause:
                what = "no file at https://desk:Wh1teRabbit@host"
                raise DataError("DATA-001", what, where="raw/x", available="raw/y") from cause
        except DataError as error:
            told = error_event(error, "market", family="x", password="Wh1teRabbit")
    (event,) = written(directory)
    assert (event.type, event.level, event.component) == ("error", "ERROR", "market")
    assert (event.run_id, event.mode) == ("run-1", "eth_basis")
    assert (told["run_id"], told["mode"]) == ("run-1", "eth_basis")
    assert {key: told[key] for key in event.fields} == event.fields
    assert told["code"] == "DATA-001"
    assert told["what"] == "no file at https://***@host"
    assert told["context"] == {"family": "x", "password": "***"}
    assert told["available"] == "raw/y"
    assert "OSError: the cause" in told["trace"]
    assert "Wh1teRabbit" not in str(told)


def test_without_a_log_nothing_is_said_and_nothing_breaks(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The research path needs no log, and its standard output stays its own."""
    close_log()
    emit(EventType.RUN_STARTED, "runs")
    emit_table(EventType.LEDGER_ENTRY, "engine", columns={"n": [1]})
    get_logger("runs").info("hello")
    assert error_event(DataError("DATA-001", "no file"))["code"] == "DATA-001"
    assert close_log() is None
    assert capfd.readouterr() == ("", "")


def test_a_process_has_one_log(tmp_path: Path) -> None:
    """Opened again it is the same; opened elsewhere, the first is finished."""
    first = open_log(tmp_path / "a")
    assert open_log(tmp_path / "a") is first
    emit(EventType.RESUMED, "operations")
    open_log(tmp_path / "b")
    emit(EventType.HALTED, "operations", reason="test")
    status = close_log()
    assert status
    assert status.written == 1
    assert [event.type for event in query(tmp_path / "a")] == ["resumed"]
    assert [event.type for event in query(tmp_path / "b")] == ["halted"]
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(EventError, match="EVENT-001"):
        open_log(tmp_path / "file")
