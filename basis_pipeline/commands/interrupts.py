"""Ctrl-C and SIGTERM: heard at once, whatever a command is doing."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from types import FrameType
from typing import NoReturn, TypeVar

T = TypeVar("T")
EXIT_CODE = 130
AGAIN_SECONDS = 0.02
STOP_SECONDS = 1.2  # at most this long is what runs marked as canceled, and the log written out
EXIT_SECONDS = 0.5


def listen() -> None:
    """Let SIGTERM interrupt as Ctrl-C does, and let no destructor swallow either of them.

    What is raised while an object ends cannot leave it: Python prints it and goes on. An interrupt
    that comes at such a moment, as with one of the thousands of futures of a sweep, comes again.
    """
    before = sys.unraisablehook

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    def again() -> None:
        # Not SIGINT: a shell lets commands in the background ignore it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            before(what)
            return
        timer = threading.Timer(AGAIN_SECONDS, again)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, interrupt)
    sys.unraisablehook = unraisable


def interruptible(work: Callable[[], T], stop: Callable[[], object]) -> T:
    """Do `work` in a thread of its own, so that the main thread hears an interrupt at once.

    Dagster holds interrupts back while it executes and loses some of them, and compiled code does
    not look for any.

    Parameters
    ----------
    stop: called on an interrupt, for a bounded time, before it is raised here. The work itself is
        left as it is: it ends with the process (`end`).
    """
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            outcome.set_exception(error)

    # Dagster captures the descriptors of the streams while a step runs; the message is to be seen.
    streams = {number: os.dup(number) for number in (1, 2)}
    threading.Thread(target=run, name="work", daemon=True).start()
    try:
        return outcome.result()
    except KeyboardInterrupt:
        for number, copy in streams.items():
            os.dup2(copy, number)
        _bounded(stop, STOP_SECONDS)
        raise
    finally:
        for copy in streams.values():
            os.close(copy)


def end() -> NoReturn:
    """End an interrupted command: exit code 130, whatever threads are still at work."""
    # A second one, from an impatient person or from `timeout`, changes nothing any more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, ValueError):
        print("Interrupted: nothing more is started, what was finished is kept.", file=sys.stderr)
    if threading.active_count() == 1:
        sys.exit(EXIT_CODE)
    # A thread that works would hold up a normal exit; what is registered for one is still done.
    _bounded(atexit._run_exitfuncs, EXIT_SECONDS)  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(EXIT_CODE)


def _bounded(call: Callable[[], object], seconds: float) -> None:
    def quietly() -> None:
        with suppress(Exception):  # the process ends either way
            call()

    thread = threading.Thread(target=quietly, name="stop", daemon=True)
    thread.start()
    thread.join(seconds)
