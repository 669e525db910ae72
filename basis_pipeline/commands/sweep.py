"""`basis sweep`, `basis stress` and `basis montecarlo`: scenario sets over one mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen, studies
from basis_pipeline.commands.options import (
    Capital,
    DataDir,
    End,
    Overrides,
    ResultsDir,
    Start,
    project_configs,
    require_data,
    settings_of,
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
class Asked:
    """What a command is asked for."""

    kind: str
    mode: str
    out: Path | None
    data_dir: Path | None
    results_dir: Path | None
    start: str | None
    end: str | None
    capital: float | None
    overrides: Sequence[str]
    threads: int | None
    workers: int | None
    scheduler: str | None
    tables: Sequence[int] = ()


def _command(kind: str, told: str) -> Callable[..., None]:
    """The command of a kind of study, which runs its own sets unless others are named."""

    def command(
        mode: studies.Mode,
        out: studies.Out = None,
        set_names: SetNames = None,
        scenarios: SetFile = None,
        tables: Tables = None,
        threads: studies.Threads = None,
        workers: studies.Workers = None,
        scheduler: studies.Scheduler = None,
        data_dir: DataDir = None,
        results_dir: ResultsDir = None,
        start: Start = None,
        end: End = None,
        capital: Capital = None,
        overrides: Overrides = None,
    ) -> None:
        common = (data_dir, results_dir, start, end, capital, overrides or ())
        asked = Asked(kind, mode, out, *common, threads, workers, scheduler, tables or ())
        _run(asked, set_names or (), scenarios)

    command.__name__, command.__doc__ = kind, told
    return command


sweep = _command(
    "sweep",
    """Run a scenario set over one mode: one row of figures a point, in Parquet files.

    The mode's own set of ten thousand points, unless another one is named. The number of points is
    shown before anything runs. Finished batches are kept: after an interruption the same command
    goes on where it was.

    Example: basis sweep usdt_market_neutral --set-name leverage_and_margin --workers 2
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

    Example: basis montecarlo btc_basis --results-dir results
    """,
)


def _run(asked: Asked, names: Sequence[str], file: Path | None) -> None:
    """Run the sets one after the other; exit code 1 when a gate of severity ERROR failed."""
    from basis_pipeline.config.scenario import load_scenario_set, own_sets, set_file
    from basis_pipeline.settings import project_root

    if names and file is not None:
        what = "give either --set-name or --scenarios"
        raise CommandError("API-001", what, where=f"basis {asked.kind}")
    studies.require_one_executor(asked.threads, asked.workers, asked.scheduler)
    settings = settings_of(asked.data_dir, asked.results_dir, asked.start, asked.end)
    configs = project_configs()
    configs.mode(asked.mode)
    window, configured = window_of(settings), project_root() / "configs"
    names = names or own_sets(asked.kind, asked.mode)
    files = [file] if file else [set_file(configured, name) for name in names]
    sets = [load_scenario_set(path) for path in files]
    if len(sets) > 1 and (asked.out is not None or asked.tables):
        what = "--out and --tables belong to one set: name it"
        raise CommandError("API-001", what, where=f"basis {asked.kind}")
    require_data(settings)
    from basis_pipeline.operations.control import require_work
    from basis_pipeline.runs.scenarios import inside, nothing_inside

    require_work(settings, f"basis {asked.kind} {asked.mode}")

    looked = [inside(chosen, window) for chosen in sets]
    outside = [name for _, names in looked for name in names]
    kept = [chosen for chosen, _ in looked if chosen is not None]
    if not kept:
        raise nothing_inside(outside, window)
    if outside:
        screen.say(f"Outside of {window}, left out: {', '.join(outside)}")
    directories = settings.data_dir, settings.results_dir
    failed = [_run_set(asked, chosen, configs, window, *directories) for chosen in kept]
    if any(failed):
        raise typer.Exit(1)


def _run_set(
    asked: Asked,
    chosen: "ScenarioSet",
    configs: "Configs",
    window: "Window",
    data_dir: Path,
    results_dir: Path,
) -> bool:
    """Run one set and judge it; whether a gate of severity ERROR failed."""
    from basis_pipeline.config import parse_assignments
    from basis_pipeline.config.points import counts, size

    total = size(chosen)
    require_points(asked.tables, total)
    crossed = " x ".join(f"{count:,} {name}" for name, count in counts(chosen).items())
    from basis_pipeline.results.store import write_run
    from basis_pipeline.runs.scenario_checks import JUDGED, scenario_checks, worst
    from basis_pipeline.runs.scenario_report import write_report
    from basis_pipeline.runs.scenarios import study_of
    from basis_pipeline.runs.sweep import place_of, read_rows, run_point

    overrides = parse_assignments(asked.overrides)
    study = study_of(
        configs, asked.mode, chosen, data_dir, window, capital=asked.capital, overrides=overrides
    )
    screen.say(f"{chosen.name} over {asked.mode}: {crossed} = {total:,} points")
    out = asked.out or place_of(study, results_dir, asked.kind)
    studies.run_study(study, out, asked.threads, asked.workers, asked.scheduler)
    for index in asked.tables:
        write_run(run_point(study, index), out / "tables" / str(index))
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
    screen.say(f"Report: {write_report(study, out, rows, gates)}")
    return failed


def require_points(indices: Sequence[int], total: int) -> None:
    """Raise API-001 unless every point asked for is one of the set's."""
    for index in indices:
        if not 0 <= index < total:
            raise CommandError(
                "API-001",
                f"there is no point {index}",
                where="--tables",
                available=f"0 … {total - 1}",
                action="name a point of the set",
            )
