"""`basis sweep`: a scenario set over one mode, a row of figures a point."""

from pathlib import Path
from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    Capital,
    DataDir,
    End,
    Overrides,
    Start,
    project_configs,
    require_data,
    settings_of,
    window_of,
)
from basis_pipeline.errors import CommandError

SCENARIOS = "scenarios"


def sweep(
    mode: Annotated[str, typer.Argument(help="The mode, named as its file in configs/modes/.")],
    out: Annotated[Path, typer.Option(help="Directory for the rows; an unfinished sweep goes on.")],
    set_name: Annotated[
        str | None, typer.Option(help="A scenario set, named as its file in configs/scenarios/.")
    ] = None,
    scenarios: Annotated[Path | None, typer.Option(help="A scenario set's own file.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; as many as there are cores otherwise.")
    ] = None,
    tables: Annotated[
        list[int] | None,
        typer.Option(help="Also write all tables of this point; may be given several times."),
    ] = None,
    data_dir: DataDir = None,
    start: Start = None,
    end: End = None,
    capital: Capital = None,
    overrides: Overrides = None,
) -> None:
    """Run a scenario set over one mode: one row of figures a point, in Parquet files below --out.

    The number of points is shown before anything runs. Finished batches are kept: after an
    interruption the same command goes on where it was.

    Example: basis sweep usdt_market_neutral --set-name crises --out sweeps/crises --tables 3
    """
    from basis_pipeline.config import parse_assignments
    from basis_pipeline.config.points import counts, size
    from basis_pipeline.config.scenario import load_scenario_set
    from basis_pipeline.settings import project_root

    if (set_name is None) == (scenarios is None):
        raise CommandError("API-001", "give either --set-name or --scenarios", where="basis sweep")
    settings, configs = settings_of(data_dir, None, start, end), project_configs()
    named = project_root() / "configs" / SCENARIOS / f"{set_name}.yaml"
    chosen = load_scenario_set(scenarios if scenarios is not None else named)
    total = size(chosen)
    require_points(tables or (), total)
    crossed = " x ".join(f"{count:,} {name}" for name, count in counts(chosen).items())
    screen.say(f"{chosen.name} over {mode}: {crossed} = {total:,} points")
    from basis_pipeline.results.store import write_run
    from basis_pipeline.runs.scenarios import study_of
    from basis_pipeline.runs.sweep import Progress, run_point
    from basis_pipeline.runs.sweep import sweep as run_sweep

    require_data(settings)
    study = study_of(
        configs,
        mode,
        chosen,
        settings.data_dir,
        window_of(settings),
        capital=capital,
        overrides=parse_assignments(overrides or ()),
    )
    last: list[Progress] = []
    with screen.share(total) as show:

        def report(now: Progress) -> None:
            last[:] = [now]
            show(now.done, f"{now.rate:,.0f} points/s, {now.seconds_left:,.0f} s left")

        try:
            run_sweep(study, out, threads=workers, report=report)
        except KeyboardInterrupt:
            done = last[0].done if last else 0
            screen.complain(
                f"Stopped: {done:,} of {total:,} points are kept; the same command goes on."
            )
            raise
    for index in tables or ():
        write_run(run_point(study, index), out / "tables" / str(index))
    screen.say(f"{last[0].done:,} points in {last[0].seconds:.1f} s: {out}")


def require_points(indices: "list[int] | tuple[int, ...]", total: int) -> None:
    """Raise API-001 unless every point asked for is one of the set's."""
    for index in indices:
        if not 0 <= index < total:
            raise CommandError(
                "API-001",
                f"there is no point {index}",
                where="basis sweep --tables",
                available=f"0 … {total - 1}",
                action="name a point of the set",
            )
