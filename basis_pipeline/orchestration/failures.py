"""Coded errors inside Dagster: a failure carries its code, so that every reader can show it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEventType

from basis_pipeline.errors import CAUSE, BasisError, error_from_code

# What another attempt may repair: a database that was busy, a disk that was slow to answer. A
# coded failure says that it may not.
RETRIES = dg.RetryPolicy(
    max_retries=2, delay=1.0, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
FIELDS = ("code", "what", "where", "available", "action")
TELLING = {DagsterEventType.STEP_FAILURE, DagsterEventType.RESOURCE_INIT_FAILURE}


def error_metadata(error: BasisError) -> dict[str, str]:
    """The parts of an error as metadata; empty ones are left out."""
    return {name: value for name in FIELDS if (value := getattr(error, name))}


def as_failure(error: BasisError) -> dg.Failure:
    """The failure that stops a step for a coded reason; another attempt would not help."""
    return dg.Failure(
        str(error), metadata={**error_metadata(error), CAUSE: error.fault}, allow_retries=False
    )


@contextmanager
def coded_failures() -> Iterator[None]:
    """Turn a coded error into the failure of the step."""
    try:
        yield
    except BasisError as error:
        raise as_failure(error) from error


def failures(result: dg.ExecuteInProcessResult) -> Iterator[tuple[str, BasisError | str]]:
    """Step and reason of every failed step: the coded error, else the message of the exception."""
    return reasons(result.all_events)


def reasons(events: Iterable[dg.DagsterEvent]) -> Iterator[tuple[str, BasisError | str]]:
    """Step and reason of every `TELLING` event among the events."""
    for event in events:
        if event.event_type is DagsterEventType.RESOURCE_INIT_FAILURE:
            yield event.step_key or "", _unmade(event)
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


def _unmade(event: dg.DagsterEvent) -> str:
    """Why a resource is not there. The metadata of a failure are lost, its message has the code."""
    error = event.engine_event_data.error
    assert error is not None
    message = error.message.strip().splitlines()[0]
    return message.partition(": ")[2] if error.cls_name == dg.Failure.__name__ else message
