"""The loop of a service: collects snapshots, and publishes the events of the audit log."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import fields
from typing import Any

from basis_pipeline.operations.audit_log import Event, log_directory
from basis_pipeline.operations.audit_log.following import Follower
from basis_pipeline.service.context import ACCOUNTS, Context
from basis_pipeline.state import State

POLL_SECONDS = 0.25
COLLECT_SECONDS = 15.0
MIN_COLLECT_SECONDS = 2.0  # after an event, so that many events do not collect without pause
TOPIC = "events"
LEADER, LEADER_TTL = "follower", 3.0
FIELDS = tuple(field.name for field in fields(Event))
LOG = logging.getLogger("uvicorn.error")
# Events that change health or gates.
CHANGING = {
    *("run_finished", "run_blocked", "halted", "resumed", "alerted", "shut_down"),
    *("data_rejected", "request_served"),
}
# Events that change accounts or signals.
OF_ACCOUNTS = {"signal", "leg_started", "revision_found", "revision_accepted"}


async def watch(context: Context, name: str) -> None:
    """Follow the log and collect snapshots until the service stops.

    Of several services on one Redis server only the holder of a key publishes events; while the
    server is unreachable each publishes to itself.
    """
    follower = await asyncio.to_thread(Follower, log_directory(context.settings))
    collected, is_stale = time.monotonic() - COLLECT_SECONDS, False
    collecting: asyncio.Task[Any] | None = None
    while True:
        events = await asyncio.to_thread(follower.read)
        if any(event.type in OF_ACCOUNTS for event in events):
            await asyncio.to_thread(_forget_accounts, context.state)
        if await asyncio.to_thread(leads, context, name) and events:
            messages = [(f"{TOPIC}.{event.category}", as_json(event)) for event in events]
            await asyncio.to_thread(context.state.publish_batch, messages)
        is_stale = is_stale or any(event.type in CHANGING for event in events)
        wait = MIN_COLLECT_SECONDS if is_stale else COLLECT_SECONDS
        is_idle = collecting is None or collecting.done()
        if is_idle and time.monotonic() - collected >= wait:
            collecting = asyncio.create_task(_collect(context))
            collected, is_stale = time.monotonic(), False
        with suppress(TimeoutError):
            await asyncio.wait_for(context.stopping.wait(), POLL_SECONDS)
            return


def _forget_accounts(state: State) -> None:
    state.delete(*state.keys(f"{ACCOUNTS}*"))


async def _collect(context: Context) -> None:
    try:
        await asyncio.to_thread(context.collect)
    except Exception:  # the next one may succeed
        LOG.exception("the snapshot cannot be collected")


def leads(context: Context, name: str) -> bool:
    """Say whether this service is the one that publishes events."""
    state = context.state
    if state.set_if_absent(LEADER, name, LEADER_TTL):
        return True
    if state.get(LEADER) != name:
        return state.is_degraded
    state.set(LEADER, name, LEADER_TTL)
    return True


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as JSON values, with the id that a stream resumes after."""
    at = event.at.isoformat(timespec="microseconds")
    values = {name: getattr(event, name) for name in FIELDS}
    return {"id": f"{at}/{event.pid}/{event.seq}", **values, "at": at}
