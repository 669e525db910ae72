"""A backup holds everything, and is restored as a whole or not at all."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backup, backups, restore
from basis_pipeline.results.database.runs import document, runs, verify
from basis_pipeline.results.store import read_run, read_verdicts
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status
from tests import postgres
from tests.results.database.killed_restore import KILLS
from tests.results.database.test_archive import verdict
from tests.results.made_run import make_run


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """Two runs, one with a verdict."""
    made = Archive(tmp_path / "results", database_url)
    for capital in (1.0, 2.0):
        run = make_run(hours=72, capital=capital)
        made.keep(run, [verdict("targets", Status.PASS)] if capital == 2.0 else None)
    return made


@pytest.fixture
def other(tmp_path: Path, archive: Archive, request: pytest.FixtureRequest) -> Iterator[Archive]:
    """An empty place with a database of the same kind."""
    if archive.engine.dialect.name == "sqlite":
        yield Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
        return
    with postgres.database(request.getfixturevalue("postgres_url")) as url:
        yield Archive(tmp_path / "other", url)


def contents(archive: Archive) -> list[object]:
    """Everything an archive has of its runs, but where they lie."""
    documents = [document(archive.engine, record.run_id) for record in runs(archive.engine)]
    for found in documents:
        for row in found["runs"]:
            del row["path"]
    return documents


def test_a_backup_restores_rows_and_files(archive: Archive, other: Archive) -> None:
    """They are what they were, and the next run is numbered behind them."""
    file = backup(archive)
    restored = restore(file, other)
    assert contents(other) == contents(archive)
    for record in restored:
        verify(record)
        assert Path(record.path).parent == other.runs
        assert read_run(Path(record.path)).run_id == record.run_id
        before = read_verdicts(archive.runs / record.run_id)
        assert read_verdicts(Path(record.path)) == before
    assert other.start().problems == []
    assert other.keep(make_run(hours=72, capital=3.0)) is None
    assert [record.number for record in runs(other.engine)] == [1, 2, 3]


def test_a_backup_of_the_other_kind_of_database_is_rejected(
    tmp_path: Path, postgres_url: str
) -> None:
    """RS-010 names both kinds, and nothing is touched."""
    with postgres.database(postgres_url) as url:
        file = backup(Archive(tmp_path / "results", url))
    other = Archive(tmp_path / "other", f"sqlite:///{tmp_path}/x.sqlite")
    with pytest.raises(ResultsError, match=r"RS-010.*of postgresql, the database is sqlite"):
        restore(file, other)
    assert not other.runs.exists()


def test_a_restore_killed_at_any_step_leaves_the_old_or_the_new_results(
    archive: Archive, other: Archive
) -> None:
    """The next start ends it: no row without its files, no file without its row, no leftovers."""
    url = other.engine.url.render_as_string(hide_password=False)
    url = url.replace("postgresql+psycopg2", "postgresql")
    module = "tests.results.database.killed_restore"
    done = subprocess.run(
        [sys.executable, "-m", module, url, str(other.directory), str(backup(archive))],
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.values()) == KILLS
    assert outcomes.keys() == {"old", "new"}


def test_leftovers_of_killed_backups_are_removed(archive: Archive) -> None:
    """Copies of the database and half-written files go at the next start."""
    directory = backup(archive).parent
    for name in (".results-1.tar.partial", ".results-1.tar.database"):
        (directory / name).write_text("left")
    (archive.directory / ".restored-1").mkdir()
    archive.start()
    assert [path.suffix for path in directory.iterdir()] == [".tar"]
    assert not (archive.directory / ".restored-1").exists()


def test_a_place_that_holds_results_is_not_restored_over(archive: Archive, tmp_path: Path) -> None:
    """RS-011 and nothing is touched; asked for, it is replaced as a whole."""
    file = backup(archive, tmp_path / "backups")
    later = make_run(hours=72, capital=3.0)
    archive.keep(later)
    before = contents(archive)
    with pytest.raises(ResultsError, match="RS-011"):
        restore(file, archive)
    assert contents(archive) == before
    assert len(restore(file, archive, overwrite=True)) == 2
    assert not (archive.runs / later.run_id).exists()
    assert contents(archive) == before[:2]
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
