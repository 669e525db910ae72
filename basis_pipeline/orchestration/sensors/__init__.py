"""Sensors, switched off by default: the operator switches them on. One module per sensor.

file_changes.py   new, changed and deleted raw files → a batch of runs
configuration.py  changed configuration files → a batch of the modes that use them
batches.py        data runs that succeeded → the runs of the modes
pages.py          finished runs → the pages that show their verdicts
requests.py       the inbox and the queue of backtest requests → runs that serve them
alerts.py         failed runs, failed gates, changes of emergency control → alerts
lost.py           runs whose process has ended → failed, so that Dagster retries them
evaluation.py     shared: settings, the halt, runs finished since the last tick
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from basis_pipeline.config import Configs
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.orchestration.sensors.alerts import alert_sensor
from basis_pipeline.orchestration.sensors.batches import batch_sensor
from basis_pipeline.orchestration.sensors.configuration import configuration_sensor
from basis_pipeline.orchestration.sensors.file_changes import file_sensor
from basis_pipeline.orchestration.sensors.lost import lost_run_sensor
from basis_pipeline.orchestration.sensors.pages import page_sensor
from basis_pipeline.orchestration.sensors.requests import request_sensor
from basis_pipeline.settings import config_directory


def all_sensors(configs: Configs, jobs: Iterable[Any]) -> list[dg.SensorDefinition]:
    """Return every sensor; `jobs` are the jobs they request runs of.

    Raises
    ------
    ConfigError: the limits of automation cannot be used.
    """
    limits = load_automation_limits(config_directory())
    by_name = {job.name: job for job in jobs}
    return [
        file_sensor(by_name, limits),
        configuration_sensor(by_name, tuple(configs.mode_names)),
        batch_sensor(by_name),
        page_sensor(by_name, tuple(configs.mode_names)),
        request_sensor(by_name, limits),
        alert_sensor(limits),
        lost_run_sensor(),
    ]
