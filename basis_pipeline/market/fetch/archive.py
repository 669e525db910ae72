"""The public archive of Binance: monthly and daily zips, each with its checksum.

The zips are stored unchanged. Days have their own zips until the zip of their month is published.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from basis_pipeline.config.source import BinanceArchive
from basis_pipeline.errors import FetchError
from basis_pipeline.files import file_sha256
from basis_pipeline.market.fetch.http import HttpClient
from basis_pipeline.market.fetch.months import Month
from basis_pipeline.market.fetch.series import SHOWN, Progress, Task, months_of
from basis_pipeline.market.fetch.store import Store
from basis_pipeline.verdict import count_of

DAY = timedelta(days=1)
PUBLISHED_AFTER = timedelta(days=3)  # a day's zip is usually published on the next day
_FOLDERS = {"spot": "spot", "um": "futures/um", "cm": "futures/cm"}


def zip_name(source: BinanceArchive, label: str) -> str:
    """Return the name of a zip; `label` is a month or a day."""
    return f"{source.symbol}-{source.interval or source.data}-{label}.zip"


def _zip_path(source: BinanceArchive, label: str) -> str:
    """Path of a zip below the URL of the archive."""
    period = "monthly" if label.count("-") == 1 else "daily"
    parts = ("data", _FOLDERS[source.market], period, source.data, source.symbol, source.interval)
    return f"/{'/'.join(filter(None, parts))}/{zip_name(source, label)}"


def fetch_archive(
    source: BinanceArchive, http: HttpClient, store: Store, task: Task, progress: Progress
) -> None:
    """Fetch the missing zips.

    Raises
    ------
    FetchError: the archive fails, or a zip has wrong content; earlier zips are stored.
    """
    wanted = months_of(store, task, lambda month: store.path_of(zip_name(source, str(month))))
    for count, month in enumerate(wanted):
        task.advance(str(month), count, len(wanted))
        _ZipFetch(source, http, store, task, progress).month(month)


class _ZipFetch:
    """One month of one symbol."""

    def __init__(
        self, source: BinanceArchive, http: HttpClient, store: Store, task: Task, progress: Progress
    ) -> None:
        self.source, self.http, self.store = source, http, store
        self.task, self.progress = task, progress
        self.publisher = f"{http.host.name} {source.symbol} {source.data}"

    def month(self, month: Month) -> None:
        if month.end <= min(self.task.now, self.task.until) and self._zip(str(month), month.end):
            self._replace_days(month)
        elif self.source.data != "fundingRate":  # published by month only
            absent = [
                f"{day:%Y-%m-%d}"
                for day in self._days(month)
                if not self._zip(f"{day:%Y-%m-%d}", day + DAY)
                and day + DAY + PUBLISHED_AFTER <= self.task.now
            ]
            self._report(absent)
        elif month.end + 7 * DAY <= self.task.now:
            self._report([str(month)])

    def _days(self, month: Month) -> Iterator[datetime]:
        """Days of a month to fetch that have ended."""
        day = self.task.begin(month).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < month.end and day + DAY <= min(self.task.now, self.task.until):
            yield day
            day += DAY

    def _zip(self, label: str, until: datetime) -> bool:
        """Store a zip or compare it with the stored one; return whether the archive has it."""
        store = self.store
        file = store.path_of(zip_name(self.source, label))
        again = self.task.verify or self.task.accept
        if (entry := store.entry(file)) and entry.complete and not again:
            return True
        path = _zip_path(self.source, label)
        checksum = self._checksum(path, file.name)
        if checksum is None:
            return False
        if not file.exists():
            self._download(path, file, checksum, until)
        elif entry and entry.complete and file_sha256(file) != entry.sha256:
            what = f"{store.key(file)} was changed after it was fetched"
            raise FetchError("FETCH-012", what, where=str(file))
        elif file_sha256(file) != checksum:
            self._revision(path, file, checksum, until)
        else:
            self._record(file, until)
            store.set_revision_count(file, 0)
        return True

    def _checksum(self, path: str, name: str) -> str | None:
        body = self.http.get(f"{path}.CHECKSUM")
        if body is None:
            return None
        words = body.decode("ascii", "replace").split()
        if len(words) != 2 or len(words[0]) != 64 or words[1].lstrip("*") != name:
            what = f"the checksum file of {name} contains {' '.join(words)[:100]!r}"
            code = "FETCH-004" if len(words) != 2 else "FETCH-005"
            raise FetchError(code, what, where=f"{self.http.host.name}{path}.CHECKSUM")
        return words[0].lower()

    def _download(self, path: str, file: Path, checksum: str, until: datetime) -> None:
        # Downloaded beside the manifest, and moved once it is validated.
        arrived = self.store.folder / file.name
        arrived.parent.mkdir(parents=True, exist_ok=True)
        self.http.download(path, arrived, checksum)
        try:
            _require_member(arrived, file.stem, self.http.host.name + path)
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                since = until - DAY
                self.store.record(file, source=path, since=since, until=since, sha256=checksum)
            arrived.replace(file)
        finally:
            arrived.unlink(missing_ok=True)
        self._record(file, until)
        self.progress.files += 1

    def _record(self, file: Path, until: datetime) -> None:
        label = file.stem.removeprefix(zip_name(self.source, "").removesuffix(".zip"))
        since = datetime.fromisoformat(label if label.count("-") == 2 else f"{label}-01")
        rows = len(_lines(file))
        known = self.store.entry(file)
        self.progress.rows += 0 if known and known.complete else rows
        self.store.record(
            file,
            source=self.http.host.name + _zip_path(self.source, label),
            since=since.replace(tzinfo=UTC),
            until=until,
            complete=True,
            sha256=file_sha256(file),
            rows=rows,
        )

    def _revision(self, path: str, file: Path, checksum: str, until: datetime) -> None:
        """Store a changed zip: beside the stored one, or in its place when accepted."""
        kept = self.store.revision_path(file).with_suffix(f".{checksum[:8]}.zip")
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            self.http.download(path, kept, checksum)
        _require_member(kept, file.stem, self.http.host.name + path)
        differing = _differences(_lines(file), _lines(kept))
        if self.task.accept:
            old = self.store.revision_path(file).with_suffix(f".{file_sha256(file)[:8]}.zip")
            old.write_bytes(file.read_bytes())
            kept.replace(file)
            self._record(file, until)
            self.store.set_revision_count(file, 0)
            return
        self.store.set_revision_count(file, len(differing))
        shown = "; ".join(f"{old!r}, now {new!r}" for old, new in differing[:SHOWN])
        count = count_of(len(differing), "line")
        what = f"{self.publisher} has changed {count} of {file.name}: {shown}"
        self._warn("FETCH-006", f"{what}; the new file was saved as {kept}", file)

    def _replace_days(self, month: Month) -> None:
        """Remove the zips of days that the month contains; save those that differ from it."""
        store = self.store
        month_file = store.path_of(zip_name(self.source, str(month)))
        days = [
            store.data_dir / name
            for name in store.manifest.files
            if Path(name).stem.startswith(f"{month_file.stem}-")
        ]
        if not days:
            return
        held = set(_lines(month_file))
        for file in days:
            changed = [line for line in _lines(file) if line not in held] if file.exists() else []
            if changed:
                kept = store.revision_path(file)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(file.read_bytes())
                store.set_revision_count(file, len(changed))
                shown = "; ".join(map(repr, changed[:SHOWN]))
                lines = f"{count_of(len(changed), 'line')} of {file.name}: {shown}"
                what = f"{self.publisher} has changed in the zip of the month {lines}"
                self._warn("FETCH-006", f"{what}; the zip of the day was saved as {kept}", file)
            store.remove(file)

    def _report(self, absent: list[str]) -> None:
        # Before the first file the symbol was not listed.
        if absent and self.store.manifest.files:
            shown = ", ".join(absent[:SHOWN]) + (", …" if len(absent) > SHOWN else "")
            self._warn("FETCH-010", f"{self.publisher} has no zip for {shown}", None)

    def _warn(self, code: str, what: str, file: Path | None) -> None:
        where = self.store.key(file) if file else self.http.host.name
        self.progress.warnings.append(FetchError(code, what, where=where))


def _require_member(file: Path, name: str, where: str) -> None:
    """Raise unless the zip is intact and contains exactly the file of its name."""
    try:
        with zipfile.ZipFile(file) as archive:
            members, broken = archive.namelist(), archive.testzip()
    except zipfile.BadZipFile as error:
        raise FetchError("FETCH-004", f"{file.name} is not a zip: {error}", where=where) from None
    if broken:
        raise FetchError("FETCH-004", f"{broken} in {file.name} is damaged", where=where)
    if members != [f"{name}.csv"]:
        what = f"{file.name} contains {', '.join(members[:SHOWN])} instead of {name}.csv"
        raise FetchError("FETCH-005", what, where=where)


def _lines(file: Path) -> list[str]:
    """Lines with values of the file in a zip, without a header if there is one."""
    with zipfile.ZipFile(file) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return [line for line in text.splitlines() if line[:1].isdigit()]


def _differences(stored: list[str], offered: list[str]) -> list[tuple[str, str]]:
    """Pairs of different lines with the same timestamp; empty where one has no such line."""
    first, second = (
        {next(csv.reader(io.StringIO(line)))[0]: line for line in lines}
        for lines in (stored, offered)
    )
    timestamps = sorted(first.keys() | second.keys())
    pairs = [(first.get(timestamp, ""), second.get(timestamp, "")) for timestamp in timestamps]
    return [pair for pair in pairs if pair[0] != pair[1]]
