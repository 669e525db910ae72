"""Fetched files of one feed, and the manifest with the origin of each.

The files are where the dataset's `glob` finds them. Everything else is in `fetched/<feed>/` below
the data directory: `manifest.json`, the lock, and in `revisions/` the values that the source has
changed. A file is written before the manifest, each atomically: after a kill between the two the
manifest lacks some rows, and the next fetch requests them again.
"""

import csv
import io
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from basis_pipeline.config import DatasetConfig
from basis_pipeline.errors import FetchError
from basis_pipeline.files import file_sha256, locked, sha256, write_atomically
from basis_pipeline.market.fetch.months import Month
from basis_pipeline.market.fetch.rows import Gap, Revision, Rows, from_csv, iso_time, to_csv

FOLDER = "fetched"
# Keys of a source that do not change its rows.
_ADDRESS = ("url", "url_variable", "since")
REVISION = ("timestamp", "column", "stored", "offered", "seen_at", "state")


class FileEntry(BaseModel):
    """One fetched file.

    Parameters
    ----------
    source: the publisher, without any key. first, last: timestamps of its rows.
    since, until: the requested span; until is excluded.
    complete: whether nothing is left to request.
    gaps: stretches for which the source had no rows.
    """

    source: str
    rows: int | None = None
    first: str | None = None
    last: str | None = None
    since: datetime
    until: datetime
    sha256: str
    fetched_at: datetime
    complete: bool = False
    gaps: tuple[Gap, ...] = ()


class Manifest(BaseModel):
    """The fetched files of a feed.

    Parameters
    ----------
    source: the key `source` of the dataset file, without URL and start.
    files: by path below the data directory.
    revisions: by path, the number of stored values that the source has changed.
    """

    feed: str
    source: dict[str, Any]
    files: dict[str, FileEntry] = Field(default_factory=dict)
    revisions: dict[str, int] = Field(default_factory=dict)


