"""`pages`: every page that shows verdicts is written anew when a run may have changed them."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.operations.control import State, read_state
from basis_pipeline.orchestration.assets.audit import GATES
from basis_pipeline.orchestration.batches import (
    FINISHED,
    PAGES_JOB,
    UNFINISHED,
    changes_verdicts,
    is_followed,
    page_runs,
    sheet_runs,
    writes_pages,
)
from basis_pipeline.settings import load_settings

FIRST_LOOK_BACK = timedelta(hours=1)
PATIENCE = timedelta(minutes=10)  # with runs that are still going on
LIMIT = 500


def page_sensor(jobs: Mapping[str, Any], modes: Collection[str]) -> dg.SensorDefinition:
    """Compares the end of runs, failed ones included, with the pages as they were written.

    It has no cursor: a run that ended after a page was begun is not on it. Goes on in a halt,
    which is itself a change that the pages show.
    """

    @dg.sensor(
        name="pages",
        job=jobs[PAGES_JOB],
        minimum_interval_seconds=10,
        description=(
            "Runs that have ended since the pages were written, whatever became of them: writes "
            "the gates, the data audit and the comparison anew, and the tear sheets of modes that "
            "did not come so far. Waits a while for runs that are going on. Goes on in a halt."
        ),
    )
    def pages(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if read_state(load_settings()).name is State.SHUTDOWN:
            return dg.SkipReason("shut down: no page is written")
        instance = context.instance
        going_on = instance.get_runs(RunsFilter(statuses=UNFINISHED))
        if any(map(writes_pages, going_on)):
            return dg.SkipReason("the pages are being written")
        ended = _not_on_the_page(instance)
        is_quiet = not going_on and all(is_followed(instance, run) for _, run in ended)
        if ended and not is_quiet and datetime.now(UTC) - ended[0][0] < PATIENCE:
            return dg.SkipReason("runs are going on")
        requests = sheet_runs(instance, modes) if not going_on else []
        requests += page_runs(instance, ended[-1][1]) if ended else []
        if not requests:
            return dg.SkipReason("every run that has ended is on the pages")
        return dg.SensorResult(run_requests=requests)

    return pages


def _not_on_the_page(instance: DagsterInstance) -> list[tuple[datetime, DagsterRun]]:
    """Runs that ended after the latest page of gates was begun, in order, each with its end."""
    latest = instance.fetch_materializations(dg.AssetRecordsFilter(GATES), limit=1).records
    begun = datetime.now(UTC) - FIRST_LOOK_BACK
    if latest and (written := instance.get_run_record_by_id(latest[0].run_id)):
        begun = datetime.fromtimestamp(written.start_time or latest[0].timestamp, UTC)
    records = instance.get_run_records(
        RunsFilter(statuses=FINISHED, updated_after=begun),
        order_by="update_timestamp",
        ascending=True,
        limit=LIMIT,
    )
    ends = [
        (datetime.fromtimestamp(record.end_time, UTC), record.dagster_run)
        for record in records
        if record.end_time and changes_verdicts(record.dagster_run)
    ]
    return [(end, run) for end, run in ends if end >= begun]
