"""`lost_runs`: marks runs whose process has ended as failed, so that Dagster retries them.

The code server does this for the runs it started. A code server that was killed together with its
runs, or a killed `basis run`, leaves runs that stay in progress for Dagster until their maximum
runtime: its run monitoring cannot check the processes of the default run launcher.
"""

import json

import dagster as dg
from dagster import RunsFilter

from basis_pipeline.orchestration.processes import IN_PROGRESS, lost_process


def lost_run_sensor() -> dg.SensorDefinition:
    """Check the process of every run in progress on this machine."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=15,
        description=(
            "Runs in progress whose process has ended: marks them as failed at the second tick, so "
            "that Dagster retries them. Continues during a halt."
        ),
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = set(json.loads(context.cursor)) if context.cursor else set()
        instance = context.instance
        runs = instance.get_runs(RunsFilter(statuses=IN_PROGRESS))
        lost = {run.run_id: pid for run in runs if (pid := lost_process(instance, run))}
        for run in runs:
            if run.run_id in before and run.run_id in lost:
                instance.report_run_failed(run, f"its process {lost[run.run_id]} has ended")
        failed = before & lost.keys()
        reason = f"{len(failed)} of {len(runs)} runs in progress have lost their process"
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(sorted(lost.keys() - before)))

    return lost_runs
