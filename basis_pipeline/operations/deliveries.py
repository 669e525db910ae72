"""What changes in the tree of raw files, and when it has stopped changing.

A tree is known by the signature of every file, [mtime_ns, size]: to look costs one `stat` a file. A
file that is gone, or shorter than before, is a delivery as much as a new one: somebody did it, and
what was made of the file no longer follows from it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import Any

from basis_pipeline.config import DatasetConfig

Signature = list[int]  # mtime_ns, size
Tree = dict[str, Signature]


@dataclass(frozen=True, slots=True)
class Watch:
    """What a look remembers for the next one.

    taken: the tree as it was last asked to be read; None before that · moving: files that differ
    from it, as they stood at the last look, None for one that is gone · number: of requests so far.
    """

    taken: Tree | None = None
    moving: dict[str, Signature | None] = field(default_factory=dict)
    number: int = 0

    def as_json(self) -> str:
        """The watch as text, for a cursor."""
        told = {"taken": self.taken, "moving": self.moving, "number": self.number}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> "Watch":
        """The watch that `as_json` told; a first one for no text, or for text that is none."""
        try:
            return cls(**json.loads(text)) if text else cls()
        except (ValueError, TypeError):
            return cls()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found.

    due: families to be read now · files: those that changed, with what became of them ·
    waiting: files that may still be growing · key: the same for the same request, and for no other.
    """

    watch: Watch
    due: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    key: str = ""


def scan(data_dir: Path, globs: Iterable[str]) -> Tree:
    """Signatures of the files in the directories that the globs name, by path below `data_dir`.

    Every file of these directories is listed, of a family or not; an absent directory has none.
    """
    tree: Tree = {}
    for directory in sorted({glob.rpartition("/")[0] for glob in globs}):
        try:
            entries = os.scandir(data_dir / directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with entries:
            for entry in entries:
                if signature := _signature(entry):
                    tree[f"{directory}/{entry.name}" if directory else entry.name] = signature
    return tree


def _signature(entry: os.DirEntry[str]) -> Signature | None:
    try:
        if not entry.is_file():
            return None
        found = entry.stat()
    except OSError:  # gone between two calls, or a broken link: nothing to read
        return None
    return [found.st_mtime_ns, found.st_size]


def family_of(file: str, datasets: Iterable[DatasetConfig]) -> list[str]:
    """The families that a file belongs to by its path; mostly one, none for a stray file."""
    return [config.name for config in datasets if _pattern(config.glob).fullmatch(file)]


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def look(
    watch: Watch,
    tree: Tree,
    datasets: Mapping[str, DatasetConfig],
    settle_seconds: float,
    now: float,
) -> Look:
    """Compare a tree with what was last asked for.

    A file has settled when it is as at the last look and was not written in the last
    `settle_seconds`; a family is due when each of its changed files has. The first time everything
    is, absent families too, once all has settled.

    Parameters
    ----------
    now: seconds since the epoch.
    """
    if tree == watch.taken and not watch.moving:
        return Look(watch)
    taken = watch.taken or {}
    moving = {
        name: tree.get(name)
        for name in sorted(tree.keys() | taken.keys())
        if tree.get(name) != taken.get(name)
    }
    unsettled = {
        name
        for name, signature in moving.items()
        if watch.moving.get(name, ()) != signature or is_young(signature, settle_seconds, now)
    }
    if watch.taken is None:
        families = {} if unsettled else dict.fromkeys(datasets, frozenset(moving))
        chosen = set(moving) - unsettled if families else set()
    else:
        families = _by_family(moving, datasets)
        families = {name: files for name, files in families.items() if not files & unsettled}
        stray = {name for name in moving if not family_of(name, datasets.values())}
        chosen = set().union(*families.values(), stray)
    if watch.taken is None and not families:
        return Look(Watch(None, moving, watch.number), waiting=tuple(sorted(unsettled)))
    left = {name: signature for name, signature in moving.items() if name not in chosen}
    kept = {name: taken[name] for name in taken.keys() - chosen}
    news = {name: tree[name] for name in sorted(chosen) if name in tree}
    number = watch.number + bool(families)
    after = Watch({**kept, **news}, left, number)
    told = {name: _became(taken.get(name), tree.get(name)) for name in sorted(chosen)}
    key = _key(number, families, tree) if families else ""
    return Look(after, tuple(sorted(families)), told, tuple(sorted(unsettled)), key)


def is_young(signature: Signature | None, settle_seconds: float, now: float) -> bool:
    """Whether a file was written so lately that it may still be growing.

    A time that lies in the future says nothing: then only two equal looks count.
    """
    return signature is not None and 0.0 <= now - signature[0] * 1e-9 < settle_seconds


def still_growing(
    tree: Tree, datasets: Mapping[str, DatasetConfig], settle_seconds: float, now: float
) -> set[str]:
    """Families with a file that was written in the last `settle_seconds`."""
    young = [name for name, signature in tree.items() if is_young(signature, settle_seconds, now)]
    return {family for name in young for family in family_of(name, datasets.values())}


def _by_family(
    names: Iterable[str], datasets: Mapping[str, DatasetConfig]
) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name in names:
        for family in family_of(name, datasets.values()):
            found.setdefault(family, set()).add(name)
    return {family: frozenset(files) for family, files in found.items()}


def _became(before: Signature | None, after: Signature | None) -> str:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if after[1] == before[1]:
        return "rewritten"
    return "longer" if after[1] > before[1] else "shorter"


def _key(number: int, families: Mapping[str, Any], tree: Tree) -> str:
    # The number tells a state that came back from the same state asked for twice.
    files = {name: tree.get(name) for files in families.values() for name in files}
    told = json.dumps([number, sorted(families), sorted(files.items())])
    return hashlib.sha256(told.encode()).hexdigest()[:16]
