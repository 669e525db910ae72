"""The state in memory and on Redis: one suite for both, then what happens while Redis is gone."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from basis_pipeline.settings import SecretUrl
from basis_pipeline.state import State, open_state
from basis_pipeline.state.memory import MemoryBus, MemoryStore
from basis_pipeline.state.redis import RedisBus, RedisStore
from tests.redis_server import RedisServer, redis_server

Store = MemoryStore | RedisStore | State
Bus = MemoryBus | RedisBus


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Yield a real server."""
    with redis_server() as started:
        yield started


@pytest.fixture(params=["memory", "redis", "shared"])
def store(request: pytest.FixtureRequest) -> Store:
    """Return an empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    url = request.getfixturevalue("server").url
    made = RedisStore(url) if request.param == "redis" else open_state(url)
    made.delete(*made.keys())
    return made


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """Yield a subscribed bus of each kind."""
    if request.param == "memory":
        yield MemoryBus()
        return
    made = RedisBus(request.getfixturevalue("server").url)
    assert made.wait(5)
    yield made
    made.close()


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_value_is_what_was_set(store: Store) -> None:
    """Any JSON value; None without one."""
    value = {"text": "é", "numbers": [1, 2.5, None], "flag": True}
    assert store.get("a") is None
    store.set("a", value)
    assert store.get("a") == value
    store.set("a", 2)
    assert store.get("a") == 2


def test_a_value_is_gone_after_its_time(store: Store) -> None:
    """Neither read nor listed, and free to be set again; setting it anew takes the limit away."""
    store.set("short", 1, ttl=0.05)
    store.set("kept", 1, ttl=0.05)
    store.set("kept", 2)
    eventually(lambda: store.get("short") is None)
    assert store.keys() == ["kept"]
    assert store.set_if_absent("short", 3)


def test_deleting_counts_what_was_there(store: Store) -> None:
    """Keys that are not there count for nothing."""
    store.set("a", 1)
    store.set("b", 1)
    assert store.delete("a", "b", "c") == 2
    assert store.delete() == 0
    assert store.keys() == []


def test_of_many_that_increment_none_is_lost(store: Store) -> None:
    """Eight threads, one sum."""
    threads = [
        threading.Thread(target=lambda: [store.increment("n") for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("n") == 400
    assert store.increment("n", -100) == 300


def test_of_many_that_want_a_key_one_gets_it(store: Store) -> None:
    """The value is the winner's."""
    won: list[int] = []

    def want(number: int) -> None:
        if store.set_if_absent("leader", number, ttl=30):
            won.append(number)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get("leader")] == won


def test_keys_are_found_by_pattern(store: Store) -> None:
    """In order; a pattern that matches nothing finds nothing."""
    for key in ("health:b", "health:a", "request:1"):
        store.set(key, 1)
    assert store.keys("health:*") == ["health:a", "health:b"]
    assert store.keys("request:?") == ["request:1"]
    assert store.keys("x*") == []


def test_messages_arrive_in_order_by_topic_and_pattern(bus: Bus) -> None:
    """Each subscriber gets what it asked for, a batch as it was given."""
    exact: list[object] = []
    matching: list[object] = []
    bus.subscribe("events.audit", lambda _, message: exact.append(message))
    bus.subscribe("events.*", lambda topic, message: matching.append((topic, message)))
    bus.publish("events.audit", {"n": 1})
    bus.publish_batch([("events.data", 2), ("other", 3), ("events.audit", 4)])
    eventually(lambda: len(matching) == 3)
    assert exact == [{"n": 1}, 4]
    assert matching == [("events.audit", {"n": 1}), ("events.data", 2), ("events.audit", 4)]


def test_a_failing_handler_stops_no_other(bus: Bus) -> None:
    """Neither the one behind it nor the next message."""
    received: list[object] = []

    def fail(_topic: str, _message: object) -> None:
        raise ValueError("broken")

    bus.subscribe("a", fail)
    bus.subscribe("a", lambda _, message: received.append(message))
    bus.publish_batch([("a", 1), ("a", 2)])
    eventually(lambda: received == [1, 2])


def test_a_subscription_ends(bus: Bus) -> None:
    """Others go on."""
    ended: list[object] = []
    going_on: list[object] = []
    end = bus.subscribe("a", lambda _, message: ended.append(message))
    bus.subscribe("a", lambda _, message: going_on.append(message))
    end()
    bus.publish("a", 1)
    eventually(lambda: going_on == [1])
    assert ended == []


def test_nothing_stops_while_redis_is_gone_and_it_comes_back_by_itself() -> None:
    """Reads and messages stay within the process meanwhile, and the state says that it is so."""
    with redis_server() as server:
        state, other = open_state(server.url), open_state(server.url)
        received: list[object] = []
        other.subscribe("a", lambda _, message: received.append(message))
        state.subscribe("a", lambda _, message: received.append(message))
        state.set("kept", 1)
        assert other.get("kept") == 1

        server.stop()
        assert state.get("kept") == 1
        assert state.is_degraded
        state.set("later", 2)
        assert state.get("later") == 2
        assert state.increment("n") == 1
        state.publish("a", "alone")
        eventually(lambda: "alone" in received)

        server.start()
        eventually(lambda: other.get("nothing") is None and not other.is_degraded)
        eventually(lambda: state.get("nothing") is None and not state.is_degraded)
        state.set("again", 3)
        assert other.get("again") == 3

        def reaches_both() -> bool:
            received.clear()
            state.publish("a", "both")
            time.sleep(0.2)
            return received == ["both", "both"]

        eventually(reaches_both)
        state.close()
        other.close()


def test_a_server_that_never_answers_is_asked_seldom() -> None:
    """No request waits for it but one every few seconds."""
    state = open_state(SecretUrl("redis://127.0.0.1:1/0"))
    began = time.monotonic()
    for number in range(200):
        state.set(f"k{number}", number)
    assert state.get("k7") == 7
    assert time.monotonic() - began < 2.0
    state.close()
