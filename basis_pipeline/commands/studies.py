"""What the commands that run many scenarios share: who computes them, where rows go, verdicts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.market.quality import QualityResult
    from basis_pipeline.runs.fan_out import Executor
    from basis_pipeline.runs.scenarios import Study
    from basis_pipeline.runs.sweep import Progress

Mode = Annotated[str, typer.Argument(help="The mode, named as its file in configs/modes/.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Directory for the rows, where an unfinished sweep goes on; else one of its own below "
        "the results directory."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads; as many as there are cores otherwise.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Dask worker processes on this machine, not threads.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, as tcp://host:8786, not threads.")
]


@contextmanager
def executor(
    threads: int | None, workers: int | None, scheduler: str | None
) -> "Iterator[Executor | None]":
    """Who computes, as the options say; None is threads of this process, one a core."""
    if sum(option is not None for option in (threads, workers, scheduler)) > 1:
        what = "give one of --threads, --workers and --scheduler"
        raise CommandError("API-001", what, where="options")
    from basis_pipeline.runs.fan_out import in_threads

    if workers is None and scheduler is None:
        with nullcontext(in_threads(threads) if threads else None) as run:
            yield run
        return
    from basis_pipeline.runs.cluster import on_cluster, on_workers

    with on_cluster(scheduler) if scheduler else on_workers(workers or 1) as run:
        yield run


def run_study(study: "Study", out: Path, run: "Executor | None") -> "Progress":
    """Sweep a study and show how far it is; an interruption says what is kept."""
    from basis_pipeline.config.points import size
    from basis_pipeline.runs.sweep import sweep

    total = size(study.scenarios)
    with screen.share(total) as show:

        def report(now: "Progress") -> None:
            show(now.done, f"{now.rate:,.0f} points/s, {now.seconds_left:,.0f} s left")

        try:
            done = sweep(study, out, run=run, report=report)
        except KeyboardInterrupt:
            screen.complain("Stopped. Finished batches are kept; the same command goes on.")
            raise
    screen.say(f"{done.done:,} points in {done.seconds:.1f} s: {out}")
    return done


def place_of(study: "Study", results_dir: Path, kind: str, out: Path | None) -> Path:
    """Where a study's rows go: the directory asked for, or one named by what they depend on."""
    from basis_pipeline.runs.sweep import identity_of

    if out is not None:
        return out
    return results_dir / kind / study.mode / f"{study.scenarios.name}-{identity_of(study)[:12]}"


def show_verdicts(verdicts: "Sequence[QualityResult]") -> bool:
    """Print the gates; whether one of severity ERROR failed."""
    rows = []
    for gate in verdicts:
        said = ", ".join(f"{name} {_short(value)}" for name, value in gate.metrics.items())
        failed = "WARN" if gate.severity == "WARN" else "FAIL"
        rows.append([gate.name, "PASS" if gate.passed else failed, said])
    screen.console().print(screen.table("Gates", ("gate", "verdict", "found"), rows))
    return any(gate.severity == "ERROR" and not gate.passed for gate in verdicts)


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
