"""The public archive of Binance: monthly and daily zips, each with its checksum.

The zips are kept as they are. A day that has ended has a zip of its own until the month has one.
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
from basis_pipeline.market.fetch.http import Web
from basis_pipeline.market.fetch.months import Month
from basis_pipeline.market.fetch.series import SHOWN, Progress, Task, months_of
from basis_pipeline.market.fetch.store import Store
from basis_pipeline.verdict import count_of

DAY = timedelta(days=1)
PUBLISHED_AFTER = timedelta(days=3)  # a day's zip comes on the next day, mostly
_FOLDERS = {"spot": "spot", "um": "futures/um", "cm": "futures/cm"}


def zip_name(source: BinanceArchive, label: str) -> str:
    """The name of a zip; `label` is a month or a day."""
    return f"{source.symbol}-{source.interval or source.data}-{label}.zip"


def _zip_path(source: BinanceArchive, label: str) -> str:
    """Where a zip lies below the archive's address."""
    period = "monthly" if label.count("-") == 1 else "daily"
    parts = ("data", _FOLDERS[source.market], period, source.data, source.symbol, source.interval)
    return f"/{'/'.join(filter(None, parts))}/{zip_name(source, label)}"


def fetch_archive(
    source: BinanceArchive, web: Web, store: Store, task: Task, progress: Progress
) -> None:
    """Fetch the zips that are lacking.

    Raises
    ------
    FetchError: the archive fails, or a zip is not what its name says; what came before is stored.
    """
    wanted = months_of(store, task, lambda month: store.place(zip_name(source, str(month))))
    for count, month in enumerate(wanted):
        task.advance(str(month), count, len(wanted))
        _ZipFetch(source, web, store, task, progress).month(month)


