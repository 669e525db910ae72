"""Write and execute `docs/notebook.ipynb`: the Python interface by example."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
# A text is a cell of prose, a tuple of one text a cell of code.
CELLS: tuple[str | tuple[str], ...] = (
    """# Backtests in a notebook

`basis_pipeline.research` runs a backtest, loads a recorded one and sets runs side by side.
Frames say the units of their columns in `attrs["units"]`; nothing is written unless asked for.""",
    (
        """import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from basis_pipeline.errors import BasisError
from basis_pipeline.market.sample import write_sample
from basis_pipeline.research import backtest, compare, load_run

pd.options.display.float_format = "{:.6g}".format
kept = tempfile.TemporaryDirectory()  # gone with the notebook
place = Path(kept.name)
files = write_sample(place / "data", days=150)
len(files)""",
    ),
    """## A run

Generated sample data here; with real files name their directory in `data_dir`, or set
`BASIS_DATA_DIR`.""",
    (
        """span = {"start": "2024-01-03", "end": "2024-05-15", "data_dir": place / "data"}
base = backtest("btc_basis", **span)
base""",
    ),
    ("""pd.DataFrame({"value": base.figures, "unit": base.figures.attrs["units"]})""",),
    """## Its tables

`equity`, `attribution`, `positions`, `risk` and `events`, as `basis backtest` writes them.""",
    ("""base.equity.attrs["units"]""",),
    (
        """figure, axes = plt.subplots(figsize=(8, 2.6))
axes.plot(base.equity["timestamp"], base.equity["equity"])
axes.set(title=base.mode, ylabel=base.equity.attrs["units"]["equity"])
plt.show()""",
    ),
    """Profit and loss by component: they add up to the change of equity.""",
    (
        """parts = base.attribution.drop(columns="timestamp").sum()
parts[parts.abs() > 1e-6].to_frame(base.equity.attrs["units"]["equity"])""",
    ),
    ("""base.events.groupby(["kind", "reason"])[["fee", "gas"]].agg(["count", "sum"])""",),
    """## What if

Overrides are dotted keys of the mode. The error for an unknown key lists those that exist.""",
    (
        """changed = {"allocation.spot": 0.4, "hedge.venues": {"bybit": 1.0}}
less = backtest("btc_basis", **span, **changed)
compare(base, less)""",
    ),
    (
        """try:
    backtest("btc_basis", **span, **{"allocation.spott": 0.4})
except BasisError as error:
    print(error.code, error.what, "| available:", error.available)""",
    ),
    """## Over a range

Each run takes a fraction of a second, so that a loop will do for a few.""",
    (
        """rows = {}
for share in (0.4, 0.5, 0.6, 0.7):
    run = backtest("btc_basis", **span, **{"allocation.spot": share})
    rows[share] = run.figures[["apy", "max_drawdown", "min_margin_ratio", "rebalances"]]
pd.DataFrame(rows).T.rename_axis("allocation.spot")""",
    ),
    """## Kept

What is saved is what the command line writes, checked against its hashes when it is loaded
again. A run of `basis run` is loaded by its identity alone: `load_run("0123456789abcdef")`.""",
    (
        """directory = base.save(place / "base")
load_run(directory).figures.equals(base.figures)""",
    ),
)


def execute() -> NotebookNode:
    """The notebook, run from the top in a kernel of its own."""
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
