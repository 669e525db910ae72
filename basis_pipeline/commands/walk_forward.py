"""`basis walk-forward`: choose parameters on the past, test them on what followed."""

import typer

from basis_pipeline.commands import screen, studies
from basis_pipeline.commands.options import (
    Options,
    project_configs,
    require_data,
    takes_run_options,
    window_of,
)


@takes_run_options
def walk_forward(
    options: Options,
    mode: studies.Mode,
    out: studies.Out = None,
    threads: studies.Threads = None,
    workers: studies.Workers = None,
    scheduler: studies.Scheduler = None,
) -> None:
    """Choose a mode's parameters on rolling train windows and judge them on the tests after.

    The plan is the mode's file in configs/walk_forward/: the grid, the windows, the objective, the
    constraints and the limits of the gates. Exit code 1 when a gate of severity ERROR fails.

    Example: basis walk-forward usdt_market_neutral
    """
    from basis_pipeline.config.walk_forward import load_walk_forward
    from basis_pipeline.settings import config_directory

    executor = studies.executor_of(threads, workers, scheduler)
    settings, configs = options.settings(), project_configs()
    plan = load_walk_forward(config_directory(), configs, mode)
    require_data(settings)
    from basis_pipeline.backtests.ingest import Feeds
    from basis_pipeline.backtests.scenario_report import write_walk_report
    from basis_pipeline.backtests.scenarios import study_of
    from basis_pipeline.backtests.sweep import place_of
    from basis_pipeline.backtests.walk_forward import (
        scenario_set,
        summary_of,
        walk,
        walk_forward_checks,
        write_walk,
    )
    from basis_pipeline.operations.control import require_not_halted

    require_not_halted(settings, f"basis walk-forward {mode}")
    window = window_of(settings)
    study = study_of(
        configs,
        mode,
        scenario_set(plan, window),
        Feeds(configs, settings.data_dir).datasets,
        window,
        capital=options.capital,
        overrides=options.assigned(),
    )
    place = out or place_of(study, settings.results_dir, "walk_forward")
    studies.run_study(study, place, executor)
    walked = walk(plan, study, place)
    write_walk(walked, place)
    rows = [
        [
            f"{fold['train_start']:%Y-%m-%d}",
            f"{fold['test_start']:%Y-%m-%d}",
            screen.number(fold["train_value"]),
            screen.number(fold["test_value"]),
            screen.percent(fold["test_apy"]),
            ", ".join(f"{key} {fold[key]}" for key in plan.keys),
        ]
        for fold in walked.folds.to_dict("records")
    ]
    heads = ("train", "test", f">{plan.objective}", ">on test", ">APY on test", "chosen")
    screen.console().print(screen.table(f"{mode}: walk-forward", heads, rows))
    chosen = summary_of(walked)["chosen"]
    outcome = chosen or "nothing, no point meets the constraints"
    screen.echo(f"Chosen on the whole window: {outcome}")
    gates = walk_forward_checks(walked)
    screen.show_input_warnings(study.verdicts)
    failed = studies.show_verdicts(gates)
    page = write_walk_report(walked, study, place, gates, *studies.origin_and_provenance(settings))
    screen.echo(f"Report: {page}")
    if failed:
        raise typer.Exit(1)
