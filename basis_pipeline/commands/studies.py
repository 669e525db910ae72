"""Parts shared by the commands that run many scenarios: executor, output directory, verdicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.errors import CommandError
from basis_pipeline.verdict import Status

if TYPE_CHECKING:
    from basis_pipeline.backtests.scenarios import Study
    from basis_pipeline.backtests.sweep import Progress
    from basis_pipeline.reports.page import Provenance
    from basis_pipeline.results.origin import Origin
    from basis_pipeline.settings import Settings
    from basis_pipeline.verdict import Verdict

Mode = Annotated[str, typer.Argument(help="Name of the mode: its file in configs/modes/.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Directory for the rows; an unfinished sweep in it is continued. Default: one in the "
        "results directory."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; default: one per core.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Dask workers on this machine, instead of threads.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Dask scheduler, such as tcp://host:8786, instead of threads.")
]


Executor = tuple[int | None, int | None, str | None]


def executor_of(threads: int | None, workers: int | None, scheduler: str | None) -> Executor:
    """Return the options of the executor. Raises API-001 where more than one is given."""
    options = {"--threads": threads, "--workers": workers, "--scheduler": scheduler}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        what = f"{' and '.join(given)} exclude each other"
        raise CommandError("API-001", what, where="options", action="give one of them")
    return threads, workers, scheduler


def run_study(study: "Study", out: Path, executor: Executor) -> None:
    """Sweep a study and show its progress; an interrupt says what is kept."""
    from basis_pipeline.backtests import fan_out
    from basis_pipeline.backtests.sweep import sweep
    from basis_pipeline.config.points import size

    with (
        fan_out.executor(*executor) as run,
        screen.counter(size(study.scenarios)) as show,
    ):

        def report(now: "Progress") -> None:
            show(now.done, f"{now.rate:,.0f} points/s, {now.seconds_left:,.0f} s left")

        try:
            done = sweep(study, out, run=run, report=report)
        except KeyboardInterrupt:
            screen.echo_error("Stopped. Finished batches are kept; the same command continues.")
            raise
    screen.echo(f"{done.done:,} points in {done.seconds:.1f} s: {out}")


def show_verdicts(verdicts: "Sequence[Verdict]") -> bool:
    """Print the gates; return whether one of severity ERROR failed."""
    rows = [[gate.check, gate.status.value, gate.message] for gate in verdicts]
    screen.console().print(screen.table("Gates", ("gate", "verdict", "result"), rows))
    return any(gate.status is Status.FAIL for gate in verdicts)


def origin_and_provenance(settings: "Settings") -> "tuple[Origin, Provenance]":
    """Return what a page states about its data, its program and the time it was written."""
    from basis_pipeline.reports.page import Provenance
    from basis_pipeline.results.origin import Origin

    return Origin.of(settings.data_dir), Provenance.now(environment=settings.environment)
