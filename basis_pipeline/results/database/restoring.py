"""Putting back a backup that lies unpacked and checked beside the results: the switch.

`restore` unpacks into `.restored-…`, checks, and renames that to `.restoring`. From there on the
backup is what holds: whoever is killed, the next start goes on where they stopped. The database is
first, since it may fail; the directories follow by two renames.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, update

from basis_pipeline.results.database.connection import writing
from basis_pipeline.results.database.dump import FILES, load_database
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.tables import RECORDED, RUNS

STAGED, RESTORING = ".restored-", ".restoring"
BACKUPS = "backups"  # below the results directory


def finish_restore(engine: Engine, results_dir: Path) -> None:
    """Replace the results by what lies in `.restoring`; nothing where there is no such directory.

    The caller holds the lock of the archive.

    Raises
    ------
    ResultsError: the database cannot be replaced; the directories are as they were. OSError.
    """
    restoring, runs = results_dir / RESTORING, results_dir / "runs"
    if not restoring.is_dir():
        return
    database = restoring / FILES[engine.dialect.name]
    if database.exists():
        load_database(engine, database)
        migrate(engine)
        with writing(engine, exclusive=RUNS.name) as connection:
            own = f"{runs.absolute()}/"
            moved = update(RUNS).where(RUNS.c.status == RECORDED)
            connection.execute(moved.values(path=own + RUNS.c.run_id))
        database.unlink()
    if (restoring / "runs").is_dir():
        if runs.exists():
            runs.rename(restoring / "replaced")
        (restoring / "runs").rename(runs)
    shutil.rmtree(restoring)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what killed processes left. The caller holds the lock of the archive."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
