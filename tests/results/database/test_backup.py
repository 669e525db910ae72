"""A backup holds everything, and restores into either database or not at all."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backup, backups, restore
from basis_pipeline.results.database.export import document
from basis_pipeline.results.database.runs import runs, verify
from basis_pipeline.results.store import read_run, write_run
from tests import postgres
from tests.results.database.test_archive import verdict
from tests.results.made_run import make_run


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """Two runs, one with a verdict."""
    made = Archive(tmp_path / "results", database_url)
    for capital in (1.0, 2.0):
        run = make_run(hours=72, capital=capital)
        made.record(run, write_run(run, made.runs / run.run_id))
    made.record_verdicts(run.run_id, [verdict("targets", "PASS")])
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[Archive]:
    """An empty place with a database of either kind."""
    if request.param == "sqlite":
        yield Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
        return
    with postgres.database(postgres_url) as url:
        yield Archive(tmp_path / "other", url)


def told(archive: Archive) -> list[object]:
    """Everything an archive tells of its runs, but where they lie."""
    documents = [document(archive.engine, record.run_id) for record in runs(archive.engine)]
    for found in documents:
        for row in found["runs"]:
            del row["path"]
    return documents


def test_a_backup_restores_into_either_database(archive: Archive, other: Archive) -> None:
    """Rows and files are what they were, whichever backend it came from and goes to."""
    file = backup(archive, archive.runs.parent / "backups")
    restored = restore(file, other)
    assert told(other) == told(archive)
    for record in restored:
        verify(record)
        assert Path(record.path).parent == other.runs
        assert read_run(Path(record.path)).run_id == record.run_id
    assert other.start().problems == []
    another = make_run(hours=72, capital=3.0)
    assert other.record(another, write_run(another, other.runs / another.run_id)) is None
    assert [record.number for record in runs(other.engine)] == [1, 2, 3]


def test_a_place_that_holds_results_is_not_restored_over(archive: Archive, tmp_path: Path) -> None:
    """RS-011 and nothing is touched; asked for, it is replaced as a whole."""
    file = backup(archive, tmp_path / "backups")
    later = make_run(hours=72, capital=3.0)
    archive.record(later, write_run(later, archive.runs / later.run_id))
    before = told(archive)
    with pytest.raises(ResultsError, match="RS-011"):
        restore(file, archive)
    assert told(archive) == before
    assert len(restore(file, archive, overwrite=True)) == 2
    assert not (archive.runs / later.run_id).exists()
    assert told(archive) == before[:2]
    assert archive.start().problems == []
    assert [path.name for path in archive.runs.parent.glob(".restored-*")] == []


def spoilt(file: Path, at: int) -> Path:
    """The file with one bit turned over."""
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    return file


def test_a_damaged_backup_is_refused_and_nothing_is_touched(
    archive: Archive, tmp_path: Path
) -> None:
    """RS-010 for a turned bit anywhere, a truncated copy, another archive, no file."""
    good = backup(archive, tmp_path / "backups").read_bytes()
    other = Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
    file = tmp_path / "copy.tar"
    with tarfile.open(tmp_path / "backups" / backups(tmp_path / "backups")[0].name) as tar:
        inside = [member.offset_data + member.size // 2 for member in tar if member.size]
    for at in inside:
        file.write_bytes(good)
        with pytest.raises(ResultsError, match="RS-010"):
            restore(spoilt(file, at), other)
    for content in (good[: len(good) // 2], b"", b"no archive" * 100):
        file.write_bytes(content)
        with pytest.raises(ResultsError, match="RS-010"):
            restore(file, other)
    with pytest.raises(ResultsError, match="RS-010"):
        restore(tmp_path / "none.tar", other)
    assert other.start().added == []
    assert not other.runs.exists()


def test_a_backup_that_reaches_out_of_its_place_is_refused(tmp_path: Path) -> None:
    """RS-010: a member with a path of its own choosing is written nowhere."""
    archive = Archive(tmp_path / "results", f"sqlite:///{tmp_path}/runs.sqlite")
    (tmp_path / "manifest.json").write_text('{"files": {"../out.json": "x"}}')
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")
        tar.add(tmp_path / "evil", "../out.json")
    with pytest.raises(ResultsError, match="RS-010"):
        restore(tmp_path / "evil.tar", archive)
    assert not (tmp_path / "out.json").exists()


def test_only_the_newest_backups_are_kept(archive: Archive, tmp_path: Path) -> None:
    """The oldest go when the new one reads back; a run that was damaged makes none."""
    made = [backup(archive, tmp_path / "backups", keep=2) for _ in range(3)]
    assert backups(tmp_path / "backups") == made[1:]
    damaged = next(archive.runs.glob("*/equity.parquet"))
    damaged.write_bytes(b"x")
    with pytest.raises(ResultsError, match=r"RS-003.*equity\.parquet"):
        backup(archive, tmp_path / "backups", keep=2)
    assert sorted((tmp_path / "backups").iterdir()) == made[1:]
