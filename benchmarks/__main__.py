"""Run one benchmark, or all of them."""

import argparse

from benchmarks import (
    accounts,
    daemon,
    engine,
    formats,
    gates,
    million,
    panels,
    pipeline,
    sensors,
    store,
    sweep,
    week,
)
from benchmarks.measuring import describe_machine

BENCHMARKS = {
    "engine": engine.main,
    "panels": panels.main,
    "formats": formats.main,
    "pipeline": pipeline.main,
    "gates": gates.main,
    "sweep": sweep.main,
    "sensors": sensors.main,
    "store": store.main,
    "accounts": accounts.main,
}
LONG = {"million": million.main, "week": week.main, "daemon": daemon.main}  # only when named


def main() -> None:
    """Print the machine, then each benchmark's figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "names", nargs="*", metavar="benchmark", help=", ".join([*BENCHMARKS, *LONG])
    )
    known = BENCHMARKS | LONG
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    print(describe_machine())
    for name in names:
        print(f"\n── {name}", flush=True)
        known[name]()


main()
