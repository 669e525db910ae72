"""The work's end of the line to its scribe."""

import io
import json
import os
import pickle
import select
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits
from basis_pipeline.operations.events.lines import Record, Table

_ROOT = Path(__file__).resolve().parents[3]
# Isolated and without site-packages: the scribe needs the standard library and starts in 50 ms.
_START = (
    f"import sys; sys.path.insert(0, {str(_ROOT)!r});"
    "from basis_pipeline.operations.events.scribe import main; main()"
)
PATIENCE = 30.0  # seconds a message may take before the scribe counts as stuck


class _Pickler(pickle.Pickler):
    """Sends plain values only: the scribe knows no other classes."""

    def reducer_override(self, value: Any) -> Any:
        if value in (str, int, float, bool, list, dict):
            return NotImplemented
        plain = _plain(value)
        return type(plain), (plain,)


def _plain(value: Any) -> str | int | float | bool | list[Any] | dict[str, Any]:
    try:
        if callable(getattr(value, "tolist", None)):  # numpy's scalars and arrays
            value = value.tolist()
            return value if isinstance(value, (int, float, bool, list)) else str(value)
        if isinstance(value, (date, datetime)):
            return value.isoformat()
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        for plain in (str, int, float, list, dict):
            if isinstance(value, plain):
                return str.__str__(value) if plain is str else plain(value)  # type: ignore[arg-type]
        return str(value)
    except Exception:  # noqa: BLE001 - whatever is logged, logging it must not fail
        return f"a {type(value).__name__} that cannot be shown"


def packed(message: list[Record | Table] | str) -> bytes:
    """The message as the scribe reads it; what cannot be sent of an event is replaced by a word."""
    try:
        return _pickled(message)
    except Exception:  # noqa: BLE001 - nested too deeply, most likely
        return _pickled([_sendable(entry) for entry in message])


def _sendable(entry: Any) -> Any:
    try:
        _pickled(entry)
    except Exception as error:  # noqa: BLE001
        return *entry[:4], {"unreadable": f"{type(error).__name__}: {error}"}
    return entry


def _pickled(message: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(message)
    return buffer.getvalue()


class Pipe:
    """A scribe's process, started with the object.

    Raises EventError EVENT-011, from every method but `close`, when the process cannot be started,
    has died or does not answer.
    """

    def __init__(self, directory: Path, limits: Limits, seq: int) -> None:
        arguments = (str(directory), json.dumps(asdict(limits)), str(os.getpid()), str(seq))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise self._dead(f"could not be started: {error.strerror}") from error
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self.pid = self._process.pid

    def ask(self, message: list[Record | Table] | str) -> dict[str, Any]:
        """Hand a message over and return the answer."""
        until = time.monotonic() + PATIENCE
        view = memoryview(packed(message))
        try:
            while view:
                self._await(self._in, select.POLLOUT, until)
                view = view[os.write(self._in, view) :]
            answer = b""
            while not answer.endswith(b"\n"):
                self._await(self._out, select.POLLIN, until)
                if not (part := os.read(self._out, 2**16)):
                    raise self._dead("ended")
                answer += part
        except OSError as error:
            raise self._dead("ended") from error
        return dict(json.loads(answer))

    def close(self, timeout: float) -> None:
        """Let the process finish; it does so on its own when that takes longer."""
        self.disown()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        """End a process that is of no use any more."""
        self._process.kill()
        self.close(1.0)

    def disown(self) -> None:
        """Close this process's ends of the pipes, and nothing else."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _await(self, fd: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise self._dead(f"did not answer within {PATIENCE:g} s")

    def _dead(self, how: str) -> EventError:
        return EventError(
            "EVENT-011", f"the process that writes events {how}", where=sys.executable
        )
