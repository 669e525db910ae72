"""Shared by the routes: settings, state, counters, and the snapshot of the Dagster instance."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Annotated, Any

from fastapi import Depends, Request
from markupsafe import Markup
from prometheus_client import CollectorRegistry, Counter, Histogram

from basis_pipeline.service.collector import Collector
from basis_pipeline.settings import Settings
from basis_pipeline.state import State

SNAPSHOT, COLLECTED = "snapshot:", "snapshot.collected"  # prefix of the keys; topic of a new one
AT = "at"  # the part that identifies a snapshot, stored after the others
SNAPSHOT_TTL = 300.0  # a snapshot is shown with its time while the next one is delayed
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds; one series per route each
ACCOUNTS = "accounts:"  # prefix of the cached accounts and signals


@dataclass
class Context:
    """The context of one service.

    Parameters
    ----------
    state: shared with the other processes of the API where a Redis server is configured.
    stopping: set when the service stops, so that the streams end.
    rendered: the last content of each part of the dashboard, and its markup.
    """

    settings: Settings
    state: State
    collector: Collector
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    rendered: dict[str, tuple[bytes, Markup]] = field(default_factory=dict)
    _collecting: "RLock" = field(default_factory=RLock)
    _derived: tuple[str, dict[str, Any]] = ("", {})

    def __post_init__(self) -> None:
        """Register the metrics of the service."""
        labels = ("method", "route")
        self.calls = Counter(
            "basis_http_requests", "Calls", (*labels, "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "basis_http_request_seconds",
            "Seconds to answer",
            labels,
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.lookups = Counter(
            "basis_state_lookups", "Values asked for", ("result",), registry=self.registry
        )

    def cached(self, key: str, load: Callable[[], Any], ttl: float | None) -> Any:
        """Return the value of a key; load it and store it where the state has none."""
        found = self.state.get(key)
        self.lookups.labels("miss" if found is None else "hit").inc()
        if found is None and (found := load()) is not None:
            self.state.set(key, found, ttl)
        return found

    @property
    def has_snapshot(self) -> bool:
        """Whether there is a snapshot; the first one takes some seconds."""
        return self.state.get(SNAPSHOT + AT) is not None

    def part(self, name: str) -> Any:
        """Return a part of the latest snapshot, for reading only; collect one if there is none."""

        def load() -> Any:
            found = self.state.get(SNAPSHOT + name)
            return self.collect()[name] if found is None else found

        return self.derived(name, load)

    def derived(self, key: str, make: Callable[[], Any]) -> Any:
        """Return a value that depends on the latest snapshot alone, made once per snapshot."""

        def load() -> Any:
            with self._collecting:  # only one of many waiting callers collects
                return self.state.get(SNAPSHOT + AT) or self.collect()[AT]

        at = self.cached(SNAPSHOT + AT, load, SNAPSHOT_TTL)
        made_from, values = self._derived
        if made_from != at:
            values = {}
            self._derived = at, values
        if key not in values:
            values[key] = make()
        return values[key]

    def collect(self) -> dict[str, Any]:
        """Collect a snapshot now, store it in the shared state and announce it."""
        with self._collecting:
            found = self.collector.collect()
            for name in (*(found.keys() - {AT}), AT):
                self.state.set(SNAPSHOT + name, found[name], SNAPSHOT_TTL)
        self.state.publish(COLLECTED, {"at": found["at"]})
        return found


async def context_of(request: Request) -> Context:
    """Return the context of the application; `async`, so that it needs no thread."""
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(context_of)]
