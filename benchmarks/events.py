"""What the event log costs the backtest beside it.

The backtest is the engine run over and over, which gives the interpreter lock away only when
asked: the hardest neighbour there is. Turns with and without events offered alternate; the ratios
are medians over pairs of neighbouring turns, by the clock and by the processor time of the whole
process. As only one thread of it runs at a time, the two are the same where the process that writes
has a core to itself; where it has none, the clock also shows what the machine lacks.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine import simulate
from basis_pipeline.engine.model import EVENT
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import EventLog
from basis_pipeline.runs.backtest import capital_of
from basis_pipeline.runs.inputs import parameters_of
from basis_pipeline.settings import project_root
from benchmarks.made_market import made_market

RATE, TARGET = 50_000, 1.03  # events offered a second; time with them as a multiple of without
MODE = "usdt_market_neutral"
TURN, PAIRS = 0.3, 40  # seconds, pairs of turns
SETTLE = 0.2  # seconds before a turn with events counts: the first are on their way by then
PAUSE = 0.05  # seconds between two bursts of the offering thread


@dataclass
class Offering:
    """A thread that offers `RATE` events a second while it is switched on."""

    burst: Callable[[int], None]  # offers so many events
    offered: int = 0
    stopped: bool = False
    on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while self.on.wait() and not self.stopped:
            start, sent = time.perf_counter(), 0
            while self.on.is_set() and not self.stopped:
                due = int((time.perf_counter() - start) * RATE)
                self.burst(due - sent)
                self.offered += due - sent
                sent = due
                time.sleep(PAUSE)

    def stop(self) -> None:
        """End the thread."""
        self.stopped = True
        self.on.set()
        self.thread.join()


class Backtests:
    """The engine on a made-up market."""

    def __init__(self) -> None:
        mode_slice = slice_mode(load_configs(project_root() / "configs"), MODE)
        self.market, self.parameters = made_market(mode_slice), parameters_of(mode_slice)
        self.capital = capital_of(mode_slice, None)
        self.ledger = simulate(self.market, self.parameters, self.capital).events

    def run(self, seconds: float) -> tuple[float, float]:
        """Run for so long; clock and processor seconds of one backtest."""
        start, used, done = time.perf_counter(), time.process_time(), 0
        while (passed := time.perf_counter() - start) < seconds:
            simulate(self.market, self.parameters, self.capital)
            done += 1
        return passed / done, (time.process_time() - used) / done


def print_ratios(
    label: str, backtests: Backtests, log: EventLog, burst: Callable[[int], None]
) -> None:
    """Alternate turns with and without events; print what that did to the backtests."""
    offering, dropped = Offering(burst), log.status().dropped
    clock, processor = [], []
    for _ in range(PAIRS):
        alone = backtests.run(TURN)
        offering.on.set()
        time.sleep(SETTLE)
        beside = backtests.run(TURN)
        offering.on.clear()
        log.flush()
        clock.append(beside[0] / alone[0])
        processor.append(beside[1] / alone[1])
    offering.stop()
    print(
        f"{label:24}{spread(clock)} by the clock {spread(processor)} by processor time"
        f" {offering.offered / (PAIRS * (TURN + SETTLE)):9,.0f}/s"
        f" {log.status().dropped - dropped} dropped",
        flush=True,
    )


def spread(ratios: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:6.3f}x ({low:.3f} to {high:.3f})"


def print_capacity(log: EventLog) -> None:
    """How fast events can be offered, and how fast they reach the file."""
    events, before = 50_000, log.status()
    start = time.perf_counter()
    for number in range(events):
        log.emit(
            EventType.LEDGER_ENTRY, "engine", venue="bybit", quantity=1.5, price=3e3, hour=number
        )
    offered = time.perf_counter() - start
    log.flush()
    written = time.perf_counter() - start
    print(
        f"one thread offers {events / offered:,.0f}/s ({offered / events * 1e9:.0f} ns each),"
        f" all are on the disk at {events / written:,.0f}/s,"
        f" {log.status().dropped - before.dropped} of {events:,} dropped"
    )


def print_reading(directory: Path) -> None:
    """How fast the log is read back."""
    for label, types in (("every event", ()), ("one type in a hundred thousand", ("message",))):
        start = time.perf_counter()
        found = sum(1 for _ in query(directory, types=types))
        print(f"reading {label}: {found:,} events in {time.perf_counter() - start:.2f} s")


def main() -> None:
    """Print all figures."""
    backtests = Backtests()
    columns = {name: backtests.ledger[name] for name in EVENT.names or ()}
    with tempfile.TemporaryDirectory() as scratch:
        log = EventLog(Path(scratch))
        emit = log.emit

        def one_by_one(events: int) -> None:
            for number in range(events):
                emit(
                    EventType.LEDGER_ENTRY,
                    "engine",
                    venue="bybit",
                    quantity=1.5,
                    price=3e3,
                    hour=number,
                )

        def as_table(events: int) -> None:
            ledger = {name: column[:events] for name, column in columns.items()}
            log.emit_table(EventType.LEDGER_ENTRY, "engine", columns=ledger)

        print(
            f"backtest of {len(backtests.market.spot):,} hours, {RATE:,} events/s offered beside it"
        )
        print_ratios("nothing offered", backtests, log, lambda _: None)
        print_ratios("the ledger, as tables", backtests, log, as_table)
        print_ratios("one by one", backtests, log, one_by_one)
        print_capacity(log)
        print(log.close())
        print_reading(Path(scratch))


if __name__ == "__main__":
    main()
