"""The index of the audit trail: each audit event once, leading to its line."""

from pathlib import Path

from sqlalchemy import Engine, select

from basis_pipeline.operations.events.files import compress_closed
from basis_pipeline.operations.events.index import event_at, index_audit
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import EventLog
from basis_pipeline.results.database.connection import reading
from basis_pipeline.results.database.tables import EVENT_INDEX


def entries(engine: Engine) -> list[tuple[str, int, str, str]]:
    """File, offset, type and mode of every entry, in order of time."""
    columns = EVENT_INDEX.c
    asked = select(columns.file, columns.position, columns.type, columns.mode)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(asked.order_by(columns.at))]


def test_each_audit_event_is_indexed_once_and_is_found(tmp_path: Path, engine: Engine) -> None:
    """Written on, indexed again, compressed: every entry leads to its event, none comes twice."""
    log = EventLog(tmp_path)
    log.emit(EventType.RUN_STARTED, "runs", mode="a")
    log.emit(EventType.TIMING, "runs", seconds=1.0)
    log.flush()
    assert (index_audit(engine, tmp_path), index_audit(engine, tmp_path)) == (1, 0)
    log.emit(EventType.RUN_FINISHED, "runs", mode="b", outcome="succeeded")
    log.close()
    other = EventLog(tmp_path)
    other.emit(EventType.HALTED, "operations", reason='{"category":"audit"}')
    other.emit(EventType.MESSAGE, "operations", text='"category":"audit"')
    other.close()
    compress_closed(tmp_path)
    assert (index_audit(engine, tmp_path), index_audit(engine, tmp_path)) == (2, 0)
    found = entries(engine)
    assert [(kind, mode) for *_, kind, mode in found] == [
        (EventType.RUN_STARTED, "a"),
        (EventType.RUN_FINISHED, "b"),
        (EventType.HALTED, ""),
    ]
    assert [event_at(tmp_path, file, at) for file, at, *_ in found] == list(
        query(tmp_path, categories=["audit"])
    )


def test_no_log_is_an_empty_index(tmp_path: Path, engine: Engine) -> None:
    """Nothing has run: nothing is indexed, and nothing is made."""
    assert index_audit(engine, tmp_path / "events") == 0
    assert not (tmp_path / "events").exists()
