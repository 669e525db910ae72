"""Ctrl-C and SIGTERM: handled at once, whatever a command is doing."""

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
REPEAT_SECONDS = 0.02
STOP_SECONDS = 1.2  # to mark the runs in progress as canceled, and to write out the log
EXIT_SECONDS = 0.5


def listen() -> None:
    """Make SIGTERM interrupt as Ctrl-C does, and let no destructor swallow either of them.

    An exception cannot leave a destructor: Python prints it and continues. An interrupt that is
    raised in one, such as that of a sweep's thousands of futures, is repeated.
    """
    before = sys.unraisablehook

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    def repeat() -> None:
        # Not SIGINT: a shell makes background commands ignore it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            before(what)
            return
        timer = threading.Timer(REPEAT_SECONDS, repeat)
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, interrupt)
    sys.unraisablehook = unraisable


def interruptible(work: Callable[[], T], stop: Callable[[], object]) -> T:
    """Run `work` in its own thread, so that the main thread receives an interrupt at once.

    Dagster delays interrupts while it executes and loses some of them, and compiled code does not
    check for any.

    Parameters
    ----------
    stop: called on an interrupt, for a bounded time, before it is raised here. The work itself is
        not stopped: it ends with the process (`end`).
    """
    outcome: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            outcome.set_exception(error)

    # Dagster captures the descriptors of the streams while a step runs; the message must be seen.
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
    """End an interrupted command with exit code 130, even while threads are running."""
    # A second interrupt, from a person or from `timeout`, is ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, ValueError):
        print("Interrupted: finished work is kept.", file=sys.stderr)
    if threading.active_count() == 1:
        sys.exit(EXIT_CODE)
    # A running thread would delay a normal exit; what is registered for one is still done.
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
