"""The inbox: `<results>/inbox/`, files `*.json`, `*.yaml` and `*.yml`, one request each.

An accepted file moves to `accepted/`, a refused one to `rejected/` beside `<name>.error.json`. A
file is left where it is until it has settled, and while the queue cannot be used.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from basis_pipeline.config import Configs
from basis_pipeline.errors import BacktestError, BasisError, ConfigError
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.file_changes import is_young
from basis_pipeline.operations.requests.model import read_request
from basis_pipeline.operations.requests.queue import COMPONENT, submit
from basis_pipeline.settings import Settings

DIRECTORY, ACCEPTED, REJECTED = "inbox", "accepted", "rejected"
Signature = list[int]  # time of writing [ns], size
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(slots=True)
class Emptied:
    """What became of the files: names of the accepted, errors of the rejected, names left."""

    accepted: list[str] = field(default_factory=list)
    rejected: dict[str, BasisError] = field(default_factory=dict)
    left: dict[str, Signature] = field(default_factory=dict)


def inbox_of(settings: Settings) -> Path:
    """Where requests are dropped."""
    return settings.results_dir / DIRECTORY


def empty_inbox(
    settings: Settings,
    configs: Configs,
    seen: dict[str, Signature],
    settle_seconds: float,
    now: float,
) -> Emptied:
    """Hand settled files to the queue, the oldest first.

    Parameters
    ----------
    seen: files as they were left by the last look; one that has changed since is left again.
    now: seconds since the epoch.

    Raises
    ------
    ResultsError: the queue cannot be used; the files not yet handed over stay.
    """
    done, inbox = Emptied(), inbox_of(settings)
    for path, signature in _files(inbox):
        if seen.get(path.name) != signature or is_young(signature[0], settle_seconds, now):
            done.left[path.name] = signature
            continue
        try:
            submit(settings, read_request(path), configs)
        except BacktestError as error:
            if error.code == "BT-005":  # halted: it waits, nobody refused it
                done.left[path.name] = signature
                continue
            done.rejected[path.name] = error
        except ConfigError as error:
            done.rejected[path.name] = error
        else:
            _move(path, inbox / ACCEPTED)
            done.accepted.append(path.name)
    for name, refusal in done.rejected.items():
        _reject(settings, inbox / name, refusal)
    return done


def _files(inbox: Path) -> list[tuple[Path, Signature]]:
    if not inbox.is_dir():
        return []
    found = []
    with os.scandir(inbox) as entries:
        for entry in entries:
            is_request = entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
            if is_request and entry.is_file():
                stat = entry.stat()
                found.append((Path(entry.path), [stat.st_mtime_ns, stat.st_size]))
    return sorted(found, key=lambda item: (item[1][0], item[0].name))


def _reject(settings: Settings, path: Path, error: BasisError) -> None:
    kept = _move(path, path.parent / REJECTED)
    told = {name: value for name, value in error.as_json().items() if name != "stack_trace"}
    kept.with_name(f"{kept.name}.error.json").write_text(json.dumps(told, indent=1) + "\n")
    fields = {"file": path.name, "code": error.code, "reason": error.what}
    emit(settings, EventType.REQUEST_REJECTED, COMPONENT, **fields)


def _move(path: Path, directory: Path) -> Path:
    """Move a file, keeping what has its name there already."""
    directory.mkdir(parents=True, exist_ok=True)
    target, number = directory / path.name, 1
    while target.exists():
        number += 1
        target = directory / f"{path.stem}.{number}{path.suffix}"
    return path.rename(target)
