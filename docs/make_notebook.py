"""Write and execute `docs/notebook.ipynb`: the Python interface by example."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
# A string is a cell of prose, a tuple of one string a cell of code.
CELLS: tuple[str | tuple[str], ...] = (
    """# How much of the book should the BTC basis hold in spot?

The mode buys BTC, sells a perpetual against it and earns the funding; the rest of its money is
margin. More spot earns more and leaves less margin. One decision, from the question to the answer,
with `basis_pipeline.research`.

Generated sample data here; with real files name their directory in `data_dir`, or set
`BASIS_DATA_DIR`. Nothing is kept unless it is saved.""",
    (
        """import tempfile
from pathlib import Path

import pandas as pd
import plotly.io

from basis_pipeline.errors import BasisError
from basis_pipeline.market.sample import write_sample
from basis_pipeline.research import backtest, compare, load_run, sweep, walk_forward

pd.options.display.float_format = "{:.6g}".format
plotly.io.renderers.default = "plotly_mimetype"
kept = tempfile.TemporaryDirectory()  # gone with the notebook
place = Path(kept.name)
files = write_sample(place / "data", days=150)
span = {"start": "2024-01-03", "end": "2024-05-15", "data_dir": place / "data"}
len(files)""",
    ),
    """## What the mode does today

A run with its figures and their units. It is worth its risk only where it beats plain lending.""",
    (
        """base = backtest("btc_basis", **span)
base""",
    ),
    (
        """shown = ["total_return", "closed_equity", "max_drawdown", "min_margin_ratio"]
pd.DataFrame({"value": base.figures, "unit": base.figures.attrs["units"]}).loc[shown]""",
    ),
    ("""pd.DataFrame(base.summary["benchmarks"])""",),
    ("""base.plot()""",),
    """## What it earns from

Profit and loss by component: they add up to the change of equity. Frames are by time and hold the
units of their columns.""",
    (
        """parts = base.attribution.sum()
parts[parts.abs() > 1e-6].to_frame(base.attribution.attrs["units"]["funding"])""",
    ),
    """Daily returns are a Series that empyrical and quantstats take; a year has 365 of them.""",
    ("""base.returns.describe().to_frame()""",),
    """## What more spot would do

A sweep runs every value; a point that a single run would reject has its error code in `status`.""",
    (
        """spot = [0.4, 0.5, 0.6, 0.7]
rows = sweep("btc_basis", {"allocation.spot": spot}, **span)
rows[["allocation.spot", "status", "total_return", "min_margin_ratio", "rebalances"]]""",
    ),
    """The rule: the highest return that never leaves a venue with a margin ratio below 0.35. The
gate of the mode requires 0.1, and a day can be worse than any so far.""",
    (
        """safe = rows[(rows["status"] == "") & (rows["min_margin_ratio"] >= 0.35)]
best = float(safe.loc[safe["total_return"].idxmax(), "allocation.spot"])
best""",
    ),
    """## Would the past have chosen it?

A walk-forward chooses on a window and tests the choice on the window after it.""",
    (
        """plan = {
    "keys": {"allocation.spot": {"values": spot}},
    "train_days": 45,
    "test_days": 30,
    "step_days": 30,
    "objective": "total_return",
    "constraints": {
        "max_liquidations": 0,
        "max_drawdown": 0.05,
        "min_health_factor": None,
        "min_margin_ratio": 0.35,
    },
}
walked = walk_forward("btc_basis", plan, **span)
walked.folds[["test_start", "allocation.spot", "train_value", "test_value"]]""",
    ),
    """## The answer

The chosen point as a run of its own, compared with today's: figures, then what differs.
Overrides are dotted keys of the mode.""",
    (
        """chosen = backtest("btc_basis", **span, **{"allocation.spot": best})
rows = [("figure", name) for name in shown] + [("configuration", "allocation.spot")]
compare(base, chosen).loc[rows].T""",
    ),
    (
        """figures = chosen.figures
beside = chosen.summary["benchmarks"]["lending"]["excess_return"]
print(
    f"Hold {best:.0%} in spot: return {figures['total_return']:.2%}, worst margin ratio "
    f"{figures['min_margin_ratio']:.2f}. Against plain lending: {100 * beside:+.2f} points."
)
print("Run the mode." if beside > 0 else "Lend the money instead: the risk is not paid for.")""",
    ),
    """What is saved is what the command line writes, checked against its hashes when it is loaded
again. A run of `basis run` is loaded by its identity alone: `load_run("0123456789abcdef")`.""",
    (
        """directory = chosen.save(place / "chosen")
load_run(directory).figures.equals(chosen.figures)""",
    ),
    """An error has a code, and names what is available.""",
    (
        """try:
    backtest("btc_basis", **span, **{"allocation.spott": 0.4})
except BasisError as error:
    print(error.code, error.what, "| available:", error.available)""",
    ),
)


def execute() -> NotebookNode:
    """Return the notebook, run from the top in a new kernel."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for place, cell in enumerate(CELLS):
        made = (
            nbformat.v4.new_markdown_cell(cell)
            if isinstance(cell, str)
            else nbformat.v4.new_code_cell(cell[0])
        )
        made.id = f"cell-{place}"
        notebook.cells.append(made)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(ROOT))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of execution
    return notebook


if __name__ == "__main__":
    nbformat.write(execute(), NOTEBOOK)
