"""`lost_runs`: runs whose process is gone are failed, so that they are retried and block nobody.

The code server does so for the runs it started; one that was killed together with its runs, or a
killed `basis run`, leaves runs that Dagster would take for running until they exceed their time.
"""

import json

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from basis_pipeline.orchestration.processes import lost_process

BEGUN = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def lost_run_sensor() -> dg.SensorDefinition:
    """Looks at the process of every run that has begun, on this machine."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=15,
        description=(
            "Runs whose process is gone at two looks: failed, which has them retried. Goes on in a "
            "halt."
        ),
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = set(json.loads(context.cursor)) if context.cursor else set()
        instance = context.instance
        begun = instance.get_runs(RunsFilter(statuses=BEGUN))
        gone = {run.run_id: pid for run in begun if (pid := lost_process(instance, run))}
        for run in begun:
            if run.run_id in before and run.run_id in gone:
                instance.report_run_failed(run, f"its process {gone[run.run_id]} is gone")
        failed = sorted(before & gone.keys())
        reason = f"{len(failed)} of {len(begun)} runs have lost their process"
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(sorted(gone.keys() - before)))

    return lost_runs
