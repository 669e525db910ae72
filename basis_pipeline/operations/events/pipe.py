"""The work's end of the line to its scribe."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits

_ROOT = Path(__file__).resolve().parents[3]
# Isolated, and without what an environment runs at every start: the scribe is there in 50 ms.
_PACKAGES = Path(orjson.__file__).resolve().parents[1]
_START = (
    f"import sys; sys.path = [{str(_ROOT)!r}, *sys.path, {str(_PACKAGES)!r}];"
    "from basis_pipeline.operations.events.scribe import main; main()"
)
PATIENCE = 30.0  # seconds a message may take before the scribe counts as stuck


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

    def ask(self, message: bytes) -> dict[str, Any]:
        """Hand a message over and return the answer."""
        until = time.monotonic() + PATIENCE
        view = memoryview(message)
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
