"""`batches`: the modes follow their data."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from basis_pipeline.orchestration.batches import DATA, MODE_JOB, STAGE, following
from basis_pipeline.orchestration.sensors.working import runs_ended, while_work_goes_on
from basis_pipeline.settings import Settings

LIMIT = 200


def batch_sensor(jobs: Mapping[str, Any]) -> dg.SensorDefinition:
    """Looks at the data runs of batches that have ended.

    Not a run status sensor: that one would go on, and forget, while work is halted.
    """

    @dg.sensor(
        name="batches",
        job=jobs[MODE_JOB],
        minimum_interval_seconds=5,
        description="Requests the modes of a batch when its data have been read.",
    )
    @while_work_goes_on
    def batches(context: dg.SensorEvaluationContext, _: Settings) -> dg.SensorResult:
        cursor, requests = context.cursor, {}
        for run, after in runs_ended(context.instance, cursor, {STAGE: [DATA]}, LIMIT):
            cursor = after
            requests.update({request.run_key: request for request in following(run)})
        if not requests:
            return dg.SensorResult(skip_reason="nothing follows", cursor=cursor)
        return dg.SensorResult(run_requests=list(requests.values()), cursor=cursor)

    return batches
