"""The results store and the event log: there, readable, writable."""

from pathlib import Path

from basis_pipeline.errors import BasisError, EventError, ResultsError
from basis_pipeline.operations.audit_log import log_directory
from basis_pipeline.operations.audit_log.files import log_files
from basis_pipeline.operations.health.machine import write_probe
from basis_pipeline.operations.health.model import Found, Status, faulty
from basis_pipeline.results.database.archive import QUEUE_FILE, RUNS_DIRECTORY
from basis_pipeline.results.database.connection import place as place_of
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.queue import ResultQueue
from basis_pipeline.results.database.runs import runs, verify
from basis_pipeline.settings import Settings


def results_store(settings: Settings) -> Found:
    """The database answers, the latest run of every mode is what was recorded, nothing is refused.

    Nothing is made where nothing has run yet.
    """
    results, directories = settings.results_dir, settings.results_dir / RUNS_DIRECTORY
    file = sqlite_file(settings.results_db_url)
    for place in (results, directories, file.parent if file else results):
        if place.exists() and (fault := _unwritable(place)):
            return faulty(
                ResultsError("RS-001", f"results cannot be kept: {fault}", where=str(place))
            )
    try:
        engine = existing(settings.results_db_url)
        if engine is None:
            if directories.is_dir() and any(directories.iterdir()):
                what = "the results database is gone, the runs are there"
                return faulty(ResultsError("RS-005", what, where=str(file or "")))
            return Found(Status.NOT_READY, "nothing is stored yet: the first run makes it")
        recorded = runs(engine)
        latest = {record.mode: record for record in recorded}
        for record in latest.values():
            verify(record)
        queue = ResultQueue(results / QUEUE_FILE)
        for run_id, why in queue.set_aside_entries().items():
            what = f"the results database refuses run {run_id}: {why}"
            return faulty(ResultsError("RS-004", what, where=str(queue.file)))
        waiting = len(queue.waiting())
    except BasisError as error:
        return faulty(error)
    told = f"{len(recorded)} runs; the latest of {len(latest)} modes verified; {waiting} wait"
    return Found(Status.HEALTHY, told, where=place_of(engine))


def event_log(settings: Settings) -> Found:
    """The directory of the log can be read and written; it is made by the first run."""
    directory = log_directory(settings)
    if not directory.exists():
        return Found(Status.NOT_READY, "nothing is logged yet: the first run makes it")
    if fault := _unwritable(directory):
        what = f"the event log cannot be written: {fault}"
        return faulty(EventError("EVENT-001", what, where=str(directory)))
    told = f"{len(log_files(directory))} files"
    return Found(Status.HEALTHY, told, where=str(directory))


def _unwritable(place: Path) -> str:
    """Why nothing can be written there; empty when something can."""
    if not place.is_dir():
        return "a file is in its place"
    try:
        write_probe(place)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
