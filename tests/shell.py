"""Commands as a user's shell runs them, each in a process and an environment of its own.

The processes are forked from one that has imported the libraries, and nothing of the project:
importing them again for each command would be most of the time of many tests. numba is left to the
command, because it reads its environment when it is imported.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

LIBRARIES = (
    *("dagster", "dagster._cli", "pandas", "pandera.pandas", "pyarrow.parquet", "pyarrow.csv"),
    *("sqlalchemy", "alembic.command", "jinja2", "plotly.graph_objects", "typer", "rich.table"),
    *("structlog", "pydantic", "matplotlib.backends.backend_pdf", "tenacity"),
)
ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "HOME", "NUMBA_CACHE_DIR")
TIMED_OUT = "timed out"


def clean() -> dict[str, str]:
    """The environment of a person who has set nothing."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def run(
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout: float = 300.0,
) -> subprocess.CompletedProcess[str]:
    """`python -m` and these words, to the end.

    Parameters
    ----------
    env: all of the environment; that of `clean` where none is given.
    timeout: seconds, after which it is killed and subprocess.TimeoutExpired is raised.
    """
    arguments = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as place:
        result = {name: str(Path(place) / name) for name in ("stdout", "stderr")}
        asked = {
            "arguments": arguments,
            "env": dict(clean() if env is None else env),
            "cwd": str(cwd),
            "timeout": timeout,
            **result,
        }
        parent = _parent()
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(json.dumps(asked) + "\n")
        parent.stdin.flush()
        ended = json.loads(parent.stdout.readline())
        out, err = (Path(result[name]).read_text("utf-8") for name in result)
    if ended == TIMED_OUT:
        raise subprocess.TimeoutExpired(arguments, timeout, out, err)
    return subprocess.CompletedProcess(arguments, ended, out, err)


def call(
    *words: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`basis` and these words in this process: for commands whose process is not the point.

    env: beside the environment of `clean`.
    """
    from basis_pipeline.cli import run as basis

    arguments = ["basis", *map(str, words)]
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        streams = (redirect_stdout(out), redirect_stderr(err))
        asked = patch.object(sys, "argv", arguments)
        with surroundings(env or {}, cwd), streams[0], streams[1], asked:
            code = basis()
        printed = [(file.seek(0), file.read())[1] for file in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *printed)


@contextmanager
def surroundings(env: Mapping[str, str], cwd: Path) -> Iterator[None]:
    """Be in a directory, with an environment of this beside that of `clean`."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update({**clean(), **env})
        with chdir(cwd):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@cache
def _parent() -> "subprocess.Popen[str]":
    """The process that commands are forked from; it ends with the one that asks."""
    command = [sys.executable, "-m", "tests.shell"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=clean())


def _serve() -> list[str]:
    """Fork a process for every line of standard input; return in it, with the words it is to run.

    Returns nothing in the parent, at the end of its input.
    """
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            return _become(asked)
        print(json.dumps(_ended(pid, asked["timeout"])), flush=True)
    return []


def _become(asked: dict[str, Any]) -> list[str]:
    """Take over what the command is given: streams, directory, environment, path of imports."""
    flags = os.O_WRONLY | os.O_CREAT
    for number, place in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
        opened = os.open(place, flags if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    named = asked["env"].get("PYTHONPATH")
    sys.path[:1] = [asked["cwd"], *(named.split(os.pathsep) if named else ())]
    words: list[str] = asked["arguments"]
    return words


def _ended(pid: int, timeout: float) -> int | str:
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return TIMED_OUT
        time.sleep(0.002)


if __name__ == "__main__":
    if chosen := _serve():
        sys.argv = chosen
        runpy.run_module(chosen[0], run_name="__main__", alter_sys=True)
