"""Restores killed by SIGKILL, each followed by a start; run as a separate process.

`python -m tests.results.database.killed_restore URL RESULTS BACKUP` forks a child for every kill.
Prints as JSON how often the old results were there afterwards, and how often the new ones.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import restore
from basis_pipeline.results.database.runs import runs, verify
from tests.results.database.killed import Act, counting, forked, kill_at
from tests.results.made_run import make_run

KILLS = 6
SWITCH = 40  # the last steps, in which the new results take the place of the old ones


def restored(archive: Archive, backup: Path, act: Act) -> None:
    """Restore over existing results, and call `act` with the number of every step."""
    if act:
        sys.settrace(counting(act))
    restore(backup, archive, overwrite=True)
    sys.settrace(None)


def steps_of_a_restore(archive: Archive, backup: Path) -> int:
    """How many steps there are to be killed at."""

    def work(tell: int) -> None:
        steps = [0]
        restored(archive, backup, steps.append)
        os.write(tell, str(steps[-1]).encode())

    return int(forked(work))


def outcome(archive: Archive, old: list[str], new: list[str]) -> str:
    """Start again and return whose results are there. Raises AssertionError when mixed."""
    assert archive.start().problems == []
    records = runs(archive.engine)
    for record in records:
        verify(record)
    there = sorted(record.run_id for record in records)
    assert there in (old, new)
    assert sorted(path.name for path in archive.runs.iterdir()) == there
    assert not [path for path in archive.directory.iterdir() if path.name.startswith(".rest")]
    return "old" if there == old else "new"


def main(url: str, results: Path, backup: Path) -> None:
    """Kill at steps spread over a restore, half of them in its last ones."""
    archive, made = Archive(results, url), make_run(hours=48, capital=9.0)
    forked(lambda _: restored(archive, backup, None))
    new = sorted(record.run_id for record in runs(archive.engine))
    steps = steps_of_a_restore(archive, backup)
    half = KILLS // 2
    kills = [1 + steps * number // half for number in range(half)]
    kills += [steps - SWITCH * number // half for number in range(half)]
    outcomes: Counter[str] = Counter()
    for step in kills:
        archive.remove([record.run_id for record in runs(archive.engine)])
        archive.keep(made)

        def work(_: int, step: int = step) -> None:
            restored(archive, backup, kill_at(step))

        forked(work)
        outcomes[outcome(archive, [made.run_id], new)] += 1
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
