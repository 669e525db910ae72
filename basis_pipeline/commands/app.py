"""The commands of `basis`, in groups, and the options of `basis` itself."""

from importlib.metadata import version
from typing import Annotated

import typer

from basis_pipeline.commands.accounts import accounts, signals
from basis_pipeline.commands.backtest import backtest
from basis_pipeline.commands.control import control, halt, resume
from basis_pipeline.commands.data import audit, sample
from basis_pipeline.commands.data_add import add, try_files
from basis_pipeline.commands.errors import errors
from basis_pipeline.commands.events import events
from basis_pipeline.commands.explain import explain
from basis_pipeline.commands.fetch import fetch
from basis_pipeline.commands.gates import gates
from basis_pipeline.commands.health import health
from basis_pipeline.commands.init import init
from basis_pipeline.commands.platform import platform
from basis_pipeline.commands.report import compare, signoff, tear_sheet, verify
from basis_pipeline.commands.request import request
from basis_pipeline.commands.results import results
from basis_pipeline.commands.run import run
from basis_pipeline.commands.serve import serve
from basis_pipeline.commands.sweep import montecarlo, stress, sweep
from basis_pipeline.commands.walk_forward import walk_forward

HELP = """Turn raw exchange and protocol CSVs into quality-gated backtests of crypto basis and yield
strategies.

Start with `basis data sample --out data/sample`, then `basis run`. Options that are not given come
from the environment (BASIS_DATA_DIR, BASIS_RESULTS_DIR and so on); every error has a code that
`basis errors` explains.
"""
RUN, RESEARCH, OPERATE, DATA = "Run", "Research", "Operate", "Data"
PANELS = {
    RUN: (init, run, backtest, explain, request),
    RESEARCH: (sweep, stress, montecarlo, walk_forward),
    OPERATE: (signals, serve, health, control, halt, resume, events, errors),
}

app = typer.Typer(name="basis", help=HELP, pretty_exceptions_enable=False)
data = typer.Typer(help="Make sample data, fetch real data, or audit a data directory.")
report = typer.Typer(help="Write the pages of recorded runs: tear sheets, comparisons, sign-offs.")
for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.replace("_", "-"), rich_help_panel=panel)(command)
app.add_typer(gates, name="gates", rich_help_panel=RUN)
app.add_typer(report, name="report", rich_help_panel=RUN)
app.add_typer(accounts, name="accounts", rich_help_panel=OPERATE)
app.add_typer(results, name="results", rich_help_panel=OPERATE)
app.add_typer(platform, name="platform", rich_help_panel=OPERATE)
app.add_typer(data, name="data", rich_help_panel=DATA)
data.command()(sample)
data.command()(audit)
data.command()(fetch)
data.command()(add)
data.command("try")(try_files)
report.command()(tear_sheet)
report.command()(compare)
report.command()(signoff)
report.command()(verify)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"basis {version('basis-pipeline')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options of `basis` itself."""
