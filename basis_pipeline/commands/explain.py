"""`basis explain`: what moved the result of a run."""

import json
from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, ResultsDir, settings_of
from basis_pipeline.commands.report import RUN_HELP, stored_run


def explain(
    run: Annotated[str, typer.Argument(help=RUN_HELP)],
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Explain what moved the result of a run, in sentences and tables made from its stored tables.

    Profit and loss by component, rebalances and their cost by trigger, the costliest days,
    liquidations, warnings on the input data, and equity beside closed equity and plain lending.

    Example: basis explain btc_basis
    """
    from basis_pipeline.reports.explanation import Explanation
    from basis_pipeline.reports.run_view import RunView

    result, verdicts = stored_run(run, settings_of(results_dir=results_dir))
    explanation = Explanation(RunView(result), verdicts)
    if form == "json":
        print(json.dumps(explanation.to_json(), indent=2, ensure_ascii=False))
        return
    identity = result.identity
    screen.echo(
        f"{result.mode} {result.run_id}, {identity.start:%Y-%m-%d %H:%M} to "
        f"{identity.end:%Y-%m-%d %H:%M} UTC"
    )
    for sentence in explanation.sentences:
        screen.echo(f"  {sentence}")
    for table in explanation.tables:
        titles = [str(title).lstrip("~") for title in table.titles]
        rows = [[*map(str, row)] for row in table.rows]
        foot = [list(table.foot)] if table.foot else []
        screen.console().print(screen.table(table.caption, titles, [*rows, *foot]))
