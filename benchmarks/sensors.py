"""A look of the raw file sensor at an unchanged tree, beside a bare walk with `os.stat`."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from benchmarks.measuring import repeat

FILES, TARGET_SECONDS, REPEATS = 1000, 0.050, 200


def make_tree(data: Path, files: int) -> None:
    """So many files, spread over the families of the catalogue, an hour old."""
    from basis_pipeline.config.current import current_configs

    globs = [config.glob for config in current_configs().datasets.values()]
    for number in range(files):
        glob = globs[number % len(globs)]
        path = data / glob.replace("*", f"{number:04d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("stamp,value\n")
        past = path.stat().st_mtime - 3600
        os.utime(path, (past, past))


def bare_walk(data: Path) -> int:
    """A stat of every file, and nothing else."""
    paths = (f"{place}/{name}" for place, _, names in os.walk(data) for name in names)
    return sum(os.stat(path).st_size > 0 for path in paths)  # noqa: PTH116 - as bare as can be


@contextmanager
def unchanged(directory: Path, files: int) -> Iterator[Callable[[], int]]:
    """A look at a tree that has been asked for; it gives how many runs it requests."""
    from basis_pipeline.orchestration.build import build_defs

    make_tree(directory / "data", files)
    os.environ["BASIS_DATA_DIR"] = str(directory / "data")
    os.environ["BASIS_RESULTS_DIR"] = str(directory / "results")
    sensor = build_defs().get_repository_def().get_sensor_def("raw_files")
    with dg.instance_for_test(temp_dir=str(directory)) as instance:
        cursor: str | None = None
        asked = 0
        for _ in range(2):
            with dg.build_sensor_context(instance, cursor) as context:
                tick = sensor.evaluate_tick(context)
            cursor, asked = tick.cursor or cursor, len(tick.run_requests or ())
        assert asked == 1, "the first time the tree is asked for"

        def look() -> int:
            with dg.build_sensor_context(instance, cursor) as context:
                return len(sensor.evaluate_tick(context).run_requests or ())

        yield look


def main() -> None:
    """Print seconds of a look, its ratio to the bare walk, and what it requests."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with unchanged(directory, FILES) as look:
            requested = look()
            looked = repeat(look, REPEATS)
        walked = repeat(lambda: bare_walk(directory / "data"), REPEATS)
    print(f"look at {FILES} unchanged files   {looked}   {requested} runs requested")
    print(f"bare walk, a stat each          {walked}")
    print(f"ratio {looked.least / walked.least:.1f}; target {TARGET_SECONDS} s", end=": ")
    print("met" if looked.least < TARGET_SECONDS and not requested else "MISSED")
