"""The inbox: `<results>/inbox/`, files `*.json`, `*.yaml` and `*.yml`, one request each.

An accepted file moves to `accepted/`, a rejected one to `rejected/` beside `<name>.error.json`. A
file is left where it is until it has settled, and while the queue cannot be used. Whatever is wrong
with one file, the others go on.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from basis_pipeline.config import Configs
from basis_pipeline.errors import BacktestError, BasisError, ConfigError
from basis_pipeline.files import sha256
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.file_changes import is_young
from basis_pipeline.operations.requests.model import BacktestRequest, read_request
from basis_pipeline.operations.requests.queue import COMPONENT, submit
from basis_pipeline.settings import Settings

DIRECTORY, ACCEPTED, REJECTED = "inbox", "accepted", "rejected"
SUFFIXES = (".json", ".yaml", ".yml")
LONGEST_NAME = 200  # bytes of a name to which something is added
Signature = list[int]  # time of writing [ns], size


@dataclass(slots=True)
class Emptied:
    """What became of the files: names of the accepted, errors of the rejected, names left."""

    accepted: list[str] = field(default_factory=list)
    rejected: dict[str, BasisError] = field(default_factory=dict)
    left: dict[str, Signature] = field(default_factory=dict)


def inbox_of(settings: Settings) -> Path:
    """Return the directory where requests are dropped."""
    return settings.results_dir / DIRECTORY


def empty_inbox(
    settings: Settings,
    configs: Configs,
    seen: dict[str, Signature],
    settle_seconds: float,
    now: float,
    limit: int,
) -> Emptied:
    """Hand settled files to the queue, the oldest first.

    Parameters
    ----------
    seen: files as the last tick left them; one that has changed since is left again.
    now: seconds since the epoch.
    limit: files that a tick looks into.

    Raises
    ------
    ResultsError: the queue cannot be used; the files not yet handed over stay.
    """
    done, inbox = Emptied(), inbox_of(settings)
    for path, signature in _files(inbox)[:limit]:
        if seen.get(path.name) != signature or is_young(signature[0], settle_seconds, now):
            done.left[path.name] = signature
            continue
        try:
            submit(settings, _request(path), configs)
        except (BacktestError, ConfigError) as error:
            if error.code == "BT-005":  # halted: it waits
                done.left[path.name] = signature
            else:
                done.rejected[path.name] = error
                _reject(settings, path, error)
        else:
            _move(path, inbox / ACCEPTED)
            done.accepted.append(path.name)
    return done


def _files(inbox: Path) -> list[tuple[Path, Signature]]:
    if not inbox.is_dir():
        return []
    found = []
    with os.scandir(inbox) as entries:
        for entry in entries:
            if entry.name in (ACCEPTED, REJECTED) and Path(entry.path).is_dir():
                continue
            named = entry.name in (ACCEPTED, REJECTED) or entry.name.lower().endswith(SUFFIXES)
            if named and not entry.name.startswith("."):
                stat = entry.stat(follow_symlinks=False)
                found.append((Path(entry.path), [stat.st_mtime_ns, stat.st_size]))
    return sorted(found, key=_order)


def _order(item: tuple[Path, Signature]) -> tuple[bool, bool, int, str]:
    """The oldest first; before them a file in the place of a directory that others move to."""
    path, signature = item
    return (path.name != REJECTED, path.name != ACCEPTED, signature[0], path.name)


def _request(path: Path) -> BacktestRequest:
    if path.name in (ACCEPTED, REJECTED):
        what = f"{path.name} is the name of a directory of the inbox"
        raise ConfigError("CONFIG-013", what, where=path.name)
    if not path.is_file():
        raise ConfigError("CONFIG-013", "it is not a file that can be read", where=path.name)
    return read_request(path)


def _reject(settings: Settings, path: Path, error: BasisError) -> None:
    moved = _move(path, path.parent / REJECTED)
    content = {name: value for name, value in error.as_json().items() if name != "stack_trace"}
    report = moved.with_name(f"{_shortened(moved.name)}.error.json")
    report.write_text(json.dumps(content, indent=1) + "\n")
    fields = {"file": path.name, "code": error.code, "reason": error.what}
    emit(settings, EventType.REQUEST_REJECTED, COMPONENT, **fields)


def _move(path: Path, directory: Path) -> Path:
    """Move a file, keeping what has its name there already."""
    if path == directory:  # the file is in the place of the directory
        path = path.rename(path.with_name(f".{path.name}"))
    elif os.path.lexists(directory) and not directory.is_dir():
        _move(directory, directory)
    directory.mkdir(parents=True, exist_ok=True)
    name = path.name.removeprefix(".")
    target, number = directory / name, 1
    while os.path.lexists(target):
        number += 1
        target = directory / f"{_shortened(Path(name).stem)}.{number}{path.suffix}"
    return path.rename(target)


def _shortened(name: str) -> str:
    """Return the name, or as much of it as leaves room for a suffix, with a hash of the rest."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{sha256(name)[:8]}"
