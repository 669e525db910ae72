"""A healthy project: its own configuration, data, results and log."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_pipeline.config.health import HealthLimits, Room, load_health_limits
from basis_pipeline.operations.health.check import check_health
from basis_pipeline.operations.health.model import (
    FeedVerdict,
    Health,
    Heartbeat,
    InstanceMetrics,
    Trigger,
)
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.settings import project_root
from tests.results.made_run import make_run

LITTLE = Room(degraded_below_mb=2.0, unhealthy_below_mb=1.0)


@dataclass
class Place:
    """The directories of a project, and the metrics of its Dagster instance."""

    root: Path
    limits: HealthLimits
    environ: dict[str, str] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = (Trigger("hourly_health"),)

    @property
    def data(self) -> Path:
        """The raw files."""
        return self.root / "data"

    @property
    def results(self) -> Path:
        """The results directory."""
        return self.root / "results"

    @property
    def configs(self) -> Path:
        """The configuration."""
        return self.root / "configs"

    def metrics(self, **changes: FeedVerdict) -> InstanceMetrics:
        """A daemon with a recent heartbeat, and feeds that were read and passed their checks."""
        now = datetime.now(UTC)
        feeds = {path.stem: FeedVerdict(now) for path in self.configs.glob("datasets/*.yaml")}
        beats = [Heartbeat("SCHEDULER", now)]
        return InstanceMetrics(heartbeats=beats, triggers=self.triggers, feeds={**feeds, **changes})

    def look(self, metrics: InstanceMetrics | None = None) -> Health:
        """The report as it is now."""
        return check_health(
            metrics or self.metrics(),
            environ=self.environ,
            config_dir=self.configs,
            limits=self.limits,
        )


def fill_results(results: Path) -> None:
    """A recorded run and a log directory."""
    run = make_run()
    archive = Archive(results, f"sqlite:///{results}/runs.sqlite")
    assert archive.keep(run) is None
    (results / "events").mkdir()


@pytest.fixture
def place(tmp_path: Path, sample: Path) -> Place:
    """A healthy project that a test may break."""
    shutil.copytree(sample, tmp_path / "data")
    shutil.copytree(project_root() / "configs", tmp_path / "configs")
    fill_results(tmp_path / "results")
    limits = load_health_limits(tmp_path / "configs")
    limits = limits.model_copy(update={"disk": LITTLE, "memory": LITTLE})
    places = {
        "BASIS_DATA_DIR": str(tmp_path / "data"),
        "BASIS_RESULTS_DIR": str(tmp_path / "results"),
    }
    return Place(tmp_path, limits, places)
