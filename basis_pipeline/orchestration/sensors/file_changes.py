"""`raw_files`: new and changed raw files are read once, when they have stopped changing."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from basis_pipeline.backtests.impact import reach_of
from basis_pipeline.config.automation import AutomationLimits
from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.file_changes import Watch, compare, take_snapshots
from basis_pipeline.orchestration.batches import DATA_JOB, data_run
from basis_pipeline.orchestration.sensors.evaluation import unless_halted
from basis_pipeline.settings import Settings

SHOWN = 5


def file_sensor(jobs: Mapping[str, Any], limits: AutomationLimits) -> dg.SensorDefinition:
    """Watch the raw files of all feeds; the cursor holds what was last requested per feed."""

    @dg.sensor(
        name="raw_files",
        jobs=[jobs[DATA_JOB]],
        minimum_interval_seconds=15,
        description=(
            "New, changed, shortened or deleted raw files: reads their feeds and builds the "
            "datasets that use them; the modes that read these run next. A file is read once it "
            "has stopped changing."
        ),
    )
    @unless_halted
    def raw_files(
        context: dg.SensorEvaluationContext, settings: Settings
    ) -> dg.SensorResult | dg.SkipReason:
        configs = current_configs()
        snapshots = take_snapshots(settings.data_dir, configs.datasets)
        watch = Watch.from_json(context.cursor)
        tick = compare(watch, snapshots, limits.settle_seconds, time.time())
        if tick.watch is watch:
            files = sum(snapshot.files for snapshot in snapshots.values())
            return dg.SkipReason(f"{files} files, none changed")
        cursor = tick.watch.to_json()
        if not tick.due:
            reason = "no change is left to request"
            if tick.waiting:
                reason = f"waiting for {_listed(tick.waiting)} to stop changing"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        reach = reach_of(configs, tick.due)
        changes = [f"{feed} {change}" for feed, change in tick.due.items()]
        cause = "first tick on the raw files" if watch.taken is None else _listed(changes)
        request = data_run(f"raw-{tick.key}", tick.due, reach.datasets, reach.modes, cause)
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return raw_files


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
