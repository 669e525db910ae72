"""Shared by sensors and schedules: settings, the halt, and runs finished since the last tick."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TypeVar

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.operations.control import read_state
from basis_pipeline.orchestration.batches import FINISHED
from basis_pipeline.settings import Settings, load_settings

FIRST_WINDOW = timedelta(hours=1)  # of the first tick
OVERLAP = timedelta(seconds=2)  # of two ticks: a run may be stored a little after its time

C = TypeVar("C", dg.SensorEvaluationContext, dg.ScheduleEvaluationContext)
R = TypeVar("R")


def unless_halted(
    evaluate: Callable[[C, Settings], R],
) -> Callable[[C], R | dg.SkipReason]:
    """Skip the evaluation while work is halted; the cursor stays, so that no change is missed.

    Every sensor and schedule that requests backtests or data uses it; health and alerts do not.
    """

    @wraps(evaluate)
    def guarded(context: C) -> R | dg.SkipReason:
        settings = load_settings()
        state = read_state(settings)
        if state.stops_work:
            return dg.SkipReason(state.description)
        return evaluate(context, settings)

    # Dagster passes the context by parameter name, and would find the two of the wrapped function.
    del guarded.__wrapped__
    return guarded


def finished_runs(
    instance: DagsterInstance, cursor: str | None, tags: Mapping[str, Sequence[str]], limit: int
) -> Iterator[tuple[DagsterRun, str]]:
    """Yield the runs that have ended since the tick that stored the cursor, with the next cursor.

    Each run comes once, in the order of their ends, if the caller stores the cursors. Without a
    cursor the runs of the last hour come.
    """
    known = json.loads(cursor) if cursor else {}
    since = known.get("since")
    start = datetime.fromisoformat(since) if since else datetime.now(UTC) - FIRST_WINDOW
    seen: dict[str, str] = dict(known.get("seen", {}))
    wanted = RunsFilter(tags=dict(tags), statuses=FINISHED, updated_after=start - OVERLAP)
    records = instance.get_run_records(wanted, order_by="update_timestamp", ascending=True)
    count = 0
    for record in records:
        run, at = record.dagster_run, record.update_timestamp
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        if run.run_id in seen or count == limit:
            continue
        count += 1
        seen[run.run_id] = at.isoformat()
        start = max(start, at)
        recent = {
            key: when
            for key, when in seen.items()
            if datetime.fromisoformat(when) >= start - 2 * OVERLAP
        }
        yield run, json.dumps({"since": start.isoformat(), "seen": recent})
