"""A real instance, sample data on disk, and the pipeline run once over them."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.config import slice_mode
from basis_pipeline.market.sample import write_sample
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.orchestration.launch import Launcher, PipelineOutcome
from basis_pipeline.orchestration.resources import RunOptions, current_configs

WINDOW = {"start": "2024-01-03", "end": "2024-02-20"}
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
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of every family, as they would be delivered."""
    directory = tmp_path_factory.mktemp("sample") / "data"
    write_sample(directory, days=60)
    return directory


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    """The code location as production loads it."""
    return build_defs()


def opened(home: Path) -> dg.DagsterInstance:
    """An instance with the storage of production."""
    log = {**EVENT_LOG, "config": {"base_dir": str(home)}}
    overrides = {"event_log_storage": log, "telemetry": {"enabled": False}}
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
def shared_place(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, defs: dg.Definitions
) -> Iterator[Place]:
    """A place where every mode has run; read it, do not write to it."""
    yield from place_at(tmp_path_factory.mktemp("shared"), sample, defs)


@pytest.fixture(scope="session")
def outcome(shared_place: Place) -> PipelineOutcome:
    """What became of all modes in the shared place."""
    return shared_place.run()
