"""`basis`: the pipeline from the command line."""

import sys
from typing import NoReturn

import typer

from basis_pipeline.commands.backtest import backtest
from basis_pipeline.commands.control import control, halt, resume
from basis_pipeline.commands.data import audit, sample
from basis_pipeline.commands.events import events
from basis_pipeline.commands.explain import errors
from basis_pipeline.commands.gates import gates
from basis_pipeline.commands.health import health
from basis_pipeline.commands.report import compare, tear_sheet
from basis_pipeline.commands.request import request
from basis_pipeline.commands.results import results
from basis_pipeline.commands.run import run
from basis_pipeline.commands.screen import complain
from basis_pipeline.commands.sweep import montecarlo, stress, sweep
from basis_pipeline.commands.walk_forward import walk_forward
from basis_pipeline.errors import BasisError, CommandError

HELP = """From raw exchange and protocol CSVs to quality-gated backtests of crypto basis and yield
strategies.

A first look: `basis data sample --out data/sample`, then `basis run`. What is not given as an
option comes from the environment (BASIS_DATA_DIR, BASIS_RESULTS_DIR and so on); every complaint
carries a code that `basis errors` explains.
"""
DATA_HELP = "Make sample data, or look at what a data directory holds."

app = typer.Typer(name="basis", help=HELP, add_completion=False, pretty_exceptions_enable=False)
data = typer.Typer(help=DATA_HELP)
report = typer.Typer(help="Write the pages of recorded runs: tear sheets and comparisons.")
app.command()(run)
app.command()(backtest)
app.command()(sweep)
app.command()(stress)
app.command()(montecarlo)
app.command(name="walk-forward")(walk_forward)
app.add_typer(data, name="data")
data.command()(sample)
data.command()(audit)
app.command()(request)
app.add_typer(report, name="report")
report.command()(tear_sheet)
report.command()(compare)
app.command()(gates)
app.command()(events)
app.command()(errors)
app.command()(health)
app.command()(halt)
app.command()(resume)
app.command()(control)
app.add_typer(results, name="results")


def main() -> NoReturn:
    """Run the command line: bad input is one message on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except BasisError as error:
        complain(error)
        sys.exit(2)
    except typer.TyperException as error:
        complain(_usage_error(error))
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _usage_error(error: typer.TyperException) -> CommandError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "basis"
    what = " ".join(error.format_message().split())
    return CommandError("API-001", what, where=command, action=f"{command} --help")
