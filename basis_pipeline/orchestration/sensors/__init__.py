"""Sensors, all shipped switched off: whoever runs the platform decides. One module a concept.

file_changes.py   new, changed and vanished raw files → a batch of runs
configuration.py  changed configuration files → a batch of the modes they touch
batches.py        data that were read → the modes that follow
pages.py          runs that ended → the pages that show their verdicts
requests.py       the inbox and the queue of backtest requests → runs that serve them
alerts.py         runs that failed, gates that failed, work that was halted → alerts
lost.py           runs whose process is gone → failed, which has them retried
working.py        what they share: settings, the halt, runs that have ended
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
    """Every sensor; `jobs` are those they may request runs of.

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
