"""The audit log: past events, and the stream of new ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Header, Query, Request, Response
from starlette.responses import StreamingResponse

from basis_pipeline.errors import EventError
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.service.answers import answer, rendered
from basis_pipeline.service.context import COLLECTED, Context, Shared
from basis_pipeline.service.forms import EventFilters
from basis_pipeline.service.routes import router
from basis_pipeline.service.watcher import TOPIC, as_json

routes = router("events")
BACKLOG = 1000  # events that a slow reader may be behind; then it must reconnect
SILENT_SECONDS = 15.0
EVENT_STREAM = "text/event-stream"


@routes.get("/events")
def list_events(
    request: Request, context: Shared, filters: Annotated[EventFilters, Query()]
) -> Response:
    """List the last events that match, in order of time."""
    return answer(request, {"events": logged(context, filters)})


@routes.get(
    "/events/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def stream_events(
    request: Request,
    context: Shared,
    filters: Annotated[EventFilters, Query()],
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=100)] = "",
) -> Response:
    """Stream events as they happen (server-sent events); `Last-Event-ID` resumes after one.

    An event `snapshot` means that new health and gates have been collected.
    """
    del request
    return StreamingResponse(_stream(context, filters, last), media_type=EVENT_STREAM)


def logged(context: Context, filters: EventFilters) -> list[dict[str, Any]]:
    """Return the last events that match; lines that cannot be read are left out."""
    if filters.since and filters.until and filters.since >= filters.until:
        return []
    try:
        found = read_events(
            log_directory(context.settings),
            types=[str(kind.value) for kind in filters.type],
            categories=[category.value for category in filters.category],
            mode=filters.mode,
            run_id=filters.run,
            since=filters.since,
            until=filters.until,
            limit=filters.limit,
            damages=[],
        )
    except EventError as error:
        if error.code != "EVENT-008":  # nothing has run
            raise
        return []
    return [as_json(event) for event in found]


async def _stream(context: Context, filters: EventFilters, last: str) -> AsyncIterator[bytes]:
    waiting: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(BACKLOG)
    loop, is_behind = asyncio.get_running_loop(), asyncio.Event()

    def put(topic: str, message: dict[str, Any]) -> None:
        try:
            waiting.put_nowait((topic, message))
        except asyncio.QueueFull:
            is_behind.set()

    def receive(topic: str, message: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(put, topic, message)

    ends = [context.state.subscribe(pattern, receive) for pattern in (f"{TOPIC}.*", COLLECTED)]
    try:
        yield b"retry: 2000\n\n"
        for event in await asyncio.to_thread(_missed, context, filters, last):
            last = event["id"]
            yield _message(context, event)
        while not (is_behind.is_set() or context.stopping.is_set()):
            message = b": still here\n\n"
            with suppress(TimeoutError):
                topic, event = await _next(context, waiting)
                if topic == COLLECTED:
                    message = b"event: snapshot\ndata: {}\n\n"
                elif not _later(event["id"], last) or not _matches(event, filters):
                    continue
                else:
                    last, message = event["id"], _message(context, event)
            yield message
    finally:
        for end in ends:
            end()


async def _next(
    context: Context, waiting: "asyncio.Queue[tuple[str, dict[str, Any]]]"
) -> tuple[str, dict[str, Any]]:
    """Return the next message. Raises TimeoutError without one in time, and when stopping."""
    getting = asyncio.ensure_future(waiting.get())
    stopping = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait(
            (getting, stopping), timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if getting.done():
            return getting.result()
        raise TimeoutError
    finally:
        getting.cancel()
        stopping.cancel()


def _missed(context: Context, filters: EventFilters, last: str) -> list[dict[str, Any]]:
    """Return the events logged after the last one that a reader received."""
    at = last.partition("/")[0]
    try:
        since = datetime.fromisoformat(at)
    except ValueError:
        return []
    wanted = filters.model_copy(update={"since": since, "limit": BACKLOG})
    return [event for event in logged(context, wanted) if _later(event["id"], last)]


def _later(one: str, other: str) -> bool:
    return _key(one) > _key(other)


def _key(event_id: str) -> tuple[str, int, int]:
    at, _, rest = event_id.partition("/")
    pid, _, seq = rest.partition("/")
    return at, int(pid) if pid.isdigit() else 0, int(seq) if seq.isdigit() else 0


def _matches(event: dict[str, Any], filters: EventFilters) -> bool:
    kinds = {event["type"], event["fields"].get("kind")}
    runs = {event["run_id"], event["fields"].get("correlation_id")}
    return (
        (not filters.type or any(kind.value in kinds for kind in filters.type))
        and (not filters.category or event["category"] in filters.category)
        and (filters.mode is None or event["mode"] == filters.mode)
        and (filters.run is None or filters.run in runs)
    )


def _message(context: Context, event: dict[str, Any]) -> bytes:
    data = rendered(context.settings, event)
    return b"id: %s\nevent: log\ndata: %s\n\n" % (orjson.dumps(event["id"]).strip(b'"'), data)
