"""`configuration`: changed files run again what they touch."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from basis_pipeline.backtests.impact import changed, fingerprints, reach_of
from basis_pipeline.config.current import current_configs
from basis_pipeline.orchestration.batches import DATA_JOB, MODE_JOB, data_run, mode_runs
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.settings import Settings


def configuration_sensor(jobs: Mapping[str, Any], modes: Collection[str]) -> dg.SensorDefinition:
    """Compares the slice of every mode, and every catalogue entry, with the last ones asked for.

    modes: those the code location was loaded with; another one has no partition yet.
    """

    @dg.sensor(
        name="configuration",
        jobs=[jobs[DATA_JOB], jobs[MODE_JOB]],
        minimum_interval_seconds=30,
        description=(
            "Changed configuration: runs the modes whose slice has changed, after making anew the "
            "datasets whose catalogue entry has. The first look only remembers."
        ),
    )
    @while_work_goes_on
    def configuration(context: dg.SensorEvaluationContext, _: Settings) -> dg.SensorResult:
        configs = current_configs()
        now = fingerprints(configs)
        cursor = json.dumps(now, sort_keys=True)
        if not context.cursor:
            return dg.SensorResult(skip_reason="first look: remembered", cursor=cursor)
        before = json.loads(context.cursor)
        datasets = changed(before["datasets"], now["datasets"])
        reach = reach_of(configs, datasets)
        touched = sorted({*changed(before["modes"], now["modes"]), *reach.modes} & set(modes))
        new = sorted(set(configs.mode_names) - set(modes))
        if not touched and not datasets:
            waiting = f"reload the code location for {', '.join(new)}" if new else ""
            return dg.SensorResult(skip_reason=waiting or "nothing changed", cursor=cursor)
        cause = f"configuration of {', '.join([*datasets, *touched])}"
        change = f"{context.cursor} {cursor}"  # a state that came back is another change
        batch = f"config-{hashlib.sha256(change.encode()).hexdigest()[:16]}"
        if datasets:
            requests = [data_run(batch, datasets, reach.datasets, touched, cause)]
        else:
            requests = mode_runs(batch, touched, cause, batch)
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return configuration
