"""`basis run`: run the whole graph through Dagster, in this process."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.interrupts import interruptible
from basis_pipeline.commands.options import (
    Modes,
    Options,
    chosen,
    project_configs,
    require_data,
    sliced,
    takes_run_options,
    unsound_modes,
)
from basis_pipeline.errors import CommandError
from basis_pipeline.settings import config_directory, project_root
from basis_pipeline.verdict import Status, count_of, failing, tally, worst

if TYPE_CHECKING:
    from basis_pipeline.orchestration.launch import Launcher, ModeOutcome, PipelineOutcome
    from basis_pipeline.settings import Settings

T = TypeVar("T")
Without = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODE",
        help="A mode to leave out, such as one whose coin is not in the data; "
        "may be given several times.",
    ),
]
SHOWN_GATES = 12


@takes_run_options
def run(options: Options, mode: Modes = None, without: Without = None) -> None:
    """Run the whole graph: raw files, datasets, backtests, records, reports.

    Every step and every check is recorded in the Dagster instance below the results directory,
    where the UI (make ui) and basis gates find it. A broken feed or file stops only the modes that
    read it; earlier results are kept. Exit code 1 when a mode was blocked or an ERROR gate failed,
    130 after Ctrl-C or SIGTERM.

    Example: basis run --mode pure_lending --start 2024-06-01 --end 2024-12-01
    """
    from basis_pipeline.config.control import load_control_limits, unknown_modes
    from basis_pipeline.operations.control import require_not_halted

    settings, configs = options.settings(), project_configs()
    left_out = chosen(configs, without) if without else []
    wanted = [name for name in chosen(configs, mode) if name not in left_out]
    if not wanted:
        raise CommandError("API-001", "every mode is left out", available=", ".join(left_out))
    unsound = unsound_modes(configs, wanted)
    sound = [name for name in wanted if name not in unsound]
    slices = sliced(configs, sound, options.overrides, options.capital) if sound else []
    require_data(settings)
    limits = load_control_limits(config_directory())  # before hours of work
    if ignored := unknown_modes(config_directory(), limits):
        screen.echo_error(ignored)
    require_not_halted(settings, "basis run")
    steps = len(slices) + len(unsound) + 4
    with screen.progress(steps, lines=True) as advance, _compiler() as compiled:
        outcome = launched(
            settings,
            options,
            advance,
            lambda launcher: launcher.run(slices, before_modes=compiled, unsound=unsound),
        )
    _show(outcome, settings)
    if left_out:
        screen.echo(f"Left out (--without): {', '.join(left_out)}")
    for error in configs.broken.values():
        screen.echo_error(error)
    if configs.broken or not _is_good(outcome):
        raise typer.Exit(1)


def launched(
    settings: "Settings",
    options: Options,
    advance: screen.Advance,
    work: "Callable[[Launcher], T]",
) -> T:
    """Do `work` with a launcher on the project's instance; an interrupt cancels its runs."""
    from basis_pipeline.settings import make_dagster_home

    launchers: list[Launcher] = []

    def open_and_work() -> T:
        from basis_pipeline.orchestration.build import build_defs
        from basis_pipeline.orchestration.instance import opened_instance
        from basis_pipeline.orchestration.launch import Launcher
        from basis_pipeline.orchestration.resources import RunOptions

        run_options = RunOptions(
            data_dir=str(settings.data_dir),
            results_dir=str(settings.results_dir),
            start=settings.data_start_date.isoformat(),
            end=settings.data_end_date.isoformat(),
            capital=options.capital,
            overrides=list(options.overrides or ()),
        )
        with opened_instance(make_dagster_home(settings)) as instance:
            level = settings.log_level if settings.debug else "CRITICAL"
            launchers.append(Launcher(build_defs(), instance, run_options, advance, level))
            return work(launchers[0])

    def stop() -> None:
        for launcher in launchers:
            launcher.cancel()

    advance("starting")
    return interruptible(open_and_work, stop)


@contextmanager
def _compiler() -> Iterator[Callable[[], object]]:
    """Compile the engine in a second process on a first run; yield a function that waits for it."""
    from basis_pipeline.backtests.compilation import is_compiled

    if is_compiled():
        yield lambda: None
        return
    command = [sys.executable, "-m", "basis_pipeline.backtests.compilation"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=project_root()) as child:
        try:
            yield child.wait
        finally:
            child.terminate()


def _is_good(outcome: "PipelineOutcome") -> bool:
    succeeded = all(mode.run_id and not mode.problems for mode in outcome.modes)
    return succeeded and not outcome.problems and not failing(outcome.gates)


def _show(outcome: "PipelineOutcome", settings: "Settings") -> None:
    from basis_pipeline.operations.control import State, read_state
    from basis_pipeline.results.database.archive import unrecorded

    rows = [_row(mode, outcome, settings) for mode in outcome.modes]
    screen.console().print(screen.table("", ("mode", *screen.HEADLINES, "gates"), rows))
    blocked = {mode.mode for mode in outcome.modes if mode.run_id is None}  # their error follows
    shown = (Status.FAIL, Status.WARN)
    gates = [g for g in outcome.gates if g.mode not in blocked and g.status in shown]
    for gate in sorted(gates, key=lambda gate: shown.index(gate.status))[:SHOWN_GATES]:
        screen.echo(f"{gate.status.value:4}  {gate.name}: {gate.message}")
    if len(gates) > SHOWN_GATES:
        screen.echo(f"      and {len(gates) - SHOWN_GATES} more: basis gates")
    screen.echo(f"Gates: {tally(outcome.gates)}")
    _show_reports(outcome, settings)
    state = read_state(settings)
    if state.name is not State.NORMAL or state.confirmed_at:
        screen.echo(f"Control: {state.description}")
    if waiting := unrecorded(settings.results_dir):
        screen.echo(f"Waiting for the results database: {count_of(waiting, 'run')}")
    problems = [*outcome.problems, *(p for mode in outcome.modes for p in mode.problems)]
    for problem in {str(problem): problem for problem in problems}.values():
        screen.echo_error(problem)


def _show_reports(outcome: "PipelineOutcome", settings: "Settings") -> None:
    """Print links to the pages, which a terminal can open."""
    pages = settings.results_dir / "reports"
    is_compared = (pages / "comparison.html").exists()
    sheets = [mode.mode for mode in outcome.modes if mode.run_id and is_compared]
    named = [*(("Tear sheet", sheet) for sheet in sheets), ("Report", "comparison")]
    for name, page in (*named, ("Gates", "gates"), ("Data audit", "data_audit")):
        if (pages / f"{page}.html").exists():
            screen.echo(f"{name}: {(pages / f'{page}.html').resolve().as_uri()}")
    if not is_compared:
        screen.echo("No report: no mode succeeded.")


def _row(mode: "ModeOutcome", outcome: "PipelineOutcome", settings: "Settings") -> list[str]:
    verdict = worst(gate for gate in outcome.gates if gate.mode == mode.mode).value
    if mode.run_id is None:
        return [mode.mode, *[screen.DASH] * len(screen.HEADLINES), verdict]
    summary = settings.results_dir / "runs" / mode.run_id / "summary.json"
    return [mode.mode, *screen.headlines(json.loads(summary.read_bytes())), verdict]
