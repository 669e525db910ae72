"""The event log with kept connections: the same records as Dagster's own, and no slower reader."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.orchestration.storage import PooledSqliteEventLog
from basis_pipeline.settings import project_root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a DAGSTER_HOME with the project's dagster.yaml, which names the storage."""
    shutil.copy(project_root() / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@dg.asset
def price() -> None:
    """Return nothing."""


def test_many_threads_write_at_once(home: Path) -> None:
    """A webserver, a daemon and runs share the file: nobody is locked out, nothing is lost."""
    made = dg.AssetMaterialization("price")
    assert home.is_dir()
    with dg.DagsterInstance.get() as instance, dg.DagsterInstance.get() as other:
        instances = [instance, other] * 2

        def write(where: dg.DagsterInstance) -> None:
            for _ in range(25):
                where.report_runless_asset_event(made)

        with ThreadPoolExecutor(len(instances)) as pool:
            list(pool.map(write, instances))
        records = instance.fetch_materializations(made.asset_key, limit=200).records
    assert len(records) == 100


def test_a_run_can_be_followed(home: Path) -> None:
    """The UI's live log sees events although the database file itself is not touched."""
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
        run_id = dg.materialize([price], instance=instance).run_id
        seen: list[str] = []

        def note(entry: dg.EventLogEntry, _cursor: str) -> None:
            seen.append(entry.message)

        instance.event_log_storage.watch(run_id, None, note)
        deadline = time.monotonic() + 10.0
        while not seen and time.monotonic() < deadline:
            time.sleep(0.05)
        instance.event_log_storage.end_watch(run_id, note)
    assert seen
    assert (home / "event_log.db").exists()
