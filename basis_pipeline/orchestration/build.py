"""The definitions of the code location, the same for production and for tests."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from basis_pipeline.config.account import account_names
from basis_pipeline.config.current import current_configs
from basis_pipeline.orchestration.assets import all_assets
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.jobs import all_jobs, upkeep_job
from basis_pipeline.orchestration.resources import RunOptions, part
from basis_pipeline.orchestration.schedules import all_schedules
from basis_pipeline.orchestration.sensors import all_sensors
from basis_pipeline.settings import config_directory


def build_defs(
    resources: Mapping[str, Any] | None = None, executor: dg.ExecutorDefinition | None = None
) -> dg.Definitions:
    """Build the definitions from the project's `configs/`.

    Parameters
    ----------
    resources: replacements of `options` and `warehouse`, by name.
    executor: how the steps of a run execute; by default in the process of the run.

    Raises
    ------
    ConfigError: a configuration file is missing or wrong.
    """
    configs = current_configs()
    partitions = dg.StaticPartitionsDefinition(sorted(configs.mode_names))
    accounts = account_names(config_directory())
    jobs = all_jobs(configs, accounts)
    options = RunOptions.configure_at_launch()
    return dg.Definitions(
        assets=all_assets(configs, partitions, accounts),
        jobs=[*jobs, upkeep_job],
        schedules=all_schedules(jobs, accounts),
        sensors=all_sensors(configs, jobs),
        resources={
            "options": options,
            "warehouse": ParquetIOManager(options=options),
            "part": part,
            **(resources or {}),
        },
        executor=executor or dg.in_process_executor,
    )
