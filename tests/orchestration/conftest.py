"""A real instance, sample data on disk, and the pipeline run once over them."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.new_project import write_project
from basis_pipeline.orchestration.batches import MODE_ASSETS
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.launch import Launcher, PipelineOutcome
from basis_pipeline.orchestration.resources import DATA_TAG, RunOptions
from basis_pipeline.settings import project_root

SHIPPED = project_root() / "configs"
# No debt, a hedge at one venue, one at another, and debt with three venues.
MODES = ("btc_basis", "eth_basis", "pure_lending", "usdt_market_neutral")
WINDOW = {"start": "2024-01-03", "end": "2024-02-20"}
# What steps print is not kept: for that Dagster starts four processes a run.
NO_PRINTS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
EVENT_LOG = {"module": "basis_pipeline.orchestration.storage", "class": "PooledSqliteEventLog"}


@dataclass(frozen=True)
class Place:
    """A data directory, a results directory and the instance that belongs to them."""

    data: Path
    results: Path
    instance: dg.DagsterInstance
    defs: dg.Definitions

    def request(self, **asked: object) -> RunOptions:
        """Return the options of a run here."""
        places = {"data_dir": str(self.data), "results_dir": str(self.results)}
        return RunOptions(**{**places, **WINDOW, **asked})

    def run(self, *modes: str, **asked: object) -> PipelineOutcome:
        """Run the pipeline for the modes named, or for all."""
        configs = current_configs()
        slices = [slice_mode(configs, mode) for mode in modes or configs.modes]
        said: list[str] = []
        return Launcher(self.defs, self.instance, self.request(**asked), said.append).run(slices)

    def execute(
        self,
        *keys: dg.AssetKey,
        job: str = "__ASSET_JOB",
        mode: str | None = None,
        tags: dict[str, str] | None = None,
        **asked: object,
    ) -> dg.ExecuteInProcessResult:
        """Run these assets alone, on what the warehouse holds, or a job of the code location."""
        options = {name: v for name, v in self.request(**asked).model_dump().items() if v}
        quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            asset_selection=list(keys) or None,
            partition_key=mode,
            tags=tags,
            run_config={"resources": {"options": {"config": options}}, "loggers": quiet},
            raise_on_error=False,
        )

    def run_mode(self, mode: str, *keys: dg.AssetKey, **asked: object) -> list[BasisError | str]:
        """Run the assets of a mode, or these of them, on the datasets that are there.

        Returns
        -------
        What went wrong.
        """
        return problems(self.execute(*(keys or MODE_ASSETS), mode=mode, **asked))


def problems(result: dg.ExecuteInProcessResult) -> list[BasisError | str]:
    """Return why the steps of a run failed."""
    return [problem for _, problem in failures(result.all_events)]


@contextmanager
def configured(directory: Path) -> Iterator[None]:
    """Let the process read its configuration there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASIS_CONFIG_DIR", str(directory))
        yield


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a configuration of four modes that cover the differences between all modes."""
    directory = tmp_path_factory.mktemp("project")
    write_project(directory, load_configs(SHIPPED), SHIPPED, MODES, date(2024, 3, 1))
    return Path(shutil.copytree(SHIPPED / "env", directory / "configs" / "env")).parent


@pytest.fixture(autouse=True)
def configs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the process read this configuration."""
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(project))
    return project


@pytest.fixture(scope="session")
def defs(project: Path) -> dg.Definitions:
    """Return the code location of the four modes, as production loads it."""
    with configured(project):
        return build_defs()


def opened(home: Path) -> dg.DagsterInstance:
    """Return an instance with the storage of production."""
    log = {**EVENT_LOG, "config": {"base_dir": str(home)}}
    overrides = {
        "event_log_storage": log,
        "compute_logs": NO_PRINTS,
        "telemetry": {"enabled": False},
    }
    return dg.DagsterInstance.local_temp(str(home), overrides=overrides)


@cache
def _blank() -> Path:
    """Return the directory of an empty instance, to copy: making one takes five times as long."""
    home = Path(tempfile.mkdtemp(prefix="basis-blank-"))
    atexit.register(shutil.rmtree, home)
    with opened(home):
        return home


def new_instance(home: Path) -> dg.DagsterInstance:
    """Return an empty instance for one test."""
    shutil.copytree(_blank(), home, dirs_exist_ok=True)
    return opened(home)


def events_of(place: Place, *types: str, **asked: Any) -> list[Event]:
    """Return the events of a place that match the filters."""
    return list(read_events(place.results / DIRECTORY, types=types, **asked))


def place_at(directory: Path, data: Path, defs: dg.Definitions) -> Iterator[Place]:
    """Yield a place with its own instance below `directory`, a new one unless it exists."""
    home = directory / "results" / "dagster_home"
    with opened(home) if home.exists() else new_instance(home) as instance:
        yield Place(data, directory / "results", instance, defs)


@pytest.fixture
def place(tmp_path: Path, sample: Path, defs: dg.Definitions) -> Iterator[Place]:
    """Yield a place without runs and with its own copy of the sample, for tests that break it."""
    shutil.copytree(sample, tmp_path / "data")
    yield from place_at(tmp_path, tmp_path / "data", defs)


def environment(place: Place, patch: pytest.MonkeyPatch) -> None:
    """Let the process's environment name the place: what runs by itself reads it there."""
    places = {"DATA_DIR": place.data, "RESULTS_DIR": place.results}
    window = {"DATA_START_DATE": WINDOW["start"], "DATA_END_DATE": WINDOW["end"]}
    for name, value in {**places, **window}.items():
        patch.setenv(f"BASIS_{name}", str(value))


@dataclass(frozen=True)
class FirstNight:
    """What a first night of two modes leaves, and what it began with.

    data: the run for the data; requests: what was asked for after it.
    """

    directory: Path
    cursors: dict[str, str | None]
    data: dg.DagsterRun
    requests: list[dg.RunRequest]


@pytest.fixture(scope="session")
def first_night(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, project: Path, defs: dg.Definitions
) -> FirstNight:
    """Return a directory where two modes have run, the first night of a platform."""
    from tests.orchestration.platform_alone import Platform  # it is about places

    directory = tmp_path_factory.mktemp("first_night")
    shutil.copytree(sample, directory / "data")
    with configured(project), pytest.MonkeyPatch.context() as patch:
        for place in place_at(directory, directory / "data", defs):
            environment(place, patch)
            platform = Platform(place)
            data, requests = platform.begin("btc_basis", "pure_lending")
    return FirstNight(directory, platform.cursors, data, requests)


@pytest.fixture
def ran(first_night: FirstNight, tmp_path: Path, defs: dg.Definitions) -> Iterator[Place]:
    """Yield a copy of a place where two modes have run, for tests that break it."""
    shutil.copytree(first_night.directory, tmp_path, dirs_exist_ok=True)
    for place in place_at(tmp_path, tmp_path / "data", defs):
        take_along(place)
        yield place


def take_along(place: Place) -> None:
    """Let the runs of a copied place be those of its own data: verdicts belong to a directory."""
    for run in place.instance.get_runs():
        place.instance.add_run_tags(run.run_id, {DATA_TAG: str(place.data.resolve())})


@pytest.fixture(scope="session")
def shared_place(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, defs: dg.Definitions
) -> Iterator[Place]:
    """Yield a place where every mode has run, for reading only."""
    yield from place_at(tmp_path_factory.mktemp("shared"), sample, defs)


@pytest.fixture(scope="session")
def outcome(shared_place: Place, project: Path) -> PipelineOutcome:
    """Return the outcome of all modes in the shared place."""
    with configured(project):
        return shared_place.run()
