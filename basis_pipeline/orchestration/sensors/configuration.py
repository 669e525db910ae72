"""`configuration`: runs the modes and datasets again whose configuration has changed."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from basis_pipeline.backtests.impact import changed, fingerprints, reach_of
from basis_pipeline.config.current import current_configs
from basis_pipeline.orchestration.batches import DATA_JOB, MODE_JOB, data_run, mode_runs
from basis_pipeline.orchestration.sensors.evaluation import unless_halted
from basis_pipeline.settings import Settings


def configuration_sensor(jobs: Mapping[str, Any], modes: Collection[str]) -> dg.SensorDefinition:
    """Compare the slice of every mode, and every catalogue entry, with those of the last tick.

    modes: those of the loaded code location; a new mode has no partition before a reload.
    """

    @dg.sensor(
        name="configuration",
        jobs=[jobs[DATA_JOB], jobs[MODE_JOB]],
        minimum_interval_seconds=30,
        description=(
            "Changed configuration: rebuilds the datasets whose catalogue entry has changed, then "
            "runs the modes whose slice has changed or that read these datasets. The first tick "
            "only records the configuration."
        ),
    )
    @unless_halted
    def configuration(context: dg.SensorEvaluationContext, _: Settings) -> dg.SensorResult:
        configs = current_configs()
        now = fingerprints(configs)
        cursor = json.dumps(now, sort_keys=True)
        if not context.cursor:
            reason = "first tick: the configuration is recorded"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        before = json.loads(context.cursor)
        datasets = changed(before["datasets"], now["datasets"])
        reach = reach_of(configs, datasets)
        affected = sorted({*changed(before["modes"], now["modes"]), *reach.modes} & set(modes))
        new = sorted(set(configs.mode_names) - set(modes))
        if not affected and not datasets:
            reason = f"reload the code location for {', '.join(new)}" if new else "nothing changed"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        cause = f"configuration of {', '.join([*datasets, *affected])}"
        change = f"{context.cursor} {cursor}"  # a change that is undone is another change
        batch = f"config-{hashlib.sha256(change.encode()).hexdigest()[:16]}"
        if datasets:
            requests = [data_run(batch, datasets, reach.datasets, affected, cause)]
        else:
            requests = mode_runs(batch, affected, cause, batch)
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return configuration
