"""Fetching a feed that is rows in time: month by month, each a file of its own.

A month is complete when it has ended and the source has given all of it; it is not asked for again.
A month with gaps is complete a week later. Until then each fetch rewrites the file as a whole, and
asks again for its last rows: a source revises most in the first hours.
"""

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
CHECKPOINT_SECONDS = 10.0  # a kill costs at most the answers of so long
SETTLED_AFTER = timedelta(minutes=5)  # from a month's end: a venue publishes its last rows late
GAPS_REPAIRED_FOR = timedelta(days=7)
LATE_ROWS = 3  # a row that is not there yet is no gap
SHOWN = 3
MILLISECOND = timedelta(milliseconds=1)


class Series(Protocol):
    """A source that gives rows.

    Attributes
    ----------
    publisher: who gives them, for messages. columns: canonical names of what it gives.
    step: between two rows.
    """

    publisher: str
    columns: frozenset[str]
    step: timedelta

    def latest(self, now: datetime) -> datetime:
        """The latest stamp whose row is final: the candle has closed, the block cannot change."""
        ...

    def pages(self, start: int, end: int) -> Iterator[Rows]:
        """Yield rows of [start, end), in milliseconds, in pieces and in any order.

        Raises
        ------
        FetchError: the source fails, rejects the question, or answers with something else.
        """
        ...


@dataclass
class Progress:
    """What a fetch of one feed has done so far.

    Parameters
    ----------
    rows, files: how many were added and written.
    warnings: coded, FETCH-006 and FETCH-010.
    """

    rows: int = 0
    files: int = 0
    warnings: list[FetchError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be fetched of a feed.

    Parameters
    ----------
    earliest: before this the feed has no fetched rows.
    since, until: the time asked for; the month of `since` is fetched from its beginning, or from
        `earliest`, and `until` is excluded.
    now: what has not happened yet is not there.
    verify: ask again for what is complete too, and compare.
    accept: let what the source has revised replace what was stored.
    advance: called with each piece of work, and how many pieces are done of how many.
    """

    earliest: datetime
    since: datetime
    until: datetime
    now: datetime
    verify: bool = False
    accept: bool = False
    advance: Callable[[str, int, int], None] = lambda *_: None

    def begin(self, month: Month) -> datetime:
        """The first moment that is wanted of a month."""
        return max(month.start, self.earliest)


def months_of(
    store: Store, task: Task, file_of: Callable[[Month], Path] | None = None
) -> list[Month]:
    """Months that a fetch would ask for: all but those of which everything wanted is there."""
    file_of = file_of or store.month_file

    def is_complete(month: Month) -> bool:
        entry = store.entry(file_of(month))
        return entry is not None and entry.complete and entry.since <= task.begin(month)

    every = months(max(task.since, task.earliest), min(task.until, task.now))
    return [month for month in every if task.verify or task.accept or not is_complete(month)]


def fetch_series(series: Series, store: Store, task: Task, progress: Progress) -> None:
    """Fetch what is lacking, and store it as it comes: `progress` says how far that went.

    Raises
    ------
    FetchError: the source fails, or gives what cannot be stored; what came before it is stored.
    """
    require_columns(store.config, series.columns, series.publisher)
    wanted = months_of(store, task)
    for count, month in enumerate(wanted):
        task.advance(str(month), count, len(wanted))
        _MonthFetch(series, store, task, progress, month).run()


def own_until(store: Store) -> datetime | None:
    """The last timestamp of files that lie there and were not fetched; None without any.

    Raises
    ------
    FetchError: FETCH-012 when such a file cannot be read: nobody knows where to go on from.
    """
    found = []
    for file in feed_files(store.data_dir, store.config):
        name = store.key(file)
        if name in store.manifest.files:
            continue
        alone = "".join(f"[{char}]" if char in "*?[" else char for char in name)
        try:
            span = read_feed(
                store.data_dir, store.config.model_copy(update={"glob": alone})
            ).span  # fmt: skip
        except DataError as error:
            what = f"{name} was not fetched, and cannot be read: {error.what}"
            action = "remove the file, or fetch into another data directory"
            raise FetchError("FETCH-012", what, where=str(file), action=action) from error
        found += [span[1].to_pydatetime()] if span else []
    return max(found, default=None)


class _MonthFetch:
    """One month of one feed; `rows` are those of its file, `fetched` what the source gives now."""

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
        """Ask for what is lacking, once more for what was left out, and store the month."""
        stored = dict(self.rows)
        self._ask(self._resume(), self.end)
        for gap in self._gaps():
            self._ask(gap.first, min(gap.last + 1, self.end))
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
        """Where to ask from: some rows before the last one stored, or the first gap."""
        entry = self.store.entry(self.file)
        again = self.task.verify or self.task.accept
        if again or not entry or not self.rows or milliseconds(entry.since) > self.start:
            return self.start
        last = max(self.rows) - (OVERLAP_ROWS - 1) * self.step
        return max(self.start, min([last, *(gap.first for gap in entry.gaps)]))

    def _ask(self, start: int, end: int) -> None:
        if start >= end:
            return
        saved_at = time.monotonic()
        try:
            for page in self.series.pages(start, end):
                inside = {stamp: values for stamp, values in page.items() if start <= stamp < end}
                merge(self.fetched, inside, self.series.publisher)
                new = inside.keys() - self.rows.keys()
                self.rows |= {stamp: inside[stamp] for stamp in new}
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
        """Store what has come so far; the next fetch goes on behind it."""
        if self.rows:
            missing = gaps(self.rows, self.step, None, max(self.rows))
            self._write(complete=False, missing=missing)

    def _report(self, changed: list[Revision], missing: list[Gap]) -> None:
        self.store.keep_revisions(
            self.file, changed, asked=self.fetched.keys(), accepted=self.task.accept
        )
        publisher = self.series.publisher
        if changed and not self.task.accept:
            self._warn("FETCH-006", f"{publisher} has changed {listed(changed, 'value')}")
        if missing:
            self._warn("FETCH-010", f"{publisher} has no rows for {listed(missing, 'gap')}")

    def _warn(self, code: str, what: str) -> None:
        self.progress.warnings.append(FetchError(code, what, where=self.store.key(self.file)))


def listed(found: list[Revision] | list[Gap], name: str) -> str:
    """Count what was found, and write the first ones out."""
    count = count_of(len(found), name)
    more = "; …" if len(found) > SHOWN else ""
    return f"{count}: {'; '.join(map(str, found[:SHOWN]))}{more}"