class _ZipFetch:
    """One month of one symbol."""

    def __init__(
        self, source: BinanceArchive, web: Web, store: Store, task: Task, progress: Progress
    ) -> None:
        self.source, self.web, self.store = source, web, store
        self.task, self.progress = task, progress
        self.publisher = f"{web.host.name} {source.symbol} {source.data}"

    def month(self, month: Month) -> None:
        if month.end <= min(self.task.now, self.task.until) and self._zip(str(month), month.end):
            self._replace_days(month)
        elif self.source.data != "fundingRate":  # published by the month alone
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
        """Days of a month that are wanted and have ended."""
        day = self.task.begin(month).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < month.end and day + DAY <= min(self.task.now, self.task.until):
            yield day
            day += DAY

    def _zip(self, label: str, until: datetime) -> bool:
        """Store a zip, or compare the stored one; return whether the archive has it."""
        store = self.store
        file = store.place(zip_name(self.source, label))
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
            what = f"{store.key(file)} is not as it was fetched"
            raise FetchError("FETCH-012", what, where=str(file))
        elif file_sha256(file) != checksum:
            self._revision(path, file, checksum, until)
        else:
            self._record(file, until)
            store.count_revisions(file, 0)
        return True

    def _checksum(self, path: str, name: str) -> str | None:
        body = self.web.get(f"{path}.CHECKSUM")
        if body is None:
            return None
        words = body.decode("ascii", "replace").split()
        if len(words) != 2 or len(words[0]) != 64 or words[1].lstrip("*") != name:
            what = f"the checksum file of {name} says {' '.join(words)[:100]!r}"
            code = "FETCH-004" if len(words) != 2 else "FETCH-005"
            raise FetchError(code, what, where=f"{self.web.host.name}{path}.CHECKSUM")
        return words[0].lower()

    def _download(self, path: str, file: Path, checksum: str, until: datetime) -> None:
        # Beside the manifest, until it is known to be what it should be.
        arrived = self.store.folder / file.name
        arrived.parent.mkdir(parents=True, exist_ok=True)
        self.web.download(path, arrived, checksum)
        try:
            _require_member(arrived, file.stem, self.web.host.name + path)
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
            source=self.web.host.name + _zip_path(self.source, label),
            since=since.replace(tzinfo=UTC),
            until=until,
            complete=True,
            sha256=file_sha256(file),
            rows=rows,
        )

    def _revision(self, path: str, file: Path, checksum: str, until: datetime) -> None:
        """Keep the zip that came back different: beside the stored one, or in its place."""
        kept = self.store.revised(file).with_suffix(f".{checksum[:8]}.zip")
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            self.web.download(path, kept, checksum)
        _require_member(kept, file.stem, self.web.host.name + path)
        differing = _differences(_lines(file), _lines(kept))
        if self.task.accept:
            old = self.store.revised(file).with_suffix(f".{file_sha256(file)[:8]}.zip")
            old.write_bytes(file.read_bytes())
            kept.replace(file)
            self._record(file, until)
            self.store.count_revisions(file, 0)
            return
        self.store.count_revisions(file, len(differing))
        shown = "; ".join(f"{old!r}, now {new!r}" for old, new in differing[:SHOWN])
        count = count_of(len(differing), "line")
        what = f"{self.publisher} has changed {count} of {file.name}: {shown}"
        self._warn("FETCH-006", f"{what}; the new file is {kept}", file)

    def _replace_days(self, month: Month) -> None:
        """Remove the zips of days whose rows the month holds; keep those that differ from it."""
        store = self.store
        month_file = store.place(zip_name(self.source, str(month)))
        days = [
            store.data_dir / name
            for name in store.manifest.files
            if Path(name).stem.startswith(f"{month_file.stem}-")
        ]
        if not days:
            return
        held = set(_lines(month_file))
        for file in days:
            other = [line for line in _lines(file) if line not in held] if file.exists() else []
            if other:
                kept = store.revised(file)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(file.read_bytes())
                store.count_revisions(file, len(other))
                shown = "; ".join(map(repr, other[:SHOWN]))
                lines = f"{count_of(len(other), 'line')} of {file.name}: {shown}"
                what = f"{self.publisher} gives otherwise in the zip of the month {lines}"
                self._warn("FETCH-006", f"{what}; the day is kept as {kept}", file)
            store.forget(file)

    def _report(self, absent: list[str]) -> None:
        # Before its first file a symbol was not listed yet.
        if absent and self.store.manifest.files:
            shown = ", ".join(absent[:SHOWN]) + (", …" if len(absent) > SHOWN else "")
            self._warn("FETCH-010", f"{self.publisher} has no zip for {shown}", None)

    def _warn(self, code: str, what: str, file: Path | None) -> None:
        where = self.store.key(file) if file else self.web.host.name
        self.progress.warnings.append(FetchError(code, what, where=where))


def _require_member(file: Path, name: str, where: str) -> None:
    """Raise unless the zip is whole and holds the one file of its name."""
    try:
        with zipfile.ZipFile(file) as archive:
            members, broken = archive.namelist(), archive.testzip()
    except zipfile.BadZipFile as error:
        raise FetchError("FETCH-004", f"{file.name} is not a zip: {error}", where=where) from None
    if broken:
        raise FetchError("FETCH-004", f"{broken} in {file.name} is damaged", where=where)
    if members != [f"{name}.csv"]:
        what = f"{file.name} holds {', '.join(members[:SHOWN])}, where {name}.csv belongs"
        raise FetchError("FETCH-005", what, where=where)


def _lines(file: Path) -> list[str]:
    """Lines of the file in a zip that hold values: some have a header, some have none."""
    with zipfile.ZipFile(file) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return [line for line in text.splitlines() if line[:1].isdigit()]


def _differences(stored: list[str], offered: list[str]) -> list[tuple[str, str]]:
    """Lines of one stamp that are not the same; empty where one has no such line."""
    first, second = (
        {next(csv.reader(io.StringIO(line)))[0]: line for line in lines}
        for lines in (stored, offered)
    )
    stamps = sorted(first.keys() | second.keys())
    pairs = [(first.get(stamp, ""), second.get(stamp, "")) for stamp in stamps]
    return [pair for pair in pairs if pair[0] != pair[1]]
