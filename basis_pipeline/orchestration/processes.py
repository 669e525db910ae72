"""The processes of runs on this machine: whether a started run still has its process."""

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

PID = "pid"
IN_PROGRESS = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def is_executing(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Say whether a run is in progress and its process is alive."""
    return run.status in IN_PROGRESS and lost_process(instance, run) is None


def lost_process(instance: DagsterInstance, run: DagsterRun) -> int | None:
    """Return the id of the process that a run started in, if that has ended; else None."""
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        found = event.engine_event_data.metadata.get(PID) if event else None
        if found is not None:
            pid = int(str(found.value))
            return None if _is_alive(pid) else pid
    return None


def _is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
