"""Install the peers, run everything, say whether all agree and how long each took."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from basis_pipeline.engine import FIGURES
from basis_pipeline.engine.model import Floats
from basis_pipeline.errors import BasisError
from basis_pipeline.market.window import parse_window
from benchmarks.measuring import describe_machine
from benchmarks.peers.cases import Case, draw_points, make_case
from benchmarks.peers.environments import FRACTAL, VECTORBT, Found, Peer, environment_of, run_peer

TOLERANCE = 1e-9
REPEATS = 10  # of ours, before each peer and after the last


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of the clock and of the processor for so many points."""

    who: str
    points: int
    wall: float
    processor: float


def worst_difference(ours: Floats, theirs: Floats) -> float:
    """The largest difference of two arrays relative to the first; NaN where one is no number."""
    return float(np.max(np.abs(theirs / ours - 1.0)))


def disagreements(who: str, figures: Floats, hourly: Floats, found: Found) -> list[str]:
    """What a peer found otherwise than we did, in sentences; none when all is the same.

    `figures` are ours of all points, (points, len(FIGURES)); `hourly` the equities of the first
    points at every hour.
    """
    points = len(found["equity"])
    ours = figures[:points]
    pairs = {
        f"final equity of {points:,} points": (column(ours, "final_equity"), found["equity"]),
        f"equity at every hour of {len(hourly)} points": (hourly, found["hourly"]),
    }
    wrong = []
    for what, (mine, theirs) in pairs.items():
        difference = worst_difference(mine, theirs)
        print(f"{who}: {what} differs by {difference:.1e} at most")
        if not difference <= TOLERANCE:
            wrong.append(f"{who}: {what} differs by {difference:.1e}")
    others = int((column(ours, "rebalances") != found["rebalances"]).sum())
    print(f"{who}: rebalances differ at {others:,} of {points:,} points")
    if others:
        wrong.append(f"{who}: {others:,} of {points:,} points rebalance another number of times")
    return wrong


def column(figures: Floats, name: str) -> Floats:
    """One figure of all points."""
    return figures[:, FIGURES.index(name)]


def our_seconds(case: Case, threads: int) -> list[Spent]:
    """Of all points, several times."""
    who, spent = f"engine, {threads} thread{'s' if threads > 1 else ''}", []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        case.run(threads)
        passed = time.perf_counter() - wall, time.process_time() - processor
        spent.append(Spent(who, len(case.rows), *passed))
    return spent


def middle(spent: list[Spent]) -> Spent:
    """The median: a peer runs for minutes, through whatever else the machine does meanwhile."""
    wall = statistics.median(one.wall for one in spent)
    processor = statistics.median(one.processor for one in spent)
    return Spent(spent[0].who, spent[0].points, wall, processor)


def their_seconds(peer: Peer, found: Found) -> list[Spent]:
    """Of its points, then of those with its own record of every hour."""
    who = f"{peer.name} {peer.version}"
    rows = [Spent(who, len(found["equity"]), *found["seconds"])]
    if peer.recording:
        recorded = len(found["hourly"]), *found["recorded_seconds"]
        rows.append(Spent(f"{who}, {peer.recording}", *recorded))
    return rows


def print_table(rows: list[Spent], points: int, hours: int) -> None:
    """A line each, for all points; the last columns are ratios to our two threads and our one."""
    two, one = rows[:2]
    print(
        f"\n{points:,} points x {hours:,} hours\n{'':32}{'seconds':>10}{'processor':>11}"
        f"{'hours/s':>10}{'clock':>9}{'processor':>11}"
    )
    for row in rows:
        wall, processor = (x * points / row.points for x in (row.wall, row.processor))
        measured = "" if row.points == points else f"   extrapolated from {row.points:,} points"
        print(
            f"{row.who:32}{wall:10.3f}{processor:11.3f}{points * hours / wall / 1e6:9.2f}M"
            f"{wall / two.wall:8.1f}x{processor / one.processor:10.1f}x{measured}"
        )
    print("hours/s: scenario-hours a second; clock: our 2 threads = 1; processor: our 1 thread = 1")


@contextmanager
def kept_or_temporary(directory: Path | None) -> Iterator[Path]:
    """The directory named, made where it is missing; else one that is gone afterwards."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def count(text: str) -> int:
    """A number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no number of points; take 1 or more")
    return number


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Compare the BTC basis with fractal-defi and vectorbt, which it installs.",
    )
    parser.add_argument("--points", type=count, default=1_000, help="parameter points")
    for peer in (FRACTAL, VECTORBT):
        option = f"--{peer.name}-points"
        parser.add_argument(option, type=count, help=f"run {peer.name} at the first so many only")
    parser.add_argument("--recorded", type=count, default=10, help="points with an hourly record")
    parser.add_argument("--environments", type=Path, help="where the peers are and stay installed")
    parser.add_argument("--data-dir", type=Path, help="raw data; a made-up market without it")
    parser.add_argument("--start", default="2024-01-01", help="of the data directory's hours")
    parser.add_argument("--end", default="2025-03-31")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Exit 1 when equities or rebalances differ, 2 when a peer or the data cannot be had."""
    chosen = arguments(given)
    print(describe_machine())
    try:
        window = parse_window(chosen.start, chosen.end)
        case = make_case(draw_points(chosen.points), chosen.data_dir, window)
    except BasisError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    figures = case.run(2)
    if liquidated := int((column(figures, "liquidations") > 0.0).sum()):
        raise SystemExit(f"{liquidated:,} points are liquidated: their equities compare nothing")
    recorded = min(chosen.recorded, chosen.points)
    two, one = our_seconds(case, 2), our_seconds(case, 1)
    theirs: list[Spent] = []
    wrong: list[str] = []
    least, most = (int(f(column(figures, "rebalances"))) for f in (np.min, np.max))
    print(f"{least} to {most} rebalances a point, no liquidation")
    with kept_or_temporary(chosen.environments) as home, kept_or_temporary(None) as scratch:
        for peer in (VECTORBT, FRACTAL):
            limit = getattr(chosen, f"{peer.name}-points".replace("-", "_")) or chosen.points
            points = min(limit, chosen.points)
            seen = min(recorded, points)
            case.write(scratch / "given.npz", points, seen)
            try:
                python = environment_of(peer, home)
                found = run_peer(peer, python, scratch / "given.npz")
            except subprocess.CalledProcessError as error:
                print(f"{peer.name} cannot be run: {error}", file=sys.stderr)
                raise SystemExit(2) from None
            hourly = np.array([case.hourly(i) for i in range(seen)])
            wrong += disagreements(peer.name, figures, hourly, found)
            theirs += their_seconds(peer, found)
            two += our_seconds(case, 2)
            one += our_seconds(case, 1)
    print_table([middle(two), middle(one), *theirs], chosen.points, len(case.market.spot))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
