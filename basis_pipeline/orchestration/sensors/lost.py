"""`lost_runs`: runs whose process is gone are failed, so that they are retried and block nobody.

The code server does so for the runs it started; one that was killed together with its runs, or a
killed `basis run`, leaves runs that Dagster would take for running until they exceed their time.
"""

import json
import os

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

PID = "pid"
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
        told = f"{len(failed)} of {len(begun)} runs have lost their process"
        return dg.SensorResult(skip_reason=told, cursor=json.dumps(sorted(gone.keys() - before)))

    return lost_runs


def lost_process(instance: DagsterInstance, run: DagsterRun) -> int | None:
    """The process that a run was begun in, where it is there no more."""
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        found = event.engine_event_data.metadata.get(PID) if event else None
        if found is not None:
            pid = int(str(found.value))
            return None if _is_there(pid) else pid
    return None


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
