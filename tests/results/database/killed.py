"""Writers of results killed by SIGKILL, each followed by a start; run as a separate process.

`python -m tests.results.database.killed URL RESULTS STEPS TIMES` forks a child for every kill: it
stops itself at a step of its code, or is stopped after a random time. The parent then starts anew
and looks at what is there. Prints what was seen as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.runs import rows_of, runs
from basis_pipeline.results.database.tables import DAILY_PERFORMANCE, GATE_VERDICTS, TRADES
from basis_pipeline.results.store import RunResult, read_verdicts, write_run
from basis_pipeline.verdict import Status, Verdict
from tests.results.made_run import make_run

DAYS = 3
ACCEPTING = 15  # the first steps after the files, before the run is in the queue
VERDICT = Verdict(check="targets", severity="ERROR", status=Status.PASS, asset="backtest/run")
ACCEPTED, RECORDED, JUDGED = b"a", b"r", b"j"
STORE = ("basis_pipeline/results/store.py", "basis_pipeline/results/database/")
Trace = Callable[[FrameType, str, Any], Any]


Act = Callable[[int], None] | None


def life(
    archive: Archive, result: RunResult, tell: int, early: Act = None, late: Act = None
) -> None:
    """A result from its files to its verdicts; every promise made is told at once.

    `early` is called with the number of every step, `late` with those since the files are there.
    """
    if early:
        sys.settrace(counting(early))
    archive.start()
    write_run(result, archive.runs / result.run_id)
    if late:
        sys.settrace(counting(late))
    archive.accept([result.run_id])
    os.write(tell, ACCEPTED)
    archive.drain()
    os.write(tell, RECORDED)
    archive.judge(result.run_id, [VERDICT])
    os.write(tell, JUDGED)


def drain(url: str, results: Path) -> None:
    """Record what waits, in a process that is killed meanwhile."""
    Archive(results, url).drain()


def counting(act: Callable[[int], None]) -> Trace:
    """A tracing function that calls `act` with the number of every step in the store's code."""
    steps, last = 0, ("", 0)
    known: dict[CodeType, bool] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps, last
        code = frame.f_code
        if code not in known:
            known[code] = any(part in code.co_filename for part in STORE)
        if not known[code]:
            return None
        here = (code.co_filename, frame.f_lineno)
        if event != "call" and here != last:  # a comprehension is one step, not one a row
            last, steps = here, steps + 1
            act(steps)
        return trace

    return trace


def forked(work: Callable[[int], None], after: float | None = None) -> bytes:
    """Run `work` in a child, kill it after some seconds where given; what it told."""
    result, tell = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(tell)
            code = 0
        finally:
            os._exit(code)
    os.close(tell)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(result, "rb") as pipe:
        heard = pipe.read()
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError("a child failed by itself")
    return heard


def another(capital: float, made: RunResult = make_run(hours=24 * DAYS)) -> RunResult:  # noqa: B008
    """A run with the same tables and a name of its own."""
    return replace(made, identity=replace(made.identity, capital=capital))


def steps_of_a_life(archive: Archive, number: int) -> int:
    """How many steps there are to be killed at: all of them, or those since the files are there."""

    def work(tell: int) -> None:
        seen = 0

        def act(step: int) -> None:
            nonlocal seen
            seen = step

        life(archive, another(2.0 + number), tell, *((None,) * number), act)
        sys.settrace(None)
        os.write(tell, str(seen).encode())

    return int(forked(work).decode().lstrip("arj"))


def kill_at(step: int) -> Callable[[int], None]:
    """What ends a child at a step."""

    def act(reached: int) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def examined(archive: Archive, result: RunResult, heard: bytes) -> str:
    """Start again and return what was found, in a word. Raises AssertionError when wrong."""
    there = (archive.runs / result.run_id / "summary.json").exists()
    archive.start()
    recorded = [record for record in runs(archive.engine) if record.run_id == result.run_id]
    assert len(recorded) == int(there), (there, heard)
    assert there or ACCEPTED not in heard
    if not there:  # nothing was promised; asked again it is done
        assert archive.keep(result) is None
    days = rows_of(archive.engine, DAILY_PERFORMANCE, [result.run_id])
    trades = rows_of(archive.engine, TRADES, [result.run_id])
    assert (len(days), len(trades)) == (DAYS + 1, 3)
    verdicts = rows_of(archive.engine, GATE_VERDICTS, [result.run_id])
    assert len(verdicts) == len(read_verdicts(archive.runs / result.run_id))
    assert len(verdicts) == 1 or JUDGED not in heard
    assert archive.waiting() == []
    assert archive.start().problems == []
    if not there:
        return "made again"
    return {b"": "found by its files", ACCEPTED: "accepted"}.get(heard, "recorded")


def main(url: str, results: Path, steps: int, times: int) -> None:
    """Kill at so many steps, and after so many random times; then count everything."""
    chance = random.Random(20240601)
    outcomes: Counter[str] = Counter()
    archive = Archive(results, url)  # holds no connection, and so can be carried into children
    with open(os.devnull, "wb") as nobody:  # noqa: PTH123
        life(archive, another(0.5), nobody.fileno())
    began = time.monotonic()
    forked(lambda tell: life(archive, another(1.0), tell))
    length = time.monotonic() - began
    every, late = steps_of_a_life(archive, 0), steps_of_a_life(archive, 1)

    def spread(end: int, count: int) -> list[int]:
        """A random step of every part, so that all steps are covered."""
        stride = end / count
        return [int(stride * place + chance.uniform(1.0, stride)) for place in range(count)]

    # Most steps write files; the fewer ones after them make the promises, and are met more closely.
    kills: list[tuple[Act, Act]] = [(kill_at(step), None) for step in spread(every, steps // 2)]
    kills += [(None, kill_at(step)) for step in spread(late, steps - steps // 2 - 5)]
    kills += [(None, kill_at(step)) for step in spread(ACCEPTING, 5)]
    capital = 4.0
    for acts in [*kills, *([None] * times)]:
        capital += 1.0
        result = another(capital)

        def work(
            tell: int, acts: tuple[Act, Act] | None = acts, result: RunResult = result
        ) -> None:
            life(archive, result, tell, *(acts or ()))

        heard = forked(work, None if acts else chance.uniform(0.0, length))
        outcomes[examined(archive, result, heard)] += 1
    numbers = [record.number for record in runs(archive.engine)]
    assert numbers == list(range(1, len(kills) + times + 5))
    print(json.dumps({"steps": every, "kills": len(kills) + times, "outcomes": outcomes}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
