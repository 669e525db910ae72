"""Opening the instance: damage is reported by code, and two at once wait for each other."""

import multiprocessing
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.errors import PlatformError
from basis_pipeline.orchestration.check_history import latest_records
from basis_pipeline.orchestration.instance import opened_instance
from basis_pipeline.settings import project_root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the project's dagster.yaml; the environment is as before afterwards."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(project_root() / "dagster.yaml", tmp_path / "dagster.yaml")
    return tmp_path


def test_an_instance_is_opened_where_it_lies(home: Path) -> None:
    """Processes started from here on find the same one."""
    with opened_instance(home) as instance:
        assert instance.root_directory == str(home)
        assert instance.get_runs_count() == 0
    assert os.environ["DAGSTER_HOME"] == str(home)


def _open(home: Path) -> None:
    with opened_instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("price"))


def test_many_open_an_empty_home_at_once(home: Path) -> None:
    """Each of them makes the databases or waits for the one that does."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(home,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dagster.yaml", "storage: [sqlite"),
        ("dagster.yaml", "nonsense: 1"),
        ("dagster.yaml", "[1]"),
        ("history/runs.db", "this is no database, but long enough to be read as one" * 99),
        ("history", "a file where a directory belongs"),
    ],
)
def test_an_instance_that_is_broken_is_rejected(home: Path, file: str, content: str) -> None:
    """PLATFORM-001 with the directory and what is wrong there."""
    (home / file).parent.mkdir(exist_ok=True)
    (home / file).write_text(content)
    with pytest.raises(PlatformError, match="cannot be opened") as raised, opened_instance(home):
        pass
    assert (raised.value.code, raised.value.where) == ("PLATFORM-001", str(home))


def test_a_damaged_record_is_reported_by_code(home: Path) -> None:
    """One flipped byte in a stored event is PLATFORM-001, not a traceback."""
    check = dg.AssetCheckKey(dg.AssetKey("price"), "sound")
    with opened_instance(home) as instance:
        passed = dg.AssetCheckEvaluation(check.asset_key, check.name, passed=True, metadata={})
        instance.report_runless_asset_event(passed)
    with closing(sqlite3.connect(home / "event_log.db")) as connection, connection:
        damage = "'x' || evaluation_event"
        connection.execute(f"UPDATE asset_check_executions SET evaluation_event = {damage}")
    with (
        pytest.raises(PlatformError, match="damaged record") as raised,
        opened_instance(home) as instance,
    ):
        latest_records(instance, [check])
    assert (raised.value.code, raised.value.where) == ("PLATFORM-001", str(home))
