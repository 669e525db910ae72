"""The inbox: `<results>/inbox/`, files `*.json`, `*.yaml` and `*.yml`, one request each.

An accepted file moves to `accepted/`, a rejected one to `rejected/`, with its `<name>.error.json`.
A file stays until it has settled, and while the queue cannot be used. A rejected file does not stop
the others.
"""

import json
import os
import time
from pathlib import Path

from basis_pipeline.config import Configs
from basis_pipeline.errors import BacktestError, BasisError, ConfigError
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.file_changes import is_young
from basis_pipeline.operations.requests.model import read_request
from basis_pipeline.operations.requests.queue import COMPONENT, submit
from basis_pipeline.settings import Settings

ACCEPTED, REJECTED = "accepted", "rejected"
SUFFIXES = (".json", ".yaml", ".yml")
Signature = list[int]  # time of writing [ns], size


def inbox_of(settings: Settings) -> Path:
    """Return the directory of the inbox."""
    return settings.results_dir / "inbox"


def empty_inbox(
    settings: Settings,
    configs: Configs,
    seen: dict[str, Signature],
    settle_seconds: float,
    now: float,
    limit: int,
) -> dict[str, Signature]:
    """Submit settled files to the queue, the oldest first; return those that remain.

    Parameters
    ----------
    seen: files that remained after the last tick; one that has changed since remains again.
    now: seconds since the epoch.
    limit: most files per tick.

    Raises
    ------
    ResultsError: the queue cannot be used; the files not yet submitted stay.
    """
    left: dict[str, Signature] = {}
    for path, signature in _files(inbox_of(settings))[:limit]:
        if seen.get(path.name) != signature or is_young(signature[0], settle_seconds, now):
            left[path.name] = signature
            continue
        try:
            submit(settings, read_request(path), configs)
        except (BacktestError, ConfigError) as error:
            if error.code == "BT-005":  # halted: the file waits
                left[path.name] = signature
            else:
                _reject(settings, path, error)
        else:
            _move(path, ACCEPTED)
    return left


def _files(inbox: Path) -> list[tuple[Path, Signature]]:
    """List the files that may be requests, the oldest first."""
    if not inbox.is_dir():
        return []
    for name in (ACCEPTED, REJECTED):
        if not (inbox / name).is_dir() and os.path.lexists(inbox / name):
            (inbox / name).rename(inbox / f"{name}.json")  # to be rejected as any other file
        (inbox / name).mkdir(exist_ok=True)
    with os.scandir(inbox) as entries:
        found = [
            (Path(entry.path), entry.stat(follow_symlinks=False))
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
        ]
    signed = [(path, [stat.st_mtime_ns, stat.st_size]) for path, stat in found]
    return sorted(signed, key=lambda item: (item[1][0], item[0].name))


def _reject(settings: Settings, path: Path, error: BasisError) -> None:
    moved = _move(path, REJECTED)
    content = {name: value for name, value in error.as_json().items() if name != "stack_trace"}
    shortened = os.fsdecode(os.fsencode(moved.name)[:240])  # a name has at most 255 bytes
    report = moved.with_name(f"{shortened}.error.json")
    report.write_text(json.dumps(content, indent=1) + "\n")
    fields = {"file": path.name, "code": error.code, "reason": error.what}
    emit(settings, EventType.REQUEST_REJECTED, COMPONENT, **fields)


def _move(path: Path, directory: str) -> Path:
    """Move a file into a directory of the inbox, without replacing a file of the same name."""
    target = path.parent / directory / path.name
    while os.path.lexists(target):
        target = target.with_name(f"{time.time_ns()}-{path.name[-50:]}")
    return path.rename(target)
