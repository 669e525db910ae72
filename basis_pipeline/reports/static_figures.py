"""The equity picture that the Dagster UI shows with a run, drawn without a browser."""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from basis_pipeline.reports.plot_theme import light
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import extremes
from basis_pipeline.results.metrics import Floats
from basis_pipeline.results.store import RunResult

_STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.xmargin": 0.0,
    "font.size": 8,
    "legend.frameon": False,
}


def equity_png(result: RunResult) -> bytes:
    """Draw equity with its benchmarks, and below it the drawdown in percent, as a PNG.

    Equal runs give equal bytes.
    """
    run = RunView(result)
    equity, down = (run.column("equity", name) for name in ("equity", "drawdown"))
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(9.0, 4.0), dpi=100)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for place, (name, growth) in enumerate(run.benchmarks.items()):
            colour = light(f"benchmark-{place % 2}")
            above.plot(*_points(run, run.benchmark_equity(growth)), "--", color=colour, label=name)
        above.plot(*_points(run, equity), color=light("accent"), label="this run")
        above.ticklabel_format(axis="y", style="plain", useOffset=False)
        above.set_title(f"Equity, {run.currency}")
        above.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=6)
        below.fill_between(*_points(run, -100.0 * down), color=light("bad"), alpha=0.3)
        below.set_ylabel("drawdown, %")
        for hour in np.array(run.liquidated_at).astype("datetime64[ns]"):
            above.axvline(hour, color=light("alarm"))
        below.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))
        figure.subplots_adjust(0.09, 0.1, 0.985, 0.93, hspace=0.12)
        sink = io.BytesIO()
        figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _points(run: RunView, values: Floats) -> tuple["np.ndarray", Floats]:
    at = extremes(values)
    return run.stamps[at].astype("datetime64[ns]"), values[at]
