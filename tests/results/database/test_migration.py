"""Any database is brought to the same revision, by any process, any number of times."""

import multiprocessing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import connect, reading, writing
from basis_pipeline.results.database.migration import (
    SCRIPTS,
    existing,
    migrate,
    opened,
    revision_of,
    revisions,
)
from basis_pipeline.results.database.runs import runs
from basis_pipeline.results.database.tables import METADATA
from tests import postgres


def test_the_history_is_a_line_and_ends_where_the_files_end() -> None:
    """Each file is named by its revision and follows the file before it."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    history = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [script.revision for script in reversed(history)] == revisions()
    before = [None, *revisions()[:-1]]
    assert [script.down_revision for script in reversed(history)] == before


def test_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    """No column, type or index of METADATA is missing, and there is nothing else."""
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def migrated(url: str) -> str:
    """Return the revision to which a process has brought a database."""
    return migrate(connect(url))


def test_processes_migrate_at_once(database_url: str) -> None:
    """A new database opened by many at the same moment is made once and serves all."""
    fork = multiprocessing.get_context("forkserver")
    with fork.Pool(3) as pool:
        assert pool.map(migrated, [database_url] * 3, chunksize=1) == [revisions()[-1]] * 3
    assert migrate(connect(database_url)) == revision_of(connect(database_url)) == revisions()[-1]


def test_a_database_of_a_later_version_is_left_alone(engine: Engine) -> None:
    """RS-012: a database of a later version is not changed."""
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_later'"))
    with pytest.raises(ResultsError, match=r"RS-012.*9999_later"):
        migrate(engine)


def test_tables_of_another_make_are_rejected_as_a_whole(database_url: str) -> None:
    """RS-005: a database with a foreign table of that name stays as it was."""
    engine = connect(database_url)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE trades (other INTEGER)"))
    with pytest.raises(ResultsError, match="RS-005"):
        migrate(engine)
    assert revision_of(engine) == ""


def test_a_database_is_checked_again_when_another_file_replaced_it(tmp_path: Path) -> None:
    """And only then; one without tables is none."""
    file = tmp_path / "runs.sqlite"
    url = f"sqlite:///{file}"
    assert existing(url) is None
    first = opened(url)
    assert existing(url) is existing(url)
    file.rename(tmp_path / "aside.sqlite")
    assert existing(url) is None
    file.touch()
    assert existing(url) is None
    assert opened(url) is not first
    assert revision_of(opened(url)) == revisions()[-1]


def test_a_database_that_was_made_anew_is_noticed(postgres_url: str) -> None:
    """One call finds the tables gone, RS-005; the next finds a database without any."""
    with postgres.database(postgres_url) as url:
        opened(url)
        first = existing(url)
        assert first
        with writing(first) as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        with pytest.raises(ResultsError, match="RS-005"):
            runs(first)
        assert existing(url) is None
        assert revision_of(opened(url)) == revisions()[-1]
        assert runs(opened(url)) == []
