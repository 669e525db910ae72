"""The compiler switch: every engine function is an `entry`, or `compiled` or `hot`.

Compiled code is cached on disk, below NUMBA_CACHE_DIR or beside the sources, in a directory named
after the sources' hash, because numba itself does not notice that a called function in another file
has changed. The same hash is the engine's version in a run's identity. `NUMBA_DISABLE_JIT=1` runs
the same functions as plain Python.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from basis_pipeline.errors import ComponentError

F = TypeVar("F", bound=Callable[..., Any])

_SOURCES = Path(__file__).parent


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


ENGINE_VERSION: str = _source_hash()[:16]


def _cache_directory() -> Path:
    """Return the directory of this version's compiled code, made where it is missing.

    Raises
    ------
    ComponentError: COMPONENT-001 when it cannot be written. numba would silently use another
        directory, which may hold code of an earlier version.
    """
    root = Path(os.environ.get("NUMBA_CACHE_DIR") or _SOURCES / "__pycache__")
    directory = root / ENGINE_VERSION
    probe = directory / f".probe-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        what = f"compiled code cannot be stored: {error.strerror}"
        raise ComponentError("COMPONENT-001", what, where=str(directory)) from error
    return directory


if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(_cache_directory())  # type: ignore[attr-defined]

# Strict IEEE arithmetic, so that runs repeat to the bit. Without reference counting (`_nrt`): the
# engine allocates nothing, and counting every array at every call would double an hour's time. A
# function that only compiled code calls has no Python wrapper: a third less to compile.
_ENTRY: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
}
_INNER: dict[str, Any] = {**_ENTRY, "no_cpython_wrapper": True}


def entry(function: F) -> F:
    """Compile a function that Python calls; other threads run while it does."""
    return cast("F", numba.njit(**_ENTRY, nogil=True)(function))


def compiled(function: F) -> F:
    """Compile a function that only compiled functions call; a call from Python crashes."""
    return cast("F", numba.njit(**_INNER)(function))


def hot(function: F) -> F:
    """Compile a function of the hour loop and inline it where it is called."""
    return cast("F", numba.njit(**_INNER, forceinline=True)(function))
