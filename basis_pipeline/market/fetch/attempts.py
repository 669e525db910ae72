"""Asking a host again and again, within bounds: attempts, waits, time, and one breaker a host."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TypeVar

from pybreaker import CircuitBreaker, CircuitBreakerError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from basis_pipeline.config.automation import FetchLimits
from basis_pipeline.errors import FetchError

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - a state of the host that may pass, not an error yet
    """What another attempt may cure.

    Parameters
    ----------
    reason: what happened, without the address asked. damaged: an answer came, and is broken.
    retry_after: seconds the host asks to wait; None where it says nothing.
    """

    def __init__(
        self, reason: str, *, damaged: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.damaged, self.retry_after = reason, damaged, retry_after


@dataclass(frozen=True, slots=True)
class Host:
    """One host, as everything that asks it does.

    name: for messages and for its breaker: host and port, without any key.
    """

    name: str
    limits: FetchLimits

    def ask(self, call: Callable[[], T], what: str) -> T:
        """Return what `call` returns, after as many attempts as the limits allow.

        Parameters
        ----------
        call: raises Unavailable for what another attempt may cure; it may be left behind in its
            thread when it takes too long.
        what: asked for, in a message.

        Raises
        ------
        FetchError: FETCH-002 no answer, 004 damaged answers, 011 the host has failed too often;
            whatever `call` raises.
        """
        limits = self.limits
        attempts = Retrying(
            stop=stop_after_attempt(limits.attempts) | stop_before_delay(limits.total_seconds),
            wait=_Wait(limits),
            retry=retry_if_exception_type(Unavailable),
            reraise=True,
        )
        breaker = _breaker(self.name, limits.failures_to_open, limits.open_seconds)
        try:
            answer: T = attempts(breaker.call, _within, limits.timeout_seconds, call)
            return answer
        except CircuitBreakerError:
            reason = f"{self.name} has failed {limits.failures_to_open} times in a row"
            message = f"{reason}; it is left alone for {limits.open_seconds:g} seconds"
            raise FetchError("FETCH-011", message, where=what) from None
        except Unavailable as error:
            count = attempts.statistics["attempt_number"]
            code = "FETCH-004" if error.damaged else "FETCH-002"
            message = f"{self.name}: {error.reason}, after {count} attempts"
            raise FetchError(code, message, where=what) from None


class _Wait:
    """As long as the host asks for, else exponentially longer, with jitter."""

    def __init__(self, limits: FetchLimits) -> None:
        self.own = wait_random_exponential(limits.first_wait_seconds, limits.longest_wait_seconds)

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return self.own(state) if asked is None else asked


def retry_after(header: str | None) -> float | None:
    """Read seconds of a `Retry-After` header, a number or a date; None where it is neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


@cache
def _breaker(host: str, failures: int, seconds: float) -> CircuitBreaker:
    return CircuitBreaker(fail_max=failures, reset_timeout=seconds, name=host, exclude=[_is_answer])


def _is_answer(error: BaseException) -> bool:
    """Whether the host is well: it answered, if only with what cannot be used."""
    return not isinstance(error, Unavailable) or error.damaged


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Do `call` in a thread; no timeout of a library bounds a body that trickles in."""
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
            outcome.set_exception(error)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        raise Unavailable(f"no whole answer in {seconds:g} seconds") from None
