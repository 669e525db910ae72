"""Coded errors in Dagster: a failure carries its code in its metadata, where readers find it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEventType

from basis_pipeline.errors import CAUSE, BasisError, error_from_code

# Another attempt may succeed after a busy database or a slow disk; coded failures are not retried.
RETRIES = dg.RetryPolicy(
    max_retries=2, delay=1.0, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
FIELDS = ("code", "what", "where", "available", "action")
FAILURE_EVENTS = {DagsterEventType.STEP_FAILURE, DagsterEventType.RESOURCE_INIT_FAILURE}
StepFailure = tuple[str, BasisError | str]  # the step, and the error or the exception's message


def error_metadata(error: BasisError) -> dict[str, str]:
    """Return the parts of an error as metadata, without the empty ones."""
    return {name: value for name in FIELDS if (value := getattr(error, name))}


def as_failure(error: BasisError) -> dg.Failure:
    """Return the failure that stops a step because of a coded error, without a retry."""
    return dg.Failure(
        str(error), metadata={**error_metadata(error), CAUSE: error.fault}, allow_retries=False
    )


@contextmanager
def coded_failures() -> Iterator[None]:
    """Turn a coded error into a failure of the step."""
    try:
        yield
    except BasisError as error:
        raise as_failure(error) from error


def failures_of_run(instance: dg.DagsterInstance, run_id: str) -> Iterator[StepFailure]:
    """Yield the failures that the event log of a run holds."""
    entries = instance.all_logs(run_id, of_type=FAILURE_EVENTS)
    return failures(entry.dagster_event for entry in entries if entry.dagster_event)


def failures(events: Iterable[dg.DagsterEvent]) -> Iterator[StepFailure]:
    """Yield the step and the reason of every failure among the events."""
    for event in events:
        if event.event_type is DagsterEventType.RESOURCE_INIT_FAILURE:
            yield event.step_key or "", _resource_failure(event)
        elif event.is_step_failure:
            data = event.step_failure_data
            recorded = data.user_failure_data.metadata if data.user_failure_data else {}
            parts = {name: str(entry.value) for name, entry in recorded.items() if name in FIELDS}
            if "code" in parts:
                error = error_from_code(**parts)
                if CAUSE in recorded:
                    error.context[CAUSE] = str(recorded[CAUSE].value)
                yield event.step_key or "", error
            else:
                yield event.step_key or "", data.error_display_string.strip().splitlines()[0]


def _resource_failure(event: dg.DagsterEvent) -> str:
    """Return why a resource failed. Dagster drops the metadata; the message has the code."""
    error = event.engine_event_data.error
    assert error is not None
    message = error.message.strip().splitlines()[0]
    return message.partition(": ")[2] if error.cls_name == dg.Failure.__name__ else message
