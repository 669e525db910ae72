"""`raw_files`: what is delivered is read, once, when it has stopped growing."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from basis_pipeline.config.automation import AutomationLimits
from basis_pipeline.operations.deliveries import Watch, look, scan
from basis_pipeline.orchestration.batches import DATA_JOB, data_run
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.runs.impact import reach_of
from basis_pipeline.settings import Settings

SHOWN = 5


def delivery_sensor(jobs: Mapping[str, Any], limits: AutomationLimits) -> dg.SensorDefinition:
    """Looks at the signatures of all raw files; its cursor is the tree last asked for."""

    @dg.sensor(
        name="raw_files",
        jobs=[jobs[DATA_JOB]],
        minimum_interval_seconds=15,
        description=(
            "New, changed, shortened or vanished raw files: reads their families and makes the "
            "datasets that use them, and the modes that read these follow. A file is left until it "
            "has stopped growing."
        ),
    )
    @while_work_goes_on
    def raw_files(
        context: dg.SensorEvaluationContext, settings: Settings
    ) -> dg.SensorResult | dg.SkipReason:
        configs = current_configs()
        tree = scan(settings.data_dir, (config.glob for config in configs.datasets.values()))
        watch = Watch.from_json(context.cursor)
        found = look(watch, tree, configs.datasets, limits.settle_seconds, time.time())
        if found.watch is watch:
            return dg.SkipReason(f"{len(tree)} files, none changed")
        cursor = found.watch.as_json()
        if not found.due:
            left = f"waiting for {_listed(found.waiting)} to settle" if found.waiting else "strays"
            return dg.SensorResult(skip_reason=left, cursor=cursor)
        reach = reach_of(configs, found.due)
        cause = "first look at the raw files" if watch.taken is None else _told(found.files)
        request = data_run(f"raw-{found.key}", found.due, reach.datasets, reach.modes, cause)
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return raw_files


def _told(files: Mapping[str, str]) -> str:
    return _listed([f"{name.rpartition('/')[2]} {became}" for name, became in files.items()])


def _listed(names: "list[str] | tuple[str, ...]") -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
