"""`basis backtest`: the research path, from raw files to tables without Dagster."""

from pathlib import Path
from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    Options,
    project_configs,
    require_data,
    sliced,
    takes_run_options,
    window_of,
)


@takes_run_options
def backtest(
    options: Options,
    mode: Annotated[str, typer.Argument(help="Name of the mode: its file in configs/modes/.")],
    out: Annotated[Path, typer.Option(help="Directory for the run's files.")],
) -> None:
    """Backtest one mode straight from the raw files.

    Writes summary.json, config.json, verdicts.json and the tables equity, attribution, positions,
    risk and events as Parquet: all of them, or none. The results directory is not touched.

    The data checks and gates are those of `basis run`: what they reject is rejected here too, and
    every verdict that is not PASS is printed.

    Example: basis backtest btc_basis --out runs/calm --set rebalance.enabled=false
    """
    from basis_pipeline.operations.control import require_not_halted

    settings, configs = options.settings(), project_configs()
    sliced(configs, [mode], options.overrides, options.capital)
    require_data(settings)
    require_not_halted(settings, f"the backtest of {mode}")
    with screen.progress(1) as advance:
        advance(f"backtest of {mode}")
        from basis_pipeline.backtests.judged import judged_backtest

        judged = judged_backtest(
            *(configs, mode, settings.data_dir, window_of(settings)),
            capital=options.capital,
            overrides=options.assigned(),
        )
        directory = judged.write(out)
    result = judged.result
    row = [mode, *screen.headlines(result.summary)]
    screen.console().print(screen.table("", ("mode", *screen.HEADLINES), [row]))
    screen.show_not_annualised(result.summary)
    screen.show_verdicts(judged.verdicts)
    screen.show_input_warnings(judged.verdicts)
    screen.echo(f"Run {result.run_id}: {directory}")
