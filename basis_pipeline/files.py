"""Files: atomic writes, hashes and locks."""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_POLL_SECONDS = 0.02


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, fsync, rename: a killed process leaves the old file or the new one.

    Raises
    ------
    OSError: the directory cannot be written, or the disk is full; the target is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Opened plainly, so that it gets the permissions of any other file of the user.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Sync a directory, so that new and renamed files in it survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(*parts: str | bytes) -> str:
    """Return the hexadecimal SHA-256 of the parts, a line each."""
    lines = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Lock a file against all other threads and processes; a killed process releases its lock.

    Parameters
    ----------
    path: of the lock file, made with its directory when missing.
    seconds: how long to wait for another holder.

    Raises
    ------
    TimeoutError: another process holds it for longer. OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process holds {path.name}") from None
                time.sleep(LOCK_POLL_SECONDS)
        yield
