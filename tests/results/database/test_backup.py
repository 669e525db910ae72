"""A backup holds everything, and is restored as a whole or not at all."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import file_sha256
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import FORMAT, WAIVERS, backup, backups, restore
from basis_pipeline.results.database.migration import revisions
from basis_pipeline.results.database.runs import document, runs, verify
from basis_pipeline.results.store import read_run, read_verdicts
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status
from tests import postgres
from tests.results.database.killed_restore import KILLS
from tests.results.database.test_archive import verdict
from tests.results.made_run import make_run


def with_two_runs(archive: Archive) -> Archive:
    """Two runs, one with a verdict."""
    for capital in (1.0, 2.0):
        run = make_run(hours=48, capital=capital)
        archive.keep(run, [verdict("targets", Status.PASS)] if capital == 2.0 else None)
    return archive


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """One on each kind of database."""
    return with_two_runs(Archive(tmp_path / "results", database_url))


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Archive:
    """One on SQLite, where it does not matter which database it is."""
    return with_two_runs(Archive(tmp_path / "results", f"sqlite:///{tmp_path}/runs.sqlite"))


@pytest.fixture
def other(tmp_path: Path, archive: Archive, request: pytest.FixtureRequest) -> Iterator[Archive]:
    """An empty place with a database of the same kind."""
    if archive.engine.dialect.name == "sqlite":
        yield Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
        return
    with postgres.database(request.getfixturevalue("postgres_url")) as url:
        yield Archive(tmp_path / "other", url)


def contents(archive: Archive) -> list[object]:
    """Everything an archive holds of its runs, except their paths."""
    documents = [document(archive.engine, record.run_id) for record in runs(archive.engine)]
    for found in documents:
        for row in found["runs"]:
            del row["path"]
    return documents


def test_a_backup_restores_rows_and_files(archive: Archive, other: Archive) -> None:
    """They and the waivers are unchanged, and the next run has the next number."""
    (archive.directory / WAIVERS).write_text("one waiver\n")
    file = backup(archive)
    restored = restore(file, other)
    assert contents(other) == contents(archive)
    assert (other.directory / WAIVERS).read_text() == "one waiver\n"
    for record in restored:
        verify(record)
        assert Path(record.path).parent == other.runs
        assert read_run(Path(record.path)).run_id == record.run_id
        before = read_verdicts(archive.runs / record.run_id)
        assert read_verdicts(Path(record.path)) == before
    assert other.start().problems == []
    assert other.keep(make_run(hours=48, capital=3.0)) is None
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
    """The next start completes it: no row without files, no file without a row, no leftovers."""
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


def test_a_place_that_holds_results_is_not_restored_over(
    on_sqlite: Archive, tmp_path: Path
) -> None:
    """RS-011 and nothing is changed; with overwrite all of it is replaced."""
    archive, later = on_sqlite, make_run(hours=48, capital=3.0)
    file = backup(archive, tmp_path / "backups")
    archive.keep(later)
    before = contents(archive)
    only_waivers = Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
    for place in (archive, only_waivers):
        place.directory.mkdir(exist_ok=True)
        (place.directory / WAIVERS).write_text("a later waiver\n")
        with pytest.raises(ResultsError, match="RS-011"):
            restore(file, place)
    assert contents(archive) == before
    assert len(restore(file, archive, overwrite=True)) == 2
    assert not (archive.runs / later.run_id).exists()
    assert contents(archive) == before[:2]
    assert (archive.directory / WAIVERS).read_text() == ""
    assert archive.start().problems == []
    assert not list(archive.directory.glob(".rest*"))


def test_a_damaged_backup_is_rejected_and_nothing_is_touched(
    on_sqlite: Archive, tmp_path: Path
) -> None:
    """RS-010 for a turned bit anywhere, a truncated copy, another archive, no file."""
    made = backup(on_sqlite, tmp_path / "backups")
    good, file = made.read_bytes(), tmp_path / "copy.tar"
    other = Archive(tmp_path / "other", f"sqlite:///{tmp_path}/other/runs.sqlite")
    spoilt = [good[: len(good) // 2], b"", b"no archive" * 100]
    with tarfile.open(made) as tar:
        inside = [member.offset_data + member.size // 2 for member in tar]
    spoilt += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in inside]
    for content in spoilt:
        file.write_bytes(content)
        with pytest.raises(ResultsError, match="RS-010"):
            restore(file, other)
    with pytest.raises(ResultsError, match="RS-010"):
        restore(tmp_path / "none.tar", other)
    assert other.start().added == []
    assert not other.runs.exists()


def test_a_backup_that_reaches_out_of_its_place_is_rejected(on_sqlite: Archive) -> None:
    """RS-010: a member with a path outside of the directory is not written."""
    made, kind = on_sqlite.directory.parent, {"format": FORMAT, "database": "sqlite"}
    (made / "member").write_text("x")
    files = {"../out.json": file_sha256(made / "member")}
    manifest = {**kind, "revision": revisions()[-1], "files": files}
    (made / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(made / "evil.tar", "w") as tar:
        tar.add(made / "manifest.json", "manifest.json")
        tar.add(made / "member", "../out.json")
    with pytest.raises(ResultsError, match=r"RS-010.*out\.json"):
        restore(made / "evil.tar", on_sqlite, overwrite=True)
    assert not list(made.rglob("out.json"))
    assert not list(on_sqlite.directory.glob(".rest*"))


def test_only_the_newest_backups_are_kept(on_sqlite: Archive, tmp_path: Path) -> None:
    """The oldest are removed once the new one is verified; a damaged run allows no backup.

    What killed backups and restores left, copies of the database among it, goes as well.
    """
    place = tmp_path / "backups"
    place.mkdir()
    (place / ".results-1.tar.database").write_text("left")
    left = on_sqlite.directory / ".restored-1"
    left.mkdir()
    made = [backup(on_sqlite, place, keep=2) for _ in range(3)]
    assert sorted(place.iterdir()) == backups(place) == made[1:]
    assert not left.exists()
    next(on_sqlite.runs.glob("*/equity.parquet")).write_bytes(b"x")
    with pytest.raises(ResultsError, match=r"RS-003.*equity\.parquet"):
        backup(on_sqlite, place, keep=2)
    assert sorted(place.iterdir()) == made[1:]
