"""Opening a database: its guarantees, and the errors when it cannot be used."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine, event, exc, insert, select, text

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import connect, reading, sqlite_file, writing
from basis_pipeline.results.database.migration import migrate, revisions
from basis_pipeline.results.database.runs import runs
from basis_pipeline.results.database.tables import RUNS, TRADES

PASSWORD = "correct-horse-7"


def entry(number: int, at: datetime) -> dict[str, object]:
    """A row of a run."""
    texts = ("run_id", "mode", "share_class", "status", "config_hash", "data_hash", "path")
    texts += ("engine_version", "summary_sha256")
    row: dict[str, object] = dict.fromkeys(texts, str(number))
    row |= dict.fromkeys(("capital", "rebalances", "liquidations"), 0)
    return row | {"number": number, "created_at": at, "start": at, "end": at}


def test_a_new_sqlite_file_is_durable_and_strict(tmp_path: Path) -> None:
    """Write-ahead log, synced commits, foreign keys; the path is taken literally."""
    url = f"sqlite:///{tmp_path}/a b%20c#d/runs.sqlite"
    engine = connect(url)
    with reading(engine) as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert values == ["wal", 2, 1, 30_000]
    assert sqlite_file(url) == tmp_path / "a b%20c#d" / "runs.sqlite"
    assert (tmp_path / "a b%20c#d" / "runs.sqlite").is_file()


def test_a_new_sqlite_file_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """The switch to a write-ahead log excludes all others for a moment: they wait, none fails."""

    def opened(number: int) -> str:
        engine = connect(f"sqlite:///{tmp_path}/{number // 8}.sqlite")
        with reading(engine) as connection:
            return str(connection.scalar(text("PRAGMA journal_mode")))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(opened, range(120))) == {"wal"}


def test_times_come_back_in_utc(engine: Engine) -> None:
    """To the microsecond, from any zone; a time without one is rejected."""
    at = datetime(2024, 6, 1, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    with writing(engine) as connection:
        connection.execute(insert(RUNS), entry(0, at))
        stored = connection.scalar(select(RUNS.c.created_at))
    assert stored == at
    assert stored.tzinfo is UTC
    with pytest.raises(exc.StatementError, match="no time zone"), writing(engine) as connection:
        connection.execute(insert(RUNS), entry(1, at.replace(tzinfo=None)))


def test_a_failed_transaction_leaves_nothing(engine: Engine) -> None:
    """A trade without its run is rejected, and what was written before it is rolled back."""
    row = {"run_id": "f" * 16, "sequence": 0, "at": datetime.now(UTC)}
    row |= dict.fromkeys(("kind", "venue", "instrument", "reason"), "x")

    def write_both() -> None:
        with writing(engine) as connection:
            connection.execute(insert(RUNS), entry(0, datetime.now(UTC)))
            connection.execute(insert(TRADES), row)

    with pytest.raises(exc.IntegrityError):
        write_both()
    with reading(engine) as connection:
        assert connection.execute(select(RUNS)).all() == []


def test_exclusive_writers_never_overlap(engine: Engine) -> None:
    """Each adds one to what it has read; none of the additions is lost."""
    writers, rounds = 4, 3
    gate = Barrier(writers)

    def add() -> None:
        gate.wait()
        for _ in range(rounds):
            with writing(engine, exclusive="counting") as connection:
                held = len(connection.execute(select(RUNS.c.number)).all())
                connection.execute(insert(RUNS), entry(held, datetime.now(UTC)))

    threads = [Thread(target=add) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert len(connection.execute(select(RUNS)).all()) == writers * rounds


def test_a_file_that_is_no_database_has_a_code(tmp_path: Path) -> None:
    """RS-005 for a text file, RS-001 where the directory cannot be made."""
    (tmp_path / "text").write_text("this is no database, but long enough to be read as one" * 9)
    with (
        pytest.raises(ResultsError, match="RS-005"),
        reading(connect(f"sqlite:///{tmp_path}/text")) as connection,
    ):
        connection.execute(text("SELECT * FROM runs"))
    with pytest.raises(ResultsError, match="RS-001"):
        connect(f"sqlite:///{tmp_path}/text/runs.sqlite")


def test_a_full_disk_has_a_code(tmp_path: Path) -> None:
    """RS-001 when SQLite cannot grow its file; what was there stays."""
    file = tmp_path / "runs.sqlite"
    engine = connect(f"sqlite:///{file}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE much (content BLOB)"))
    event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA max_page_count = 20"))
    with pytest.raises(ResultsError, match=r"RS-001.*full"), writing(engine) as connection:
        connection.execute(text("INSERT INTO much VALUES (zeroblob(1000000))"))
    with closing(sqlite3.connect(file)) as plain:
        assert plain.execute("SELECT count(*) FROM much").fetchone() == (0,)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://someone:{PASSWORD}@127.0.0.1:1/results",
        f"postgresql://someone@127.0.0.1:1/results?password={PASSWORD}",
        f"postgresql://someone:{PASSWORD}@[bad/results",
        f"postgresql://someone:{PASSWORD}@127.0.0.1:99999999/results",
        f"postgresql://someone:{PASSWORD}@host:54x2/results",
        f"postgresql://someone:{PASSWORD}@host/results?port=abc",
        f"sqlite:////tmp/runs.sqlite?password={PASSWORD}",
        f"//{PASSWORD}",
    ],
)
def test_a_server_that_cannot_be_reached_or_named(url: str) -> None:
    """RS-008, without the password."""
    with pytest.raises(ResultsError, match="RS-008") as caught:
        reading(connect(url)).__enter__()
    error = caught.value
    texts = (str(error), error.block(), repr(error.as_json()))
    assert not [text for text in texts if PASSWORD in text]


def test_a_read_only_directory_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made or changed there; writing is RS-001."""
    file = tmp_path / "runs.sqlite"
    migrate(connect(f"sqlite:///{file}"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs as root may write everywhere
    file.chmod(0o444)
    engine = connect(f"sqlite:///{file}")
    assert migrate(engine) == revisions()[-1]
    with reading(engine) as connection:
        assert connection.execute(select(RUNS)).all() == []
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    with pytest.raises(ResultsError, match="RS-001"), writing(engine) as connection:
        connection.execute(insert(RUNS), entry(0, datetime.now(UTC)))


def test_a_flipped_byte_is_damage_with_a_code(tmp_path: Path) -> None:
    """RS-005 in a text, a time or the number of a page."""
    file = tmp_path / "runs.sqlite"
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    with writing(engine) as connection:
        for number in range(8):
            connection.execute(insert(RUNS), entry(number, datetime.now(UTC)))
    with closing(sqlite3.connect(file)) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content, codes = file.read_bytes(), set()
    for at in range(0, len(content), 1409):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0xE0]) + content[at + 1 :])
        try:
            runs(connect(f"sqlite:///{file}", busy_seconds=0.1))
        except ResultsError as error:
            codes.add(error.code)
    assert "RS-005" in codes
    assert codes <= {"RS-005", "RS-001"}
