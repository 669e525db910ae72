"""The options of a run, the same from the command line, the launchpad and a job."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import dagster as dg
import pandas as pd
from pydantic import Field

from basis_pipeline.config import Configs, ModeSlice, parse_assignments, slice_mode
from basis_pipeline.config.current import current_configs
from basis_pipeline.config.scenario import load_scenario_set, set_file
from basis_pipeline.errors import BasisError, ConfigError
from basis_pipeline.market.window import Window
from basis_pipeline.orchestration.audit_listener import is_over, recorded
from basis_pipeline.orchestration.control import ControlListener
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.orchestration.partitions import PARTITION, Part, missing_partition, part_of_key
from basis_pipeline.settings import Settings, config_directory, load_settings

DATA_TAG, WINDOW_TAG = "basis/data", "basis/window"


class RunOptions(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Directories, window, capital and overrides of a run; the environment has the defaults.

    Dagster records the values with the run, so that a re-execution uses the same ones.
    """

    data_dir: str | None = Field(default=None, description="raw CSVs; default BASIS_DATA_DIR")
    results_dir: str | None = Field(default=None, description="results; default BASIS_RESULTS_DIR")
    start: str | None = Field(
        default=None, description="date or hour; default BASIS_DATA_START_DATE"
    )
    end: str | None = Field(default=None, description="date or hour; default BASIS_DATA_END_DATE")
    capital: float | None = Field(
        default=None, description="in the share class's currency; default its initial capital"
    )
    overrides: list[str] = Field(
        default=[],
        description="dotted keys of the mode such as `costs.enabled=false`; values are YAML",
    )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["RunOptions"]:
        """Record the steps in the audit log while they execute; hold the gates against limits."""
        instance, run = context.instance, context.run
        try:
            settings = self.settings
        except ConfigError:
            settings = None  # the first asset that needs them fails with this error
        if settings is None or instance is None or run is None:
            yield self
            return
        if not is_over(instance, run):
            instance.add_run_tags(run.run_id, self.origin)
            instance.add_event_listener(run.run_id, ControlListener(instance, run, settings))
        complete = {
            **self.model_dump(),
            "data_dir": settings.data_dir,
            "results_dir": settings.results_dir,
            "start": settings.data_start_date,
            "end": settings.data_end_date,
        }
        with recorded(settings, instance, run, complete):
            yield self

    @cached_property
    def settings(self) -> Settings:
        """The environment's settings with the options of the run. Raises ConfigError."""
        return load_settings(
            data_dir=self.data_dir,
            results_dir=self.results_dir,
            data_start_date=self.start,
            data_end_date=self.end,
        )

    @property
    def origin(self) -> dict[str, str]:
        """Tags of a run with the data directory and the window that its verdicts are about."""
        window = f"{self.window.start:%Y-%m-%dT%H:%M}/{self.window.end:%Y-%m-%dT%H:%M}"
        return {DATA_TAG: str(self.data.resolve()), WINDOW_TAG: window}

    @property
    def data(self) -> Path:
        """Directory of the raw files."""
        return self.settings.data_dir

    @property
    def warehouse(self) -> Path:
        """Directory of the values that assets pass to each other."""
        return self.settings.results_dir / "warehouse"

    @property
    def runs(self) -> Path:
        """Directory of recorded runs, one a directory."""
        return self.settings.results_dir / "runs"

    @property
    def reports(self) -> Path:
        """Directory of the pages."""
        return self.settings.results_dir / "reports"

    @cached_property
    def window(self) -> Window:
        """The window of the run."""
        settings = self.settings
        return Window(pd.Timestamp(settings.data_start_date), pd.Timestamp(settings.data_end_date))

    @property
    def configs(self) -> Configs:
        """The configuration files as they are now."""
        return current_configs()

    def slice(self, mode: str) -> ModeSlice:
        """Return the mode's slice with the overrides. Raises ConfigError."""
        return slice_mode(self.configs, mode, parse_assignments(self.overrides))


# Dagster maps the upstream partitions before a step begins, and a run without a partition would
# fail there with Dagster's own message. A resource is made earlier, and fails with a coded error.
@dg.resource(description="the mode and the scenario set of a study")
def part(context: dg.InitResourceContext) -> Part:
    """Return the partition of a study's run, or fail with API-001, CONFIG-007 or the set's error.

    A run that fails outside of its steps would be retried, which does not help here: a tag
    prevents it.
    """
    run, instance = context.run, context.instance
    assert run is not None
    assert instance is not None
    named = part_of_key(run.tags.get(PARTITION))
    try:
        if not named.mode:
            raise missing_partition("mode", "btc_basis|crises", run.job_name)
        current_configs().mode(named.mode)
        if named.scenario_set:
            load_scenario_set(set_file(config_directory(), named.scenario_set))
    except BasisError as error:
        instance.add_run_tags(run.run_id, {"dagster/max_retries": "0"})
        raise as_failure(error) from error
    return named
