"""What is kept of an account: a directory with its legs, the latest run of each, its revisions.

accounts/<name>/legs.json        every leg, the latest one last
accounts/<name>/leg-0001/        the latest run of the leg, as any recorded run
accounts/<name>/market-<run>.npz the hourly series that the latest run was made of
accounts/<name>/revisions.json   every change of the past, and who accepted it
accounts/<name>/stale.json       feeds that are stale, with the hour they reach

A leg is a stretch of one configuration; a changed configuration begins the next one. Every file is
written as a whole, a run after all that belongs to it: a killed process loses nothing, because the
next tick finds what is missing.
"""

import io
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from basis_pipeline.backtests.history import Series
from basis_pipeline.errors import CommandError, ResultsError
from basis_pipeline.files import locked, write_atomically
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.results.store import SUMMARY, RunResult, read_run
from basis_pipeline.results.tables import TABLES
from basis_pipeline.settings import Settings

LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of an account under one configuration.

    Parameters
    ----------
    number: 1, 2, 3 … start: UTC, its first hour. capital: there, before the costs of entering.
    config_hash: of the mode, its venues and share class, without gates and flows.
    """

    number: int
    start: datetime
    capital: float
    config_hash: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of the past, and who accepted it.

    Parameters
    ----------
    id: of the two runs that differ. leg, hour, changed_from, feed, value, before, after: as
        `history.Change`, in texts. by, reason, accepted_at: empty until a person accepts it.
    """

    id: str
    found_at: str
    leg: int
    hour: str
    changed_from: str
    feed: str
    value: str
    before: float
    after: float
    description: str
    by: str = ""
    reason: str = ""
    accepted_at: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nobody has accepted it."""
        return not self.by


class AccountFiles:
    """The directory of one account. Every method raises ResultsError RS-003 on a damaged file."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.directory = settings.results_dir / "accounts" / name

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the account, alone among all processes.

        Raises
        ------
        ResultsError: RS-007 when another holds it for too long, RS-001 when it cannot be written.
        """
        try:
            with locked(self.directory / "lock", LOCK_SECONDS):
                yield
        except TimeoutError as error:
            raise ResultsError("RS-007", str(error), where=str(self.directory)) from None
        except OSError as error:
            what = f"the account cannot be written: {error.strerror or error}"
            raise ResultsError("RS-001", what, where=str(self.directory)) from error

    def legs(self) -> list[Leg]:
        """Return every leg, the latest last."""
        rows = self._read("legs.json")
        return [Leg(**{**row, "start": datetime.fromisoformat(row["start"])}) for row in rows]

    def add_leg(self, leg: Leg) -> None:
        """Begin a leg."""
        legs = [*self.legs(), leg]
        rows = [{**asdict(one), "start": one.start.isoformat()} for one in legs]
        self._write("legs.json", rows)
        fields = {"account": self.name, "leg": leg.number, "capital": leg.capital}
        start = leg.start.isoformat()
        emit(self.settings, EventType.LEG_STARTED, "accounts", **fields, start=start)

    def run_directory(self, leg: int) -> Path:
        """Directory of the latest run of a leg."""
        return self.directory / f"leg-{leg:04d}"

    def run(self, leg: int, tables: Collection[str] = TABLES) -> RunResult | None:
        """Return the latest run of a leg, with the tables named; None before its first."""
        directory = self.run_directory(leg)
        return read_run(directory, tables) if (directory / SUMMARY).exists() else None

    def market(self, run_id: str) -> Series:
        """Return the hourly series that a run was made of; none where they are gone."""
        file = self.directory / f"market-{run_id}.npz"
        if not file.exists():
            return {}
        try:
            with np.load(file) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise ResultsError("RS-003", f"{file.name} is damaged", where=str(file)) from error

    def keep_market(self, run_id: str, series: Series) -> None:
        """Keep the hourly series of a run, before the run itself."""
        sink = io.BytesIO()
        np.savez(sink, **series)  # type: ignore[arg-type]
        write_atomically(self.directory / f"market-{run_id}.npz", sink.getvalue())

    def drop_markets(self, run_id: str) -> None:
        """Remove the series of every run but this one."""
        for file in self.directory.glob("market-*.npz"):
            if file.name != f"market-{run_id}.npz":
                file.unlink(missing_ok=True)

    def revisions(self) -> list[Revision]:
        """Return every change of the past, the latest last."""
        return [Revision(**row) for row in self._read("revisions.json")]

    def add_revision(self, revision: Revision) -> None:
        """Record a change of the past, once."""
        known = self.revisions()
        if revision.id in [one.id for one in known]:
            return
        self._write("revisions.json", [asdict(one) for one in [*known, revision]])
        fields = {"account": self.name, **asdict(revision)}
        emit(self.settings, EventType.REVISION_FOUND, "accounts", **fields)

    def accept(self, *, by: str, reason: str) -> list[Revision]:
        """Accept every open revision; return them.

        Raises
        ------
        CommandError: API-001 without a name or a reason.
        """
        if missing := [n for n, text in (("reason", reason), ("by", by)) if not text.strip()]:
            what = f"a revision is not accepted without {' and '.join(missing)}"
            raise CommandError("API-001", what, action="say who accepts it, and why")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.held():
            known = self.revisions()
            now = {
                one.id: replace(one, by=by, reason=reason, accepted_at=at)
                for one in known
                if one.is_open
            }
            self._write("revisions.json", [asdict(now.get(one.id, one)) for one in known])
        for revision in now.values():
            fields = {"account": self.name, **asdict(revision)}
            emit(self.settings, EventType.REVISION_ACCEPTED, "accounts", **fields)
        return list(now.values())

    def note_stale(self, stale: dict[str, str]) -> None:
        """Record which feeds are stale now, feed → description; a new one is an event."""
        before = dict(self._read("stale.json") or {})
        if stale.keys() == before.keys():
            return
        self._write("stale.json", stale)
        for feed in stale.keys() - before.keys():
            fields = {"account": self.name, "dataset": feed, "reason": stale[feed]}
            emit(self.settings, EventType.FEED_STALE, "accounts", **fields)
        for feed in before.keys() - stale.keys():
            emit(
                self.settings, EventType.FEED_CAUGHT_UP, "accounts", account=self.name, dataset=feed
            )

    def _read(self, name: str) -> Any:
        file = self.directory / name
        try:
            return json.loads(file.read_text()) if file.exists() else []
        except ValueError as error:
            raise ResultsError("RS-003", f"{name} is damaged", where=str(file)) from error

    def _write(self, name: str, value: Any) -> None:
        content = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.directory / name, content.encode())
