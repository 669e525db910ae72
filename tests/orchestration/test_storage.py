"""The event log with kept connections: the same records as Dagster's own, and no slower reader."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.orchestration.storage import PooledSqliteEventLog


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="price")])
def price() -> Iterator[dg.MaterializeResult[None]]:
    """An asset with a check."""
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A DAGSTER_HOME whose dagster.yaml names the storage."""
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "event_log_storage:\n"
        "  module: basis_pipeline.orchestration.storage\n"
        "  class: PooledSqliteEventLog\n"
        "  config: {base_dir: {env: DAGSTER_HOME}}\n"
    )
    return tmp_path


def opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The instance of that home, as every command opens it."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return dg.DagsterInstance.get()


def test_dagster_yaml_selects_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class loads by its name in dagster.yaml and writes below DAGSTER_HOME."""
    with opened(home, monkeypatch) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLog)
        assert dg.materialize([price], instance=instance).success
    assert (home / "event_log.db").exists()


def test_records_survive_the_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one instance wrote another one reads: runs, materialisations, checks."""
    with opened(home, monkeypatch) as instance:
        run_id = dg.materialize([price], instance=instance).run_id
    key = dg.AssetCheckKey(dg.AssetKey("price"), "sound")
    with opened(home, monkeypatch) as instance:
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        assert found[key].run_id == run_id
        assert instance.get_latest_materialization_event(dg.AssetKey("price")) is not None
        assert instance.all_logs(run_id)


def test_many_threads_write_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webserver, a daemon and runs share the file: nobody is locked out, nothing is lost."""
    made = dg.AssetMaterialization("price")
    with opened(home, monkeypatch) as instance, opened(home, monkeypatch) as other:
        instances = [instance, other] * 2

        def write(where: dg.DagsterInstance) -> None:
            for _ in range(25):
                where.report_runless_asset_event(made)

        with ThreadPoolExecutor(len(instances)) as pool:
            list(pool.map(write, instances))
        records = instance.fetch_materializations(made.asset_key, limit=200).records
    assert len(records) == 100


def test_a_run_can_be_followed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The UI's live log sees events although the database file itself is not touched."""
    with opened(home, monkeypatch) as instance:
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
