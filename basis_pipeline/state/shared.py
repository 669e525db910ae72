"""Redis where one is configured, and memory while it is unreachable."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from basis_pipeline.settings import SecretUrl
from basis_pipeline.state.memory import Handler, MemoryBus, MemoryStore
from basis_pipeline.state.redis import UNREACHABLE, RedisBus, RedisStore


def open_state(url: SecretUrl) -> "State":
    """Return the state on the Redis server of a URL, in memory for an empty one. Never raises."""
    return State(RedisStore(url), RedisBus(url)) if url else State()


class State:
    """A store and a bus whose methods never fail.

    Values are also set in memory, for the time that Redis is unreachable; reads use Redis again as
    soon as it is back.
    """

    def __init__(self, store: RedisStore | None = None, bus: RedisBus | None = None) -> None:
        self._redis, self._bus = store, bus
        self._memory, self._local = MemoryStore(), MemoryBus()
        self.is_degraded = False

    @property
    def is_shared(self) -> bool:
        """Whether a Redis server is configured."""
        return self._redis is not None

    def get(self, key: str) -> Any:
        """Return the value of a key; None when there is none."""
        return self._ask("get", key)

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Set a key; `ttl` is its time to live in seconds."""
        self._memory.set(key, value, ttl)
        if self._redis:
            self._ask("set", key, value, ttl)

    def set_if_absent(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Set a key unless it has a value, and return whether it was set."""
        return bool(self._ask("set_if_absent", key, value, ttl))

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a whole number, 0 where there is none, and return the sum."""
        return int(self._ask("increment", key, by))

    def delete(self, *keys: str) -> int:
        """Remove keys, and return how many there were."""
        removed = self._memory.delete(*keys)
        return int(self._ask("delete", *keys)) if self._redis else removed

    def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys that match a pattern, in order."""
        return list(self._ask("keys", pattern))

    def publish(self, topic: str, message: Any) -> None:
        """Pass a JSON value to every subscriber of the topic."""
        self.publish_batch([(topic, message)])

    def publish_batch(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Publish several messages in order; only to this process while Redis is unreachable."""
        messages = list(messages)
        if self._bus:
            with suppress(*UNREACHABLE):
                return self._bus.publish_batch(messages)
        return self._local.publish_batch(messages)

    def subscribe(self, pattern: str, handler: Handler) -> Callable[[], None]:
        """Call `handler(topic, message)` for matching topics; return what ends the subscription."""
        ends = [bus.subscribe(pattern, handler) for bus in (self._local, self._bus) if bus]

        def end_all() -> None:
            for end in ends:
                end()

        return end_all

    def close(self) -> None:
        """Stop listening."""
        if self._bus:
            self._bus.close()

    def _ask(self, name: str, *arguments: Any) -> Any:
        if self._redis:
            try:
                answer = getattr(self._redis, name)(*arguments)
            except UNREACHABLE:
                self.is_degraded = True
            else:
                self.is_degraded = False
                return answer
        return getattr(self._memory, name)(*arguments)
