"""Upkeep of the results store: backups and pruning, each recorded in the audit log."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from basis_pipeline.config.automation import Upkeep
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backup
from basis_pipeline.results.database.runs import RunRecord, prunable, runs
from basis_pipeline.results.database.signals import prune_signals
from basis_pipeline.settings import Settings

COMPONENT = "results store"


def back_up(settings: Settings, directory: Path | None = None, keep: int | None = None) -> Path:
    """Write a backup and remove all but the newest `keep`; return its file.

    Parameters
    ----------
    directory: of the backups; `backups` below the results when not given.

    Raises
    ------
    ResultsError: as `basis_pipeline.results.database.backup.backup`.
    """
    made = backup(Archive(settings.results_dir, settings.results_db_url), directory, keep=keep)
    emit(settings, EventType.RESULTS_BACKED_UP, COMPONENT, backup=str(made))
    return made


def prune(settings: Settings, records: Sequence[RunRecord]) -> None:
    """Remove runs, rows and files. Raises ResultsError."""
    run_ids = [record.run_id for record in records]
    emit(settings, EventType.RUNS_PRUNED, COMPONENT, runs=run_ids)
    Archive(settings.results_dir, settings.results_db_url).remove(run_ids)


class Upkept(NamedTuple):
    """The backup, and what was removed after it: runs, and the number of signals."""

    backup: Path
    runs: list[RunRecord]
    signals: int


def keep_up(settings: Settings, limits: Upkeep) -> Upkept:
    """Back up the store, then prune it.

    Raises
    ------
    ResultsError: the backup or the removal failed; nothing is removed without a backup.
    """
    made = back_up(settings, keep=limits.backups)
    archive = Archive(settings.results_dir, settings.results_db_url)
    removed = prunable(runs(archive.engine), keep=limits.runs_a_mode)
    if removed:
        prune(settings, removed)
    pruned = prune_signals(archive.engine, keep=limits.signals_an_account)
    for account, (count, oldest) in pruned.items():
        fields = {"account": account, "signals": count, "before": oldest.isoformat()}
        emit(settings, EventType.SIGNALS_PRUNED, COMPONENT, **fields)
    return Upkept(made, removed, sum(count for count, _ in pruned.values()))
