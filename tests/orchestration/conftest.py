"""A real instance, sample data on disk, and the pipeline run once over them."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from basis_pipeline.config import slice_mode
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.launch import Launcher, PipelineOutcome
from basis_pipeline.orchestration.resources import DATA_TAG, RunOptions

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
        """What a run here asks for."""
        places = {"data_dir": str(self.data), "results_dir": str(self.results)}
        return RunOptions(**{**places, **WINDOW, **asked})

    def run(self, *modes: str, **asked: object) -> PipelineOutcome:
        """Run the pipeline for the modes named, or for all."""
        configs = current_configs()
        slices = [slice_mode(configs, mode) for mode in modes or configs.modes]
        said: list[str] = []
        return Launcher(self.defs, self.instance, self.request(**asked), said.append).run(slices)


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    """The code location as production loads it."""
    return build_defs()


def opened(home: Path) -> dg.DagsterInstance:
    """An instance with the storage of production."""
    log = {**EVENT_LOG, "config": {"base_dir": str(home)}}
    overrides = {
        "event_log_storage": log,
        "compute_logs": NO_PRINTS,
        "telemetry": {"enabled": False},
    }
    return dg.DagsterInstance.local_temp(str(home), overrides=overrides)


@cache
def _blank() -> Path:
    """The directory of an instance in which nothing has run: making one takes five copies' time."""
    home = Path(tempfile.mkdtemp(prefix="basis-blank-"))
    atexit.register(shutil.rmtree, home)
    with opened(home):
        return home


def new_instance(home: Path) -> dg.DagsterInstance:
    """An instance of its own, in which nothing has run."""
    shutil.copytree(_blank(), home, dirs_exist_ok=True)
    return opened(home)


def trail(place: Place, *types: str, **asked: Any) -> list[Event]:
    """The events of a place that fit, when all that were offered are on the disk."""
    return list(read_events(place.results / DIRECTORY, types=types, **asked))


def place_at(directory: Path, data: Path, defs: dg.Definitions) -> Iterator[Place]:
    """A place with an instance of its own below `directory`: a new one, unless one is there."""
    home = directory / "results" / "dagster_home"
    with opened(home) if home.exists() else new_instance(home) as instance:
        yield Place(data, directory / "results", instance, defs)


@pytest.fixture
def place(tmp_path: Path, sample: Path, defs: dg.Definitions) -> Iterator[Place]:
    """An empty place with its own copy of the sample, to be spoilt at will."""
    shutil.copytree(sample, tmp_path / "data")
    yield from place_at(tmp_path, tmp_path / "data", defs)


@pytest.fixture(scope="session")
def after_a_run(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, defs: dg.Definitions
) -> Path:
    """A directory in which two modes have run."""
    directory = tmp_path_factory.mktemp("after_a_run")
    shutil.copytree(sample, directory / "data")
    for place in place_at(directory, directory / "data", defs):
        assert all(mode.run_id for mode in place.run("btc_basis", "pure_lending").modes)
    return directory


@pytest.fixture
def ran(after_a_run: Path, tmp_path: Path, defs: dg.Definitions) -> Iterator[Place]:
    """A copy of a place where two modes have run, to be spoilt at will."""
    shutil.copytree(after_a_run, tmp_path, dirs_exist_ok=True)
    for place in place_at(tmp_path, tmp_path / "data", defs):
        take_along(place)
        yield place


def take_along(place: Place) -> None:
    """Let the runs of a copied place be those of its own data: verdicts belong to a directory."""
    for run in place.instance.get_runs():
        place.instance.add_run_tags(run.run_id, {DATA_TAG: str(place.data.resolve())})


def materialise(place: Place, key: dg.AssetKey) -> BasisError | str | None:
    """Materialise one asset of pure_lending by itself and return what went wrong."""
    options = {name: value for name, value in place.request().model_dump().items() if value}
    result = place.defs.resolve_job_def("full_pipeline").execute_in_process(
        instance=place.instance,
        asset_selection=[key],
        partition_key="pure_lending",
        run_config={"resources": {"options": {"config": options}}},
        raise_on_error=False,
    )
    return next((problem for _, problem in failures(result)), None)


@pytest.fixture(scope="session")
def shared_place(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, defs: dg.Definitions
) -> Iterator[Place]:
    """A place where every mode has run; read it, do not write to it."""
    yield from place_at(tmp_path_factory.mktemp("shared"), sample, defs)


@pytest.fixture(scope="session")
def outcome(shared_place: Place) -> PipelineOutcome:
    """What became of all modes in the shared place."""
    return shared_place.run()
