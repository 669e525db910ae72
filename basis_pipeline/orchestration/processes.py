"""The processes of runs on this machine: whether a run that has begun still has its own."""

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

PID = "pid"


def is_executing(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the run has begun, is not over, and its process is there."""
    begun = run.status in (DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
    return begun and lost_process(instance, run) is None


def lost_process(instance: DagsterInstance, run: DagsterRun) -> int | None:
    """Return the process that a run was begun in, where it is there no more; else None."""
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        found = event.engine_event_data.metadata.get(PID) if event else None
        if found is not None:
            pid = int(str(found.value))
            return None if _is_there(pid) else pid
    return None


def _is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
