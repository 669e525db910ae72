"""Values and messages within one process. The same interface as in redis.py, method by method."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from threading import RLock
from typing import Any

import orjson

Handler = Callable[[str, Any], None]
LOG = logging.getLogger(__name__)


class MemoryStore:
    """JSON values by key, with an optional time to live."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, float]] = {}
        self._lock = RLock()

    def get(self, key: str) -> Any:
        """Return the value of a key; None when there is none."""
        with self._lock:
            value, until = self._values.get(key, (b"null", 0.0))
            if until <= time.monotonic():
                self._values.pop(key, None)
                return None
            return orjson.loads(value)

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Set a key; `ttl` is its time to live in seconds."""
        until = float("inf") if ttl is None else time.monotonic() + ttl
        with self._lock:
            self._values[key] = (orjson.dumps(value), until)

    def set_if_absent(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Set a key unless it has a value, and return whether it was set. Atomic."""
        with self._lock:
            is_absent = self.get(key) is None
            if is_absent:
                self.set(key, value, ttl)
            return is_absent

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a whole number, 0 where there is none, and return the sum. Keeps its `ttl`."""
        with self._lock:
            total = int(self.get(key) or 0) + by
            _, until = self._values.get(key, (b"", float("inf")))
            self._values[key] = (orjson.dumps(total), until)
            return total

    def delete(self, *keys: str) -> int:
        """Remove keys, and return how many there were."""
        with self._lock:
            return len([self._values.pop(key) for key in keys if self.get(key) is not None])

    def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys that match a pattern with `*`, `?` and `[…]`, in order."""
        with self._lock:
            matching = [key for key in self._values if fnmatchcase(key, pattern)]
            return sorted(key for key in matching if self.get(key) is not None)


class MemoryBus:
    """Messages by topic, passed to each subscriber in the thread that publishes."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._lock = RLock()

    def publish(self, topic: str, message: Any) -> None:
        """Pass a JSON value to every subscriber of the topic."""
        with self._lock:
            matching = [
                handler
                for pattern, handlers in self._handlers.items()
                if fnmatchcase(topic, pattern)
                for handler in handlers
            ]
        for handler in matching:
            try:
                handler(topic, orjson.loads(orjson.dumps(message)))
            except Exception:  # one failing handler stops no other
                LOG.exception("a handler of %s failed", topic)

    def publish_batch(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Publish several messages, topic and value, in order."""
        for topic, message in messages:
            self.publish(topic, message)

    def subscribe(self, pattern: str, handler: Handler) -> Callable[[], None]:
        """Call `handler(topic, message)` for every topic that matches a pattern.

        Returns
        -------
        A function that ends the subscription.
        """
        with self._lock:
            self._handlers.setdefault(pattern, []).append(handler)
        return lambda: self._unsubscribe(pattern, handler)

    def _unsubscribe(self, pattern: str, handler: Handler) -> None:
        with self._lock, suppress(KeyError, ValueError):
            self._handlers[pattern].remove(handler)
            if not self._handlers[pattern]:
                del self._handlers[pattern]
