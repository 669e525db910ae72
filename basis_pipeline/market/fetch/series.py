"""Fetching time series month by month, one file per month.

A month is complete when it has ended and the source has provided all of it; it is not requested
again. A month with gaps is complete a week later. Until then each fetch rewrites the whole file and
requests its last rows again, since sources revise mostly within the first hours.
"""

import glob
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from basis_pipeline.errors import DataError, FetchError
from basis_pipeline.market.fetch.months import Month, months
from basis_pipeline.market.fetch.rows import (
    Gap,
    Revision,
    Rows,
    gaps,
    merge,
    milliseconds,
    require_columns,
    revisions,
)
from basis_pipeline.market.fetch.store import Store
from basis_pipeline.market.raw import feed_files, read_feed
from basis_pipeline.verdict import count_of

OVERLAP_ROWS = 24
CHECKPOINT_SECONDS = 10.0  # a killed fetch loses at most the answers of this time
SETTLED_AFTER = timedelta(minutes=5)  # after a month's end: venues publish its last rows late
GAPS_REPAIRED_FOR = timedelta(days=7)
LATE_ROWS = 3  # so few missing rows at the end are late, not a gap
SHOWN = 3
MILLISECOND = timedelta(milliseconds=1)


class Series(Protocol):
    """A source of rows.

    Attributes
    ----------
    publisher: the source's name, for messages. columns: canonical names of its columns.
    step: the time between two rows.
    """

    publisher: str
    columns: frozenset[str]
    step: timedelta

    def latest(self, now: datetime) -> datetime:
        """Return the latest timestamp whose row is final: a closed candle, a final block."""
        ...

    def pages(self, start: int, end: int) -> Iterator[Rows]:
        """Yield rows of [start, end), in milliseconds, in pieces and in any order.

        Raises
        ------
        FetchError: the source fails, rejects the request, or returns something else.
        """
        ...


