"""`batches`: requests the modes after their data run has succeeded."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from basis_pipeline.orchestration.batches import DATA, MODE_JOB, STAGE, next_runs
from basis_pipeline.orchestration.sensors.evaluation import finished_runs, unless_halted
from basis_pipeline.settings import Settings

LIMIT = 200


def batch_sensor(jobs: Mapping[str, Any]) -> dg.SensorDefinition:
    """Watch the finished data runs of batches.

    A run status sensor would move its cursor during a halt, and the modes would never run.
    """

    @dg.sensor(
        name="batches",
        job=jobs[MODE_JOB],
        minimum_interval_seconds=5,
        description="Data runs of batches that have succeeded: requests the modes of the batch.",
    )
    @unless_halted
    def batches(context: dg.SensorEvaluationContext, _: Settings) -> dg.SensorResult:
        cursor, requests = context.cursor, {}
        for run, after in finished_runs(context.instance, cursor, {STAGE: [DATA]}, LIMIT):
            cursor = after
            requests.update({request.run_key: request for request in next_runs(run)})
        if not requests:
            return dg.SensorResult(skip_reason="no data run has succeeded", cursor=cursor)
        return dg.SensorResult(run_requests=list(requests.values()), cursor=cursor)

    return batches