class Store:
    """The fetched files of one feed; changes require its lock.

    Parameters
    ----------
    data_dir: of the raw files. config: of the feed; it has a source.

    Raises
    ------
    FetchError: FETCH-012 when the manifest cannot be read, or belongs to another source.
    """

    def __init__(self, data_dir: Path, config: DatasetConfig) -> None:
        self.data_dir, self.config = data_dir, config
        self.folder = data_dir / FOLDER / config.name
        self.manifest = self._load()

    def _load(self) -> Manifest:
        file = self.folder / "manifest.json"
        assert self.config.source is not None
        source = self.config.source.model_dump(mode="json", exclude=set(_ADDRESS))
        if not file.exists():
            return Manifest(feed=self.config.name, source=source)
        try:
            manifest = Manifest.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            what = f"the manifest of {self.config.name} cannot be read"
            raise FetchError("FETCH-012", what, where=str(file)) from error
        if manifest.source != source:
            old, new = manifest.source, source
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            changed = ", ".join(f"{key} {old.get(key)!r}, now {new.get(key)!r}" for key in keys)
            what = f"{self.config.name} was fetched from another source: {changed}"
            raise FetchError("FETCH-012", what, where=str(file))
        return manifest

    @contextmanager
    def lock(self, seconds: float) -> Iterator[None]:
        """Lock the feed among all processes, and read its manifest anew.

        Raises
        ------
        FetchError: FETCH-007 when another process holds it for longer. OSError: no lock file.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / "lock", seconds))
            except TimeoutError:
                what = f"{self.config.name} is being fetched by another process"
                raise FetchError("FETCH-007", what, where=str(self.folder / "lock")) from None
            self.manifest = self._load()
            yield

    def path_of(self, name: str) -> Path:
        """Return the path for a file name; FETCH-001 when the dataset's glob does not match it."""
        pattern = self.config.glob
        folder, _, names = pattern.rpartition("/")
        if "*" in folder or not fnmatch(name, names):
            what = (
                f"the glob {pattern} of {self.config.name} does not match the fetched file {name}"
            )
            where = f"configs/datasets/{self.config.name}.yaml"
            action = "use a glob with a fixed folder and one * in the file name"
            raise FetchError("FETCH-001", what, where=where, action=action)
        return self.data_dir / folder / name

    def month_file(self, month: Month) -> Path:
        """Return the file of one month: the month replaces the * of the glob."""
        name = self.config.glob.rpartition("/")[2]
        return self.path_of(name.replace("*", str(month)) if name.count("*") == 1 else str(month))

    def entry(self, file: Path) -> FileEntry | None:
        """Return the manifest's entry of a file; None when it was not fetched or is missing."""
        return self.manifest.files.get(self.key(file)) if file.exists() else None

    def key(self, file: Path) -> str:
        """Return the path below the data directory, the manifest's key of a file."""
        return file.relative_to(self.data_dir).as_posix()

    def rows(self, file: Path) -> Rows:
        """Return the rows of a fetched file; none when there is no file.

        Raises
        ------
        FetchError: FETCH-012 when the file was changed since, or was not fetched.
        """
        if not file.exists():
            return {}
        entry = self.manifest.files.get(self.key(file))
        try:
            # An incomplete file may be newer than the manifest: see above.
            if entry and (not entry.complete or file_sha256(file) == entry.sha256):
                return from_csv(file.read_bytes(), self.config)
        except (ValueError, KeyError):
            pass
        reason = "was changed after it was fetched" if entry else "exists and was not fetched"
        raise FetchError("FETCH-012", f"{self.key(file)} {reason}", where=str(file))

    def write_rows(
        self,
        file: Path,
        rows: Rows,
        *,
        source: str,
        since: datetime,
        until: datetime,
        complete: bool,
        gaps: Sequence[Gap] = (),
    ) -> bool:
        """Write rows atomically and record them in the manifest; return whether they changed."""
        content = to_csv(rows, self.config)
        changed = not file.exists() or file.read_bytes() != content
        if changed:
            file.parent.mkdir(parents=True, exist_ok=True)
            if self.key(file) not in self.manifest.files:
                # Before the file exists: a kill in between must not leave a file without an entry.
                self.record(file, source=source, since=since, until=since, sha256="")
            write_atomically(file, content)
        timestamps = sorted(rows)
        self.record(
            file,
            source=source,
            since=since,
            until=until,
            complete=complete,
            sha256=sha256(content),
            rows=len(rows),
            first=iso_time(timestamps[0]) if timestamps else None,
            last=iso_time(timestamps[-1]) if timestamps else None,
            gaps=tuple(gaps),
        )
        return changed

    def record(self, file: Path, **values: Any) -> None:
        """Record a file in the manifest; values: the fields of its `FileEntry`."""
        entry = FileEntry(fetched_at=datetime.now(UTC), **values)
        self.manifest.files[self.key(file)] = entry
        self.save()

    def remove(self, file: Path) -> None:
        """Remove a file whose rows another file contains."""
        file.unlink(missing_ok=True)
        self.manifest.files.pop(self.key(file), None)
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.manifest.model_dump(mode="json"), indent=1)
        write_atomically(self.folder / "manifest.json", text.encode() + b"\n")

    def record_revisions(
        self, file: Path, found: Sequence[Revision], *, requested: Collection[int], accepted: bool
    ) -> None:
        """Record changed values beside the stored ones in a table, each once.

        Parameters
        ----------
        requested: timestamps received now; earlier revisions among them that are not in `found` are
            withdrawn.
        """
        table = self.revision_path(file).with_suffix(".csv")
        lines = list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []
        known = {tuple(line[name] for name in REVISION[:4]): line for line in lines}
        again = {iso_time(timestamp) for timestamp in requested}
        for line in lines:
            if line["state"] == "open" and line["timestamp"] in again:
                line["state"] = "withdrawn"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for one in found:
            key = (iso_time(one.timestamp), one.column, repr(one.stored), repr(one.offered))
            line = known.setdefault(key, dict(zip(REVISION, (*key, now), strict=False)))
            line["state"] = "accepted" if accepted else "open"
        if not known:
            return
        written = io.StringIO()
        writer = csv.DictWriter(written, REVISION, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known.values())
        table.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(table, written.getvalue().encode())
        self.set_revision_count(file, sum(line["state"] == "open" for line in known.values()))

    def revision_path(self, file: Path) -> Path:
        """Return where revisions of a file are stored."""
        return self.folder / "revisions" / file.name

    def set_revision_count(self, file: Path, count: int) -> None:
        """Record in the manifest how many stored values of a file the source has changed."""
        self.manifest.revisions.pop(self.key(file), None)
        self.manifest.revisions |= {self.key(file): count} if count else {}
        self.save()


def read_revisions(data_dir: Path, feed: str) -> pd.DataFrame | None:
    """Return the stored values that a source has changed: `file` and `REVISION`, as text.

    A file that is compared as a whole has one row, without a timestamp. None for a feed that was
    never fetched: changes of its files are not known.
    """
    folder = data_dir / FOLDER / feed
    try:
        counted = json.loads((folder / "manifest.json").read_bytes())["revisions"]
        still_open = {Path(key).name for key in counted}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    rows: list[dict[str, str]] = []
    kept = {file.name for file in (folder / "revisions").glob("*")}
    # The table of a file has its name with the suffix .csv.
    tables = {
        (folder / "revisions" / name).with_suffix(".csv"): name
        for name in sorted(kept) + sorted(still_open)
    }
    for table, name in tables.items():
        with suppress(OSError, UnicodeDecodeError):
            reader = csv.DictReader(table.read_text().splitlines())
            if tuple(reader.fieldnames or ()) == REVISION:
                rows += [{"file": name, **line} for line in reader]
                continue
        state = "open" if name in still_open else "kept"
        whole = {"column": "the whole file", "state": state}
        rows.append({"file": name, **dict.fromkeys(REVISION, ""), **whole})
    return pd.DataFrame(rows, columns=["file", *REVISION])
