"""Values and messages between processes, on a Redis server.

The same interface as in memory.py. While the server is unreachable every method raises one of
`UNREACHABLE`, at once except for one attempt every few seconds, so that callers do not wait for a
host that does not answer.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import redis
from pybreaker import CircuitBreaker, CircuitBreakerError

from basis_pipeline.settings import SecretUrl
from basis_pipeline.state.memory import Handler, MemoryBus

UNREACHABLE = (redis.ConnectionError, redis.TimeoutError, CircuitBreakerError)
TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 2.0
PREFIX = "basis:"  # a server may be shared


def _client(url: SecretUrl) -> redis.Redis:
    return redis.Redis.from_url(
        url.get_secret_value(),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=None,
    )


def _breaker() -> CircuitBreaker:
    # Any answer of the server, even an error, shows that it is reachable.
    return CircuitBreaker(
        fail_max=1, reset_timeout=RETRY_SECONDS, exclude=[redis.ResponseError, TypeError]
    )


class RedisStore:
    """JSON values by key, with an optional time to live."""

    def __init__(self, url: SecretUrl) -> None:
        self._redis, self._breaker = _client(url), _breaker()

    def get(self, key: str) -> Any:
        """Return the value of a key; None when there is none."""
        value = self._call(self._redis.get, PREFIX + key)
        return None if value is None else orjson.loads(value)

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Set a key; `ttl` is its time to live in seconds."""
        self._call(self._redis.set, PREFIX + key, orjson.dumps(value), px=_milliseconds(ttl))

    def set_if_absent(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Set a key unless it has a value, and return whether it was set. Atomic."""
        content, px = orjson.dumps(value), _milliseconds(ttl)
        return bool(self._call(self._redis.set, PREFIX + key, content, px=px, nx=True))

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a whole number, 0 where there is none, and return the sum. Keeps its `ttl`."""
        return int(self._call(self._redis.incrby, PREFIX + key, by))

    def delete(self, *keys: str) -> int:
        """Remove keys, and return how many there were."""
        return int(self._call(self._redis.delete, *(PREFIX + key for key in keys))) if keys else 0

    def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys that match a pattern with `*`, `?` and `[…]`, in order."""
        found = self._call(lambda: list(self._redis.scan_iter(PREFIX + pattern, count=500)))
        return sorted({key.decode().removeprefix(PREFIX) for key in found})

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self._breaker.call(function, *args, **options)


def _milliseconds(ttl: float | None) -> int | None:
    return None if ttl is None else max(1, round(ttl * 1000))


class RedisBus:
    """Messages by topic, passed to the subscribers of every process.

    One thread listens, and reconnects when the server is back; messages published meanwhile are
    not delivered.
    """

    def __init__(self, url: SecretUrl) -> None:
        self._redis, self._breaker, self._local = _client(url), _breaker(), MemoryBus()
        self._closed, self._listening = threading.Event(), threading.Event()
        self._listener = threading.Thread(target=self._listen, name="redis bus", daemon=True)
        self._listener.start()

    def publish(self, topic: str, message: Any) -> None:
        """Pass a JSON value to every subscriber of the topic. Raises `UNREACHABLE`."""
        self.publish_batch([(topic, message)])

    def publish_batch(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Publish several messages, topic and value, in order. Raises `UNREACHABLE`."""
        if not self._listening.is_set():
            raise redis.ConnectionError("the bus is not subscribed yet")
        pipe = self._redis.pipeline(transaction=False)
        for topic, message in messages:
            pipe.publish(PREFIX + topic, orjson.dumps(message))
        self._breaker.call(pipe.execute)

    def subscribe(self, pattern: str, handler: Handler) -> Callable[[], None]:
        """Call `handler(topic, message)` for every topic that matches a pattern.

        Returns
        -------
        A function that ends the subscription.
        """
        return self._local.subscribe(pattern, handler)

    def wait(self, seconds: float) -> bool:
        """Wait until the bus is subscribed, and return whether it is."""
        return self._listening.wait(seconds)

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._listener.join(2 * TIMEOUT_SECONDS + 1.0)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._redis.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    subscription.psubscribe(f"{PREFIX}*")
                    self._receive(subscription)
            except (redis.RedisError, OSError):
                self._listening.clear()
                self._closed.wait(RETRY_SECONDS)

    def _receive(self, subscription: Any) -> None:
        while not self._closed.is_set():
            message = subscription.get_message(timeout=TIMEOUT_SECONDS / 2)
            if message is None:
                continue
            if message["type"] == "psubscribe":
                self._listening.set()
            elif message["type"] == "pmessage":
                topic = message["channel"].decode().removeprefix(PREFIX)
                self._local.publish(topic, orjson.loads(message["data"]))
