"""What the event log costs the backtest beside it.

The backtest is the engine run over and over, which gives the interpreter lock away only when
asked: the hardest neighbour there is. Turns with and without events offered alternate, and the
ratio is the median over pairs of neighbouring turns, so that a busy machine troubles both alike.
Beside it stands the processor time of the threads that offer and carry: what is taken from the
backtest wherever another core is free for the process that writes.
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
from basis_pipeline.engine.model import EVENT_COLUMNS
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import EventLog
from basis_pipeline.runs.backtest import capital_of
from basis_pipeline.runs.inputs import parameters_of
from basis_pipeline.settings import project_root
from benchmarks.made_market import made_market

RATE, TARGET = 50_000, 1.03  # events offered a second; time with them as a multiple of without
MODE = "usdt_market_neutral"
TURN, PAIRS = 0.2, 60  # seconds, pairs of turns
PAUSE = 0.01  # seconds between two bursts of the offering thread


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

    def seconds_each(self, seconds: float) -> float:
        """Run for so long; the time one backtest took."""
        start, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < seconds:
            simulate(self.market, self.parameters, self.capital)
            done += 1
        return passed / done


def processor_seconds(*threads: threading.Thread) -> float:
    """Processor time the threads have used."""
    clocks = [time.pthread_getcpuclockid(thread.ident) for thread in threads if thread.ident]
    return sum(time.clock_gettime(clock) for clock in clocks)


def print_ratio(
    label: str, backtests: Backtests, log: EventLog, burst: Callable[[int], None]
) -> None:
    """Alternate turns with and without events; print what that did to the backtests."""
    offering = Offering(burst)
    carrier = next(thread for thread in threading.enumerate() if thread.name == "event-log")
    ratios, busy, clock, before = [], 0.0, 0.0, log.status()
    for _ in range(PAIRS):
        alone = backtests.seconds_each(TURN)
        started, used = time.perf_counter(), processor_seconds(offering.thread, carrier)
        offering.on.set()
        beside = backtests.seconds_each(TURN)
        offering.on.clear()
        log.flush()
        clock += time.perf_counter() - started
        busy += processor_seconds(offering.thread, carrier) - used
        ratios.append(beside / alone)
    offering.stop()
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"{label:34}{middle:7.3f}x ({low:.3f} to {high:.3f}, target {TARGET}x)"
        f" {busy / (PAIRS * TURN):7.1%} processor time {offering.offered / (PAIRS * TURN):9,.0f}/s"
        f" {log.status().dropped - before.dropped} dropped",
        flush=True,
    )


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
    columns = {name: backtests.ledger[:, i] for i, name in enumerate(EVENT_COLUMNS)}
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
        print_ratio("nothing offered", backtests, log, lambda _: None)
        print_ratio("the ledger, as tables", backtests, log, as_table)
        print_ratio("one by one", backtests, log, one_by_one)
        print_capacity(log)
        print(log.close())
        print_reading(Path(scratch))


if __name__ == "__main__":
    main()
