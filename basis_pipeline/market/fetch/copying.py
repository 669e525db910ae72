"""Files of another directory and documents: stored and compared as a whole."""

import shutil
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

from basis_pipeline.errors import FetchError
from basis_pipeline.files import file_sha256, write_atomically
from basis_pipeline.market.fetch.series import SHOWN, Progress, Task
from basis_pipeline.market.fetch.store import Store
from basis_pipeline.verdict import count_of

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def fetch_files(path: str, store: Store, task: Task, progress: Progress) -> None:
    """Copy every file that a path or a glob matches.

    A file with lines appended replaces its copy. Any other change is a revision.

    Raises
    ------
    FetchError: FETCH-003 when no file matches.
    """
    named = Path(path).expanduser()
    found = Path(named.anchor).glob(str(named.relative_to(named.anchor)))
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise FetchError("FETCH-003", f"there is no file {path}", where="source.path")
    for count, file in enumerate(files):
        task.advance(file.name, count, len(files))
        store_file(file.read_bytes(), store.path_of(file.name), str(file), store, task, progress)


def store_file(
    content: bytes, file: Path, source: str, store: Store, task: Task, progress: Progress
) -> None:
    """Store a whole file, or compare it with the stored one."""
    stored = file.read_bytes() if file.exists() else None
    if stored is not None and store.entry(file) is None:
        what = f"{store.key(file)} exists and was not fetched"
        raise FetchError("FETCH-012", what, where=str(file))
    if stored is not None and not content.startswith(stored) and not task.accept:
        kept = store.revision_path(file)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, content)
        lines = _changed_lines(stored, content)
        store.set_revision_count(file, len(lines))
        count, shown = count_of(len(lines), "line"), "; ".join(lines[:SHOWN])
        what = f"{source} has changed {count}: {shown}; the new file was saved as {kept}"
        progress.warnings.append(FetchError("FETCH-006", what, where=store.key(file)))
        return
    if stored != content:
        file.parent.mkdir(parents=True, exist_ok=True)
        if stored is None:
            store.record(file, source=source, since=EARLIEST, until=EARLIEST, sha256="")
        elif not content.startswith(stored):
            old = store.revision_path(file).with_suffix(f".{file_sha256(file)[:8]}{file.suffix}")
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, old)
        write_atomically(file, content)
        progress.files += 1
        progress.rows += content.count(b"\n") - (stored or b"").count(b"\n")
    store.record(file, source=source, since=EARLIEST, until=task.now, sha256=file_sha256(file))
    store.set_revision_count(file, 0)


def _changed_lines(stored: bytes, offered: bytes) -> list[str]:
    """Lines that differ, each as `line 3: stored, now offered`."""
    first, second = (text.decode(errors="replace").splitlines() for text in (stored, offered))
    return [
        f"line {number}: {old[:80].strip()}, now {new[:80].strip()}"
        for number, (old, new) in enumerate(zip_longest(first, second, fillvalue="nothing"), 1)
        if old != new
    ]
