"""`basis sweep`, `basis stress` and `basis montecarlo`: scenario sets over one mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen, studies
from basis_pipeline.commands.options import (
    Options,
    project_configs,
    require_data,
    takes_run_options,
    window_of,
)
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.config import Configs
    from basis_pipeline.config.scenario import ScenarioSet
    from basis_pipeline.market.window import Window

SetNames = Annotated[
    list[str] | None,
    typer.Option("--set-name", help="A scenario set, named as its file in configs/scenarios/."),
]
SetFile = Annotated[Path | None, typer.Option("--scenarios", help="A scenario set's own file.")]
Tables = Annotated[
    list[int] | None,
    typer.Option(help="Also write all tables of this point; may be given several times."),
]


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What a command is to run, beside the options of every run."""

    kind: str
    mode: str
    out: Path | None
    run: Options
    threads: int | None
    workers: int | None
    scheduler: str | None
    tables: Sequence[int] = ()


def _command(kind: str, help_text: str) -> Callable[..., None]:
    """Make the command of a kind of study, which runs its own sets unless others are named."""

    def command(
        options: Options,
        mode: studies.Mode,
        set_names: SetNames = None,
        scenarios: SetFile = None,
        out: studies.Out = None,
        threads: studies.Threads = None,
        workers: studies.Workers = None,
        scheduler: studies.Scheduler = None,
        tables: Tables = None,
    ) -> None:
        executor = (threads, workers, scheduler)
        _run(StudyOptions(kind, mode, out, options, *executor, tables or ()), set_names, scenarios)

    command.__name__, command.__doc__ = kind, help_text
    return takes_run_options(command)


sweep = _command(
    "sweep",
    """Run a scenario set over one mode: one row of figures a point, in Parquet files.

    The mode's own set of ten thousand points, unless another one is named. The number of points is
    shown before anything runs. Finished batches are kept: after an interruption the same command
    goes on where it was.

    Example: basis sweep usdt_market_neutral --set-name leverage_and_margin
    """,
)
stress = _command(
    "stress",
    """Run shocks and replayed crises over one mode, and hold the worst to the stated limits.

    Replays whose days lie outside of the window are left out, and named.

    Example: basis stress eth_leveraged
    """,
)
montecarlo = _command(
    "montecarlo",
    """Run one mode over paths drawn from its own history, block by block.

    Example: basis montecarlo btc_basis
    """,
)


def _run(wanted: StudyOptions, names: Sequence[str] | None, file: Path | None) -> None:
    """Run the sets one after the other; exit code 1 when a gate of severity ERROR failed."""
    from basis_pipeline.config.scenario import load_scenario_set, own_sets, set_file
    from basis_pipeline.settings import config_directory

    if names and file is not None:
        what = "give either --set-name or --scenarios"
        raise CommandError("API-001", what, where=f"basis {wanted.kind}")
    studies.require_one_executor(wanted.threads, wanted.workers, wanted.scheduler)
    settings = wanted.run.settings()
    configs = project_configs()
    configs.mode(wanted.mode)
    window, configured = window_of(settings), config_directory()
    names = names or own_sets(wanted.kind, wanted.mode)
    files = [file] if file else [set_file(configured, name) for name in names]
    sets = [load_scenario_set(path) for path in files]
    if len(sets) > 1 and (wanted.out is not None or wanted.tables):
        what = "--out and --tables belong to one set: name it"
        raise CommandError("API-001", what, where=f"basis {wanted.kind}")
    require_data(settings)
    from basis_pipeline.operations.control import require_work
    from basis_pipeline.runs.scenarios import inside, nothing_inside

    require_work(settings, f"basis {wanted.kind} {wanted.mode}")

    looked = [inside(chosen, window) for chosen in sets]
    outside = [name for _, names in looked for name in names]
    kept = [chosen for chosen, _ in looked if chosen is not None]
    if not kept:
        raise nothing_inside(outside, window)
    if outside:
        screen.echo(f"Outside of {window}, left out: {', '.join(outside)}")
    directories = settings.data_dir, settings.results_dir
    failed = [_run_set(wanted, chosen, configs, window, *directories) for chosen in kept]
    if any(failed):
        raise typer.Exit(1)


def _run_set(
    wanted: StudyOptions,
    chosen: "ScenarioSet",
    configs: "Configs",
    window: "Window",
    data_dir: Path,
    results_dir: Path,
) -> bool:
    """Run one set and judge it; whether a gate of severity ERROR failed."""
    from basis_pipeline.config.points import counts, size

    total = size(chosen)
    require_points(wanted.tables, total)
    crossed = " x ".join(f"{count:,} {name}" for name, count in counts(chosen).items())
    from basis_pipeline.runs.scenario_checks import JUDGED, scenario_checks, worst
    from basis_pipeline.runs.scenario_report import write_report
    from basis_pipeline.runs.scenarios import raw_loader, study_of
    from basis_pipeline.runs.sweep import place_of, read_rows, run_point

    capital, overrides = wanted.run.capital, wanted.run.assigned()
    load = raw_loader(configs, data_dir)
    study = study_of(
        configs, wanted.mode, chosen, load, window, capital=capital, overrides=overrides
    )
    screen.echo(f"{chosen.name} over {wanted.mode}: {crossed} = {total:,} points")
    out = wanted.out or place_of(study, results_dir, wanted.kind)
    studies.run_study(study, out, wanted.threads, wanted.workers, wanted.scheduler)
    for index in wanted.tables:
        run_point(study, index).write(out / "tables" / str(index))
    rows = read_rows(study, out, JUDGED).to_pandas()
    told = [
        [
            str(row["index"]),
            " ".join(part for part in (row["window"], row["market"]) if part) or screen.DASH,
            row["status"],
            screen.percent(row["total_return"]),
            screen.percent(row["max_drawdown"]),
            screen.number(row["liquidations"], 0),
        ]
        for row in worst(rows, 5).to_dict("records")
    ]
    heads = ("point", "scenario", "status", ">return", ">max drawdown", ">liquidations")
    screen.console().print(screen.table("Worst", heads, told))
    gates = scenario_checks(rows, chosen)
    failed = studies.show_verdicts(gates)
    screen.echo(f"Report: {write_report(study, out, rows, gates)}")
    return failed


def require_points(indices: Sequence[int], total: int) -> None:
    """Raise API-001 unless every point wanted for is one of the set's."""
    for index in indices:
        if not 0 <= index < total:
            raise CommandError(
                "API-001",
                f"there is no point {index}",
                where="--tables",
                available=f"0 … {total - 1}",
                action="name a point of the set",
            )
