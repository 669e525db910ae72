"""Requests to a host with bounded retries, waits and time, and one circuit breaker per host."""

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
from basis_pipeline.verdict import count_of

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - a state of the host that may pass, not an error yet
    """A failure that may not recur at another attempt.

    Parameters
    ----------
    reason: what happened, without the URL. damaged: the host answered, and the answer is unusable.
    retry_after: seconds the host wants the client to wait; None where it does not say.
    """

    def __init__(
        self, reason: str, *, damaged: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.damaged, self.retry_after = reason, damaged, retry_after


@dataclass(frozen=True, slots=True)
class Host:
    """One host and the limits of requests to it.

    name: for messages and for its circuit breaker: host and port, without any key.
    """

    name: str
    limits: FetchLimits

    def retry(self, call: Callable[[], T], what: str) -> T:
        """Return what `call` returns, after as many attempts as the limits allow.

        Parameters
        ----------
        call: raises Unavailable for failures that may not recur; it continues in its thread when it
            exceeds the timeout.
        what: the object of the request, for messages.

        Raises
        ------
        FetchError: FETCH-002 no answer, 004 damaged answers, 011 the circuit breaker is open;
            and the errors that `call` raises.
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
            answer: T = attempts(breaker.call, _call_within, limits.timeout_seconds, call)
            return answer
        except CircuitBreakerError:
            reason = f"{self.name} has failed {limits.failures_to_open} times in a row"
            message = f"{reason}; no requests are sent for {limits.open_seconds:g} seconds"
            raise FetchError("FETCH-011", message, where=what) from None
        except Unavailable as error:
            count = count_of(attempts.statistics["attempt_number"], "attempt")
            code = "FETCH-004" if error.damaged else "FETCH-002"
            message = f"{self.name}: {error.reason}, after {count}"
            raise FetchError(code, message, where=what) from None


class _Wait:
    """The wait that the host demands, else exponential backoff with jitter."""

    def __init__(self, limits: FetchLimits) -> None:
        self.backoff = wait_random_exponential(
            limits.first_wait_seconds, limits.longest_wait_seconds
        )

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        demanded = error.retry_after if isinstance(error, Unavailable) else None
        return self.backoff(state) if demanded is None else demanded


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
    return CircuitBreaker(
        fail_max=failures, reset_timeout=seconds, name=host, exclude=[_has_answered]
    )


def _has_answered(error: BaseException) -> bool:
    """Whether the host answered, even if the answer cannot be used."""
    return not isinstance(error, Unavailable) or error.damaged


def _call_within(seconds: float, call: Callable[[], T]) -> T:
    """Run `call` in a thread: no library timeout bounds a body that arrives byte by byte."""
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            outcome.set_exception(error)

    threading.Thread(target=run, name="fetch", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        raise Unavailable(f"no complete answer within {seconds:g} seconds") from None
