"""Which feeds' raw files have changed, and whether they have stopped changing.

A snapshot of a feed takes one `stat` per file, and its size does not depend on their number. A file
that is gone or shorter than before is a change, as a new one is: what was made from it is outdated.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from basis_pipeline.config import DatasetConfig
from basis_pipeline.files import sha256
from basis_pipeline.market.raw import feed_files


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one feed: their number, the latest write [ns], and their digest.

    The digest is over path, time of writing and size of every file.
    """

    files: int
    written_ns: int
    digest: str


Snapshots = dict[str, Snapshot]


@dataclass(frozen=True, slots=True)
class Watch:
    """The state that a tick keeps for the next one.

    taken: the feeds as last requested to be read; None before that · moving: feeds that differ from
    it, as of the last tick · number: of requests so far.
    """

    taken: Snapshots | None = None
    moving: Snapshots = field(default_factory=dict)
    number: int = 0

    def to_json(self) -> str:
        """Return the watch as text, for a cursor."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> "Watch":
        """Read what `to_json` wrote; return a new watch for no text, or for unreadable text."""
        try:
            values = json.loads(text) if text else {}
            taken, moving = values.pop("taken", None), values.pop("moving", {})
            return cls(None if taken is None else _snapshots(taken), _snapshots(moving), **values)
        except (ValueError, TypeError, AttributeError):
            return cls()


def _snapshots(values: Mapping[str, Mapping[str, int | str]]) -> Snapshots:
    return {feed: Snapshot(**fields) for feed, fields in values.items()}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Tick:
    """The result of a tick.

    due: feeds to be read now, each with the change of its files · waiting: feeds whose files may
    still be growing · key: identifies the request.
    """

    watch: Watch
    due: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    key: str = ""


def take_snapshots(data_dir: Path, datasets: Mapping[str, DatasetConfig]) -> Snapshots:
    """Take a snapshot of every feed, by name; a feed without files has an empty one."""
    return {name: _snapshot(data_dir, config) for name, config in datasets.items()}


def _snapshot(data_dir: Path, config: DatasetConfig) -> Snapshot:
    lines, written_ns = [], 0
    for path in feed_files(data_dir, config):
        try:
            status = path.stat()
        except OSError:
            # Gone since it was listed.
            continue
        name = path.relative_to(data_dir).as_posix()
        lines.append(f"{name}\n{status.st_mtime_ns} {status.st_size}".encode(errors="replace"))
        written_ns = max(written_ns, status.st_mtime_ns)
    return Snapshot(len(lines), written_ns, sha256(*lines)[:16])


def compare(watch: Watch, snapshots: Snapshots, settle_seconds: float, now: float) -> Tick:
    """Compare the feeds with those last requested.

    A feed has settled when it is unchanged since the last tick and none of its files was written in
    the last `settle_seconds`; a feed that has changed and settled is due. The first time every feed
    is due, also those without files, once all have settled.

    Parameters
    ----------
    now: seconds since the epoch.
    """
    taken = watch.taken or {}
    moving = {name: state for name, state in snapshots.items() if state != taken.get(name)}
    if not moving and not watch.moving:
        return Tick(watch)
    waiting = {
        name
        for name, snapshot in moving.items()
        if watch.moving.get(name) != snapshot or is_young(snapshot.written_ns, settle_seconds, now)
    }
    if watch.taken is None and waiting:
        return Tick(Watch(None, moving, watch.number), waiting=tuple(sorted(waiting)))
    due = {name: moving[name] for name in sorted(moving.keys() - waiting)}
    left = {name: moving[name] for name in sorted(waiting)}
    number = watch.number + bool(due)
    known = {name: snapshot for name, snapshot in taken.items() if name in snapshots}
    return Tick(
        Watch({**known, **due}, left, number),
        {name: _change(taken.get(name), snapshot) for name, snapshot in due.items()},
        tuple(left),
        # The number makes the key unique when a feed returns to an earlier state.
        sha256(str(number), *(f"{n} {s.digest}" for n, s in due.items()))[:16] if due else "",
    )


def is_young(written_ns: int, settle_seconds: float, now: float) -> bool:
    """Return whether a file was written so recently that it may still be growing.

    A time in the future is ignored: then only two equal ticks count.
    """
    return 0.0 <= now - written_ns * 1e-9 < settle_seconds


def being_written(snapshots: Snapshots, settle_seconds: float, now: float) -> set[str]:
    """List the feeds with a file that was written in the last `settle_seconds`."""
    return {
        name
        for name, snapshot in snapshots.items()
        if is_young(snapshot.written_ns, settle_seconds, now)
    }


def _change(before: Snapshot | None, after: Snapshot) -> str:
    if after.files == 0:
        return "gone" if before else "absent"
    return "changed" if before and before.files else "new"