@dataclass
class Progress:
    """What a fetch of one feed has done so far.

    Parameters
    ----------
    rows, files: numbers added and written.
    warnings: FETCH-006 and FETCH-010.
    """

    rows: int = 0
    files: int = 0
    warnings: list[FetchError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """What to fetch of one feed.

    Parameters
    ----------
    earliest: no rows before this time are fetched.
    since, until: the span; the month of `since` is fetched from its beginning, or from `earliest`,
        and `until` is excluded.
    now, verify, accept: as in `Request`.
    advance: called with each piece of work, and the numbers of pieces done and in all.
    """

    earliest: datetime
    since: datetime
    until: datetime
    now: datetime
    verify: bool = False
    accept: bool = False
    advance: Callable[[str, int, int], None] = lambda *_: None

    def begin(self, month: Month) -> datetime:
        """Return the time from which a month is fetched."""
        return max(month.start, self.earliest)


def months_of(
    store: Store, task: Task, file_of: Callable[[Month], Path] | None = None
) -> list[Month]:
    """List the months that a fetch would request: all that are not stored completely."""
    file_of = file_of or store.month_file

    def is_complete(month: Month) -> bool:
        entry = store.entry(file_of(month))
        return entry is not None and entry.complete and entry.since <= task.begin(month)

    every = months(max(task.since, task.earliest), min(task.until, task.now))
    return [month for month in every if task.verify or task.accept or not is_complete(month)]


def fetch_series(series: Series, store: Store, task: Task, progress: Progress) -> None:
    """Fetch the missing rows and store them as they arrive; `progress` counts them.

    Raises
    ------
    FetchError: the source fails, or its rows cannot be stored; earlier rows are stored.
    """
    require_columns(store.config, series.columns, series.publisher)
    wanted = months_of(store, task)
    for count, month in enumerate(wanted):
        task.advance(str(month), count, len(wanted))
        _MonthFetch(series, store, task, progress, month).run()


def last_delivered(store: Store) -> datetime | None:
    """Return the last timestamp of the feed's files that were not fetched; None without any.

    Raises
    ------
    FetchError: FETCH-012 when such a file cannot be read.
    """
    found = []
    for file in feed_files(store.data_dir, store.config):
        name = store.key(file)
        if name in store.manifest.files:
            continue
        config = store.config.model_copy(update={"glob": glob.escape(name)})
        try:
            span = read_feed(store.data_dir, config).span
        except DataError as error:
            what = f"{name} was not fetched, and cannot be read: {error.what}"
            action = "remove the file, or fetch into another data directory"
            raise FetchError("FETCH-012", what, where=str(file), action=action) from error
        found += [span[1].to_pydatetime()] if span else []
    return max(found, default=None)


class _MonthFetch:
    """One month of one feed; `rows` are those of its file, `fetched` those received now."""

    def __init__(
        self, series: Series, store: Store, task: Task, progress: Progress, month: Month
    ) -> None:
        self.series, self.store, self.task, self.progress = series, store, task, progress
        self.month = month
        self.file = store.month_file(month)
        self.rows = store.rows(self.file)
        self.fetched: Rows = {}
        self.start = milliseconds(task.begin(month))
        final = series.latest(task.now) + MILLISECOND
        self.end = milliseconds(min(month.end, task.until, final))
        self.step = series.step // MILLISECOND

    def run(self) -> None:
        """Request the missing rows, request remaining gaps once more, and store the month."""
        stored = dict(self.rows)
        self._request(self._resume(), self.end)
        for gap in self._gaps():
            self._request(gap.first, min(gap.last + 1, self.end))
        changed = revisions(stored, self.fetched)
        if self.task.accept:
            for one in changed:
                self.rows[one.timestamp] = self.fetched[one.timestamp]
        missing = self._gaps()
        overdue = self.task.now >= self.month.end + GAPS_REPAIRED_FOR
        if self.rows or self._has_ended():
            self._write(complete=self._has_ended() and (not missing or overdue), missing=missing)
        self._report(changed, missing)

    def _resume(self) -> int:
        """Where requests begin: some rows before the last stored one, or the first gap."""
        entry = self.store.entry(self.file)
        again = self.task.verify or self.task.accept
        if again or not entry or not self.rows or milliseconds(entry.since) > self.start:
            return self.start
        last = max(self.rows) - (OVERLAP_ROWS - 1) * self.step
        return max(self.start, min([last, *(gap.first for gap in entry.gaps)]))

    def _request(self, start: int, end: int) -> None:
        if start >= end:
            return
        saved_at = time.monotonic()
        try:
            for page in self.series.pages(start, end):
                inside = {
                    timestamp: values
                    for timestamp, values in page.items()
                    if start <= timestamp < end
                }
                merge(self.fetched, inside, self.series.publisher)
                new = inside.keys() - self.rows.keys()
                self.rows |= {timestamp: inside[timestamp] for timestamp in new}
                self.progress.rows += len(new)
                if new and time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    self._write_part()
                    saved_at = time.monotonic()
        except FetchError:
            self._write_part()
            raise

    def _gaps(self) -> list[Gap]:
        before = self.store.entry(self.store.month_file(Month.of(self.month.start - MILLISECOND)))
        begin = self.start if before and before.rows else None
        end = self.end
        if not self._has_ended() and self.rows:
            last = max(self.rows)
            end = end if end - last > LATE_ROWS * self.step else last
        return gaps(self.rows, self.step, begin, end)

    def _has_ended(self) -> bool:
        ended = self.task.now >= self.month.end + SETTLED_AFTER
        return ended and self.end == milliseconds(self.month.end)

    def _write(self, *, complete: bool, missing: list[Gap]) -> None:
        self.progress.files += self.store.write_rows(
            self.file,
            self.rows,
            source=self.series.publisher,
            since=datetime.fromtimestamp(self.start / 1000, UTC),
            until=datetime.fromtimestamp(self.end / 1000, UTC),
            complete=complete,
            gaps=missing,
        )

    def _write_part(self) -> None:
        """Store the rows received so far; the next fetch continues after them."""
        if self.rows:
            missing = gaps(self.rows, self.step, None, max(self.rows))
            self._write(complete=False, missing=missing)

    def _report(self, changed: list[Revision], missing: list[Gap]) -> None:
        self.store.record_revisions(
            self.file, changed, requested=self.fetched.keys(), accepted=self.task.accept
        )
        publisher = self.series.publisher
        if changed and not self.task.accept:
            self._warn("FETCH-006", f"{publisher} has changed {_first_ones(changed, 'value')}")
        if missing:
            self._warn("FETCH-010", f"{publisher} has no rows for {_first_ones(missing, 'gap')}")

    def _warn(self, code: str, what: str) -> None:
        self.progress.warnings.append(FetchError(code, what, where=self.store.key(self.file)))


def _first_ones(found: list[Revision] | list[Gap], name: str) -> str:
    """Return the number of findings and the first ones as text."""
    count = count_of(len(found), name)
    more = "; …" if len(found) > SHOWN else ""
    return f"{count}: {'; '.join(map(str, found[:SHOWN]))}{more}"
