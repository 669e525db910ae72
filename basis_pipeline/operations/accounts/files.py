"""The files of an account: its legs, the latest run of each, and its revisions.

accounts/<name>/legs.json        every leg, the latest one last
accounts/<name>/leg-0001/        the latest run of the leg, as any recorded run
accounts/<name>/market-<run>.npz the hourly series of the latest run
accounts/<name>/revisions.json   every change of the past, and who accepted it
accounts/<name>/stale.json       stale feeds, with the hour they reach

A leg is a period of one configuration; a changed configuration starts the next one. Every file is
written atomically, a run after all files that belong to it: after a kill the next tick completes
what is missing.
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
    """A period of an account under one configuration.

    Parameters
    ----------
    number: 1, 2, 3 … start: UTC, its first hour. capital: at the start, before entry costs.
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
        `history.Change`, as text. by, reason, accepted_at: empty until a person accepts it.
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
        """Whether no person has accepted it."""
        return not self.by


class AccountFiles:
    """The directory of one account. Every method raises ResultsError RS-003 on a damaged file."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.directory = settings.results_dir / "accounts" / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the account.

        Raises
        ------
        ResultsError: RS-007 when another process holds it for too long, RS-001 when it cannot be
            written.
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
        """List every leg, the latest last."""
        rows = self._read("legs.json")
        return [Leg(**{**row, "start": datetime.fromisoformat(row["start"])}) for row in rows]

    def add_leg(self, leg: Leg) -> None:
        """Start a leg."""
        legs = [*self.legs(), leg]
        rows = [{**asdict(one), "start": one.start.isoformat()} for one in legs]
        self._write("legs.json", rows)
        fields = {"account": self.name, "leg": leg.number, "capital": leg.capital}
        start = leg.start.isoformat()
        emit(self.settings, EventType.LEG_STARTED, "accounts", **fields, start=start)

    def run_directory(self, leg: int) -> Path:
        """Return the directory of the latest run of a leg."""
        return self.directory / f"leg-{leg:04d}"

    def run(self, leg: int, tables: Collection[str] = TABLES) -> RunResult | None:
        """Return the latest run of a leg, with the tables named; None before the first run."""
        directory = self.run_directory(leg)
        return read_run(directory, tables) if (directory / SUMMARY).exists() else None

    def market(self, run_id: str) -> Series:
        """Return the hourly series of a run; empty when they have been removed."""
        file = self.directory / f"market-{run_id}.npz"
        if not file.exists():
            return {}
        try:
            with np.load(file) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError) as error:
            raise ResultsError("RS-003", f"{file.name} is damaged", where=str(file)) from error

    def keep_market(self, run_id: str, series: Series) -> None:
        """Store the hourly series of a run, before the run itself."""
        sink = io.BytesIO()
        np.savez(sink, **series)  # type: ignore[arg-type]
        write_atomically(self.directory / f"market-{run_id}.npz", sink.getvalue())

    def drop_markets(self, run_id: str) -> None:
        """Remove the series of every run but this one."""
        for file in self.directory.glob("market-*.npz"):
            if file.name != f"market-{run_id}.npz":
                file.unlink(missing_ok=True)

    def revisions(self) -> list[Revision]:
        """List every change of the past, the latest last."""
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
        if missing := [n for n, text in (("a reason", reason), ("a name", by)) if not text.strip()]:
            what = f"the acceptance of a revision needs {' and '.join(missing)}"
            raise CommandError("API-001", what, action="give the name of a person, and the reason")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.lock():
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

    def record_stale(self, stale: dict[str, str]) -> None:
        """Record the stale feeds, feed → description; changes are audit events."""
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
