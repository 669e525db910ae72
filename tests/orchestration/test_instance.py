"""Opening the instance: damage is reported by code, and two at once wait for each other."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.errors import PlatformError
from basis_pipeline.orchestration.check_history import latest_records
from basis_pipeline.orchestration.instance import opened_instance
from basis_pipeline.settings import project_root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with the project's dagster.yaml; restore the environment afterwards."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(project_root() / "dagster.yaml", tmp_path / "dagster.yaml")
    return tmp_path


def test_an_instance_is_opened_where_it_lies(home: Path) -> None:
    """Processes started from here on find the same one."""
    with opened_instance(home) as instance:
        assert instance.root_directory == str(home)
        assert instance.get_runs_count() == 0
    assert os.environ["DAGSTER_HOME"] == str(home)


def test_a_disk_that_fills_up_ends_in_a_coded_error(home: Path) -> None:
    """PLATFORM-001 instead of a traceback, from whatever is being recorded; without the SQL."""
    with pytest.raises(PlatformError, match=r"cannot be used: database or disk is full") as raised:
        _fill(home)
    assert raised.value.code == "PLATFORM-001"


def _fill(home: Path) -> None:
    with opened_instance(home) as instance:
        event_log = instance.event_log_storage
        with event_log.index_connection() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            connection.exec_driver_sql("CREATE TABLE much AS SELECT zeroblob(1000000)")


FIRST_START = """
import sys
from pathlib import Path
from basis_pipeline.orchestration.instance import opened_instance
from basis_pipeline.settings import make_dagster_home, load_settings
settings = load_settings(results_dir=sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with opened_instance(make_dagster_home(settings)) as instance:
    print(instance.get_runs_count())
"""


def test_many_first_starts_at_once_make_one_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them meets half-made databases of another, on an empty results directory."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    command = [sys.executable, "-c", FIRST_START, str(tmp_path / "results")]
    with ExitStack() as ended:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started = [
            ended.enter_context(subprocess.Popen(command, text=True, cwd=project_root(), **pipes))
            for _ in range(3)
        ]
        for process in started:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=120) for process in started]
    assert [out for out, _ in answers] == ["0\n"] * 3, answers


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dagster.yaml", "storage: [sqlite"),
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
        pytest.raises(PlatformError, match="cannot be used") as raised,
        opened_instance(home) as instance,
    ):
        latest_records(instance, [check])
    assert (raised.value.code, raised.value.where) == ("PLATFORM-001", str(home))
