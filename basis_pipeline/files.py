"""Files: written as a whole or not at all, and known by their hash."""

import hashlib
import os
import secrets
from pathlib import Path


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


def sha256(*parts: str | bytes) -> str:
    """Return the hexadecimal SHA-256 of the parts, a line each."""
    lines = (part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
