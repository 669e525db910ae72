"""The results store and the event log: there, readable, writable."""

from pathlib import Path

from basis_pipeline.errors import BasisError, EventError, ResultsError
from basis_pipeline.operations.events.files import log_files
from basis_pipeline.operations.events.model import DIRECTORY
from basis_pipeline.operations.health.machine import write_probe
from basis_pipeline.operations.health.model import Found, Status, faulty
from basis_pipeline.results.index import RunIndex
from basis_pipeline.settings import SQLITE, Settings


def results_store(settings: Settings) -> Found:
    """The index opens, the latest run of every mode is what was recorded, and more can be written.

    Nothing is made where nothing has run yet.
    """
    results, runs = settings.results_dir, settings.results_dir / "runs"
    index = Path(settings.results_db_url.removeprefix(SQLITE))
    for place in (results, runs, index.parent):
        if place.exists() and (fault := _unwritable(place)):
            return faulty(
                ResultsError("RS-001", f"results cannot be kept: {fault}", where=str(place))
            )
    if not index.exists():
        if runs.is_dir() and any(runs.iterdir()):
            what = "the index of runs is gone, the runs are there"
            return faulty(ResultsError("RS-005", what, where=str(index)))
        return Found(Status.NOT_READY, "nothing is stored yet: the first run makes it")
    try:
        opened = RunIndex(index)
        recorded = opened.runs()
        latest = {run.mode: run.run_id for run in recorded}
        for run_id in latest.values():
            opened.verify(run_id)
    except BasisError as error:
        return faulty(error)
    told = f"{len(recorded)} runs; the latest of {len(latest)} modes verified"
    return Found(Status.HEALTHY, told, where=str(index))


def event_log(settings: Settings) -> Found:
    """The directory of the log can be read and written; it is made by the first run."""
    directory = settings.results_dir / DIRECTORY
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
