"""`basis sweep`, `basis stress` and `basis montecarlo`: run scenario sets over one mode."""

from collections.abc import Callable, Sequence
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
    from basis_pipeline.backtests.scenarios import Study
    from basis_pipeline.config.scenario import ScenarioSet
    from basis_pipeline.settings import Settings

SetNames = Annotated[
    list[str] | None,
    typer.Option("--set-name", help="Name of a scenario set: its file in configs/scenarios/."),
]
SetFile = Annotated[Path | None, typer.Option("--scenarios", help="File of a scenario set.")]
WORST = ("point", "scenario", "status", ">return", ">max drawdown", ">liquidations")
SHOWN = 5


def _command(kind: str, help_text: str) -> Callable[..., None]:
    """Make the command of a kind of study; by default it runs the mode's own sets."""

    def command(
        options: Options,
        mode: studies.Mode,
        set_names: SetNames = None,
        scenarios: SetFile = None,
        out: studies.Out = None,
        threads: studies.Threads = None,
        workers: studies.Workers = None,
        scheduler: studies.Scheduler = None,
    ) -> None:
        executor = studies.executor_of(threads, workers, scheduler)
        _run(kind, mode, options, _sets(kind, mode, set_names, scenarios, out), out, executor)

    command.__name__, command.__doc__ = kind, help_text
    return takes_run_options(command)


sweep = _command(
    "sweep",
    """Run a scenario set over one mode: one row of figures per point, in Parquet files.

    The default is the mode's own set of ten thousand points. The number of points is shown before
    anything runs. Finished batches are kept: after an interruption the same command continues
    where it stopped.

    Example: basis sweep usdt_market_neutral --set-name leverage_and_margin
    """,
)
stress = _command(
    "stress",
    """Run shocks and replayed crises over one mode, and compare the worst with the stated limits.

    Replays whose days are outside the window are left out, and named.

    Example: basis stress eth_leveraged
    """,
)
montecarlo = _command(
    "montecarlo",
    """Run one mode over paths drawn from its own history, block by block.

    Example: basis montecarlo btc_basis
    """,
)


def _sets(
    kind: str, mode: str, names: Sequence[str] | None, file: Path | None, out: Path | None
) -> "list[ScenarioSet]":
    """Load the sets named, or the mode's own."""
    from basis_pipeline.config.scenario import load_scenario_set, own_sets, set_file
    from basis_pipeline.settings import config_directory

    if names and file is not None:
        what = "give either --set-name or --scenarios"
        raise CommandError("API-001", what, where=f"basis {kind}")
    project_configs().mode(mode)
    configured = [set_file(config_directory(), name) for name in names or own_sets(kind, mode)]
    sets = [load_scenario_set(path) for path in ([file] if file else configured)]
    if len(sets) > 1 and out is not None:
        what = "--out is for one set: name it with --set-name"
        raise CommandError("API-001", what, where=f"basis {kind}")
    return sets


def _run(
    kind: str,
    mode: str,
    options: Options,
    sets: "Sequence[ScenarioSet]",
    out: Path | None,
    executor: studies.Executor,
) -> None:
    """Run the sets one after the other; exit code 1 when a gate of severity ERROR failed."""
    settings = options.settings()
    configs, window = project_configs(), window_of(settings)
    require_data(settings)
    from basis_pipeline.backtests.ingest import Feeds
    from basis_pipeline.backtests.scenarios import inside, nothing_inside, study_of
    from basis_pipeline.backtests.sweep import place_of
    from basis_pipeline.operations.control import require_not_halted

    require_not_halted(settings, f"basis {kind} {mode}")
    split = [inside(chosen, window) for chosen in sets]
    outside = [name for _, names in split for name in names]
    inner = [chosen for chosen, _ in split if chosen is not None]
    if not inner:
        raise nothing_inside(outside, window)
    if outside:
        screen.echo(f"Outside {window}, left out: {', '.join(outside)}")
    failed, load = [], Feeds(configs, settings.data_dir).datasets
    for chosen in inner:
        study = study_of(
            *(configs, mode, chosen, load, window),
            capital=options.capital,
            overrides=options.assigned(),
        )
        place = out or place_of(study, settings.results_dir, kind)
        failed.append(_run_set(study, place, executor, settings))
    if any(failed):
        raise typer.Exit(1)


def _run_set(study: "Study", out: Path, executor: studies.Executor, settings: "Settings") -> bool:
    """Run one set and evaluate its gates; return whether one of severity ERROR failed."""
    from basis_pipeline.backtests.scenario_checks import JUDGED, scenario_checks, worst
    from basis_pipeline.backtests.scenario_report import write_report
    from basis_pipeline.backtests.sweep import read_rows
    from basis_pipeline.config.points import counts, size

    chosen = study.scenarios
    crossed = " x ".join(f"{count:,} {name}" for name, count in counts(chosen).items())
    screen.echo(f"{chosen.name} over {study.mode}: {crossed} = {size(chosen):,} points")
    studies.run_study(study, out, executor)
    rows = read_rows(study, out, JUDGED).to_pandas()
    cells = [
        [
            str(row["index"]),
            " ".join(part for part in (row["window"], row["market"]) if part) or screen.DASH,
            row["status"],
            screen.percent(row["total_return"]),
            screen.percent(row["max_drawdown"]),
            screen.number(row["liquidations"], 0),
        ]
        for row in worst(rows, SHOWN).to_dict("records")
    ]
    screen.console().print(screen.table("Worst", WORST, cells))
    gates = scenario_checks(rows, chosen)
    screen.show_input_warnings(study.verdicts)
    failed = studies.show_verdicts(gates)
    page = write_report(study, out, rows, gates, *studies.origin_and_provenance(settings))
    screen.echo(f"Report: {page}")
    return failed
