"""Pictures and prints of runs, drawn without a display or a browser: PNG and PDF.

They show what the pages show, from the same facts, in the colours of light paper.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from basis_pipeline.reports.colours import light, nth
from basis_pipeline.reports.comparison import Entry, names_of
from basis_pipeline.reports.risk_charts import maintenance, setting
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import Places, days, extremes
from basis_pipeline.reports.tear_sheet import HEADLINE, MONTHS, attribution_rows
from basis_pipeline.reports.verdicts import banners, in_order, stamp_of
from basis_pipeline.results.definitions import FIGURES, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Verdict

A4 = (8.27, 11.69)  # inches
DOTS = 100  # an inch
LEVELS = {"alarm": "alarm", "warn": "warn", "good": "good", "note": "soft"}
LINES_A_PAGE = 62
SHOWN_BANNERS = 4
ABOVE: dict[str, Any] = {  # a legend beside the title, where it hides nothing
    "loc": "lower right",
    "bbox_to_anchor": (1.0, 0.98),
    "ncols": 6,
    "borderaxespad": 0.2,
}
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": light("line"),
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": light("soft"),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlecolor": light("ink"),
    "axes.xmargin": 0.0,
    "font.size": 8,
    "grid.color": light("line"),
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.1,
    "text.color": light("ink"),
    "xtick.color": light("soft"),
    "ytick.color": light("soft"),
    "pdf.fonttype": 42,
}


def equity_png(result: RunResult) -> bytes:
    """Equity above, drawdown in percent below."""
    run = RunView(result)
    with _figure((9.0, 4.0)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        figure.subplots_adjust(0.09, 0.08, 0.985, 0.93, hspace=0.12)
        _equity(above, run)
        _drawdown(below, run)
        return _png(figure)


def tear_sheet_png(result: RunResult, gates: Sequence[Verdict] = ()) -> bytes:
    """The summary of a tear sheet, its equity and its waterfall as one picture."""
    run = RunView(result)
    with _figure((11.0, 5.4)) as figure:
        top = _summary(figure, run, gates)
        grid = GridSpec(2, 2, figure=figure, width_ratios=(1.7, 1.0), height_ratios=(3.0, 1.0))
        grid.update(left=0.085, right=0.965, bottom=0.07, top=top, hspace=0.14, wspace=0.35)
        above = figure.add_subplot(grid[0, 0])
        below = figure.add_subplot(grid[1, 0], sharex=above)
        above.tick_params(labelbottom=False)
        _equity(above, run)
        _drawdown(below, run)
        _waterfall(figure.add_subplot(grid[:, 1]), run)
        return _png(figure)


def tear_sheet_pdf(result: RunResult, gates: Sequence[Verdict] = ()) -> bytes:
    """A tear sheet on A4 pages: the summary, risk, components and months, and what it rests on."""
    run = RunView(result)
    sink = io.BytesIO()
    facts = {"Title": f"{result.mode} {result.run_id}", "CreationDate": None, "Producer": None}
    with PdfPages(sink, metadata=facts) as pages:
        with _figure(A4) as figure:
            _first_page(figure, run, gates)
            pages.savefig(figure)
        with _figure(A4) as figure:
            _risk_page(figure, run)
            pages.savefig(figure)
        for lines in _paged(_text_lines(run, gates)):
            with _figure(A4) as figure:
                _text_page(figure, lines)
                pages.savefig(figure)
    return sink.getvalue()


def comparison_png(entries: Sequence[Entry]) -> bytes:
    """Return of every run since its start, each in its own currency, flows removed."""
    with _figure((9.0, 3.8)) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(0.07, 0.09, 0.72, 0.92)
        for place, (entry, name) in enumerate(zip(entries, names_of(entries), strict=True)):
            word, level = stamp_of(entry.run, entry.gates)
            label = f"{name} · {word}" if level == "alarm" else name
            at = days(entry.run.stamps)
            gain = 100.0 * (entry.run.growth[at] - 1.0)
            axes.plot(_times(entry.run, at), gain, color=light(nth(place)), label=label)
        axes.axhline(0.0, color=light("soft"), linewidth=0.6)
        axes.set(title="Return since the start, %")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        _label_dates(axes)
        return _png(figure)


def _summary(figure: Figure, run: RunView, gates: Sequence[Verdict]) -> float:
    """Name, verdict, warnings and headline figures; gives the height at which they end."""
    inch = 1.0 / figure.get_figheight()
    identity, y = run.result.identity, 1.0 - 0.35 * inch
    figure.text(0.06, y, run.result.mode, fontsize=16, fontweight="bold", va="top")
    word, level = stamp_of(run, gates)
    shade = light(LEVELS[level])
    filled = {"facecolor": shade if level == "alarm" else "none", "edgecolor": shade}
    box = {"boxstyle": "square,pad=0.5", "linewidth": 1.5, **filled}
    ink = "white" if level == "alarm" else shade
    corner = figure.text(0.965, y - 0.05 * inch, word, color=ink, bbox=box, fontweight="bold")
    corner.set(ha="right", va="top")
    window = f"{identity.start:%Y-%m-%d} to {identity.end:%Y-%m-%d} UTC"
    told = f"{window} · {run.money(identity.capital)} {run.currency} · run {run.result.run_id}"
    y -= 0.32 * inch
    figure.text(0.06, y, told, color=light("soft"), va="top")
    y -= 0.25 * inch
    for banner in banners(run, gates)[:SHOWN_BANNERS]:
        text = f"{banner.title}: {banner.text}"
        text = text if len(text) < 130 else f"{text[:128]}…"
        figure.text(0.06, y, text, fontsize=7, va="top", color=light(LEVELS[banner.level]))
        y -= 0.17 * inch
    for place, name in enumerate(HEADLINE):
        x = 0.06 + 0.115 * place
        value = FIGURES[name].written(run.summary.get(name), identity.capital)
        text = FIGURES[name].label
        figure.text(x, y - 0.08 * inch, text, fontsize=7, color=light("soft"), va="top")
        figure.text(x, y - 0.25 * inch, value, fontsize=9.5, fontweight="bold", va="top")
    return y - 0.75 * inch


def _first_page(figure: Figure, run: RunView, gates: Sequence[Verdict]) -> None:
    """The summary, equity, drawdown, attribution over time and in all."""
    grid = GridSpec(
        4,
        2,
        figure=figure,
        left=0.085,
        right=0.965,
        bottom=0.05,
        top=_summary(figure, run, gates),
        height_ratios=(3.0, 1.0, 0.3, 4.2),
        hspace=0.12,
        wspace=0.42,
    )
    above = figure.add_subplot(grid[0, :])
    below = figure.add_subplot(grid[1, :], sharex=above)
    above.tick_params(labelbottom=False)
    _equity(above, run)
    _drawdown(below, run)
    _attribution(figure.add_subplot(grid[3, 0]), run)
    _waterfall(figure.add_subplot(grid[3, 1]), run)


def _risk_page(figure: Figure, run: RunView) -> None:
    """Whatever of exposure, net delta, loan, margins, basis and peg applies, one below another."""
    wanted: list[tuple[str, Callable[[Axes], None]]] = [
        ("Net delta, % of equity", lambda axes: _net_delta(axes, run))
    ]
    if run.is_measured("ltv"):
        wanted.append(("Health factor", lambda axes: _health_factor(axes, run)))
    if run.is_measured("min_margin_ratio"):
        wanted.append(("Margin ratio by venue", lambda axes: _margins(axes, run)))
    if run.risk_by_venue("basis_bp"):
        wanted.append(("Basis by venue, bp of spot", lambda axes: _basis(axes, run)))
    if run.is_measured("peg_deviation"):
        peg = 1e4 * run.column("risk", "peg_deviation")
        wanted.append(
            ("Peg deviation, bp", lambda axes: _series(axes, run, peg, "series-3", "peg"))
        )
    for place, (title, draw) in enumerate(wanted):
        axes = figure.add_subplot(5, 1, place + 1)
        axes.set_title(title)
        draw(axes)
        _mark(axes, run)
        _label_dates(axes)
    figure.subplots_adjust(0.085, 0.05, 0.965, 0.955, hspace=0.4)


def _equity(axes: Axes, run: RunView) -> None:
    for place, (name, growth) in enumerate(run.benchmarks.items()):
        values = run.benchmark_equity(growth)
        _series(axes, run, values, f"benchmark-{place % 2}", name, linestyle="--")
    _series(axes, run, run.column("equity", "equity"), "accent", "this run", linewidth=1.5)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.set_title(f"Equity, {run.currency}")
    _mark(axes, run)
    axes.legend(**ABOVE)


def _drawdown(axes: Axes, run: RunView) -> None:
    down = -100.0 * run.column("equity", "drawdown")
    at = extremes(down)
    axes.fill_between(_times(run, at), down[at], color=light("bad"), alpha=0.3, linewidth=0.0)
    axes.set_ylabel("drawdown, %")
    _mark(axes, run)
    _label_dates(axes)


def _attribution(axes: Axes, run: RunView) -> None:
    """Cumulative components, gains stacked above zero, losses below; price legs netted."""
    at = days(run.stamps)
    times = _times(run, at)
    names = [n for n in _NETTED if (run.cumulative[n] != 0.0).any()]
    for clip in (np.maximum, np.minimum):
        parts = [clip(run.cumulative[name][at], 0.0) for name in names]
        axes.stackplot(times, *parts, colors=[light(name) for name in names], linewidth=0.0)
    axes.plot(times, run.cumulative["total"][at], color=light("total"), linewidth=1.8)
    axes.set_title(f"Cumulative profit and loss, {run.currency}")
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    _label_dates(axes)


_NETTED = (*COMPONENTS[:5], "basis", *COMPONENTS[7:])


def _waterfall(axes: Axes, run: RunView) -> None:
    parts = dict(run.summary["attribution"])
    parts["basis"] = parts["spot_price"] + parts["perp_price"]
    names = [name for name in _NETTED if parts[name] != 0.0]
    values = np.array([parts[name] for name in names] + [run.summary["pnl"]])
    starts = np.concatenate([[0.0], np.cumsum(values[:-1])[:-1], [0.0]]) if names else np.zeros(1)
    colours = [light(name) for name in names] + [light("total")]
    axes.barh([*names, "profit and loss"], values, left=starts, color=colours, height=0.6)
    for place, (start, value) in enumerate(zip(starts, values, strict=True)):
        end = start + value
        text = f" {'+' if value > 0 else ''}{run.money(float(value))} "
        axes.text(end, place, text, ha="left" if value >= 0 else "right", va="center", fontsize=7)
    axes.invert_yaxis()
    low, high = min(0.0, *(starts + values)), max(0.0, *(starts + values))
    room = 0.4 * ((high - low) or 1.0)
    axes.set_xlim(low - room, high + room)
    axes.axvline(0.0, color=light("soft"), linewidth=0.6)
    axes.grid(visible=False)
    axes.set_title(f"From zero to the profit and loss, {run.currency}")
    axes.tick_params(axis="x", labelbottom=False, bottom=False)


def _net_delta(axes: Axes, run: RunView) -> None:
    delta = 100.0 * run.column("risk", "net_delta_ratio")
    _series(axes, run, delta, "series-2", "net delta")
    for key, colour in (("rebalance.delta_band", "warn"), ("gates.max_abs_delta", "bad")):
        value = setting(run, key)
        if value is not None:
            for edge in (-100.0 * value, 100.0 * value):
                axes.axhline(edge, color=light(colour), linestyle="--", linewidth=0.8)


def _health_factor(axes: Axes, run: RunView) -> None:
    _series(axes, run, run.column("risk", "health_factor"), "series-2", "health factor")
    _floor(axes, 1.0, "alarm", "liquidation below 1")
    _floor(axes, setting(run, "gates.min_health_factor"), "bad", "gate")
    axes.legend(**ABOVE)


def _margins(axes: Axes, run: RunView) -> None:
    for place, (venue, ratio) in enumerate(run.risk_by_venue("margin_ratio").items()):
        _series(axes, run, ratio, nth(place), venue)
    for floor in sorted(set(maintenance(run).values())):
        _floor(axes, floor, "alarm", "maintenance")
    _floor(axes, setting(run, "rebalance.margin_ratio.min"), "warn", "rebalance")
    _floor(axes, setting(run, "gates.min_margin_ratio"), "bad", "gate")
    axes.legend(**ABOVE)


def _basis(axes: Axes, run: RunView) -> None:
    for place, (venue, basis) in enumerate(run.risk_by_venue("basis_bp").items()):
        _series(axes, run, basis, nth(place), venue, linewidth=0.7)
    axes.legend(**ABOVE)


def _floor(axes: Axes, value: float | None, colour: str, label: str) -> None:
    if value is not None:
        axes.axhline(value, color=light(colour), linestyle="--", linewidth=0.8, label=label)


def _series(
    axes: Axes, run: RunView, values: Floats, colour: str, label: str, **options: Any
) -> None:
    shown = np.where(np.isfinite(values), values, np.nan)
    at = extremes(shown)
    axes.plot(_times(run, at), shown[at], color=light(colour), label=label, **options)


def _mark(axes: Axes, run: RunView) -> None:
    """Shade repaired hours, draw a line at every liquidation."""
    if run.shades:
        ends = date2num(np.array(run.shades).astype("datetime64[ns]"))
        across = axes.get_xaxis_transform()
        widths = [(first, last - first) for first, last in ends]
        axes.broken_barh(
            widths, (0.0, 1.0), color=light("repaired"), alpha=0.18, linewidth=0.0, transform=across
        )
    for stamp in run.liquidated_at:
        axes.axvline(date2num(np.datetime64(stamp, "ns")), color=light("alarm"), linewidth=1.2)


def _text_lines(run: RunView, gates: Sequence[Verdict]) -> list[str]:
    """Components, months, gates, data and identity in columns of even width."""
    identity = run.result.identity
    lines = [f"COMPONENTS, {run.currency}", ""]
    for row in attribution_rows(run):
        indent = "  " if row["kind"] == "part" else ""
        name = indent + row["name"]
        lines.append(f"{name:<24}{row['text']:>18}{row['share']:>14}")
    total = percent(run.summary["pnl"] / identity.capital, 3)
    lines += [f"{'profit and loss':<24}{run.money(run.summary['pnl']):>18}{total:>14}", ""]
    lines += ["RETURN BY MONTH, %", "", f"{'year':<6}" + "".join(f"{m:>7}" for m in MONTHS)]
    for year, own in run.month_matrix.iterrows():
        values = [("" if np.isnan(value) else f"{100.0 * value:.2f}") for value in own.iloc[:12]]
        lines.append(f"{year:<6}" + "".join(f"{value:>7}" for value in values))
    lines += ["", "GATES", ""]
    lines += [f"{gate.status:<8}{gate.check:<28}{gate.message}"[:104] for gate in in_order(gates)]
    lines += [] if gates else ["No gate verdict is recorded for this run."]
    lines += ["", "DATA, SHA256", ""]
    for name, digest in sorted(identity.data_hashes.items()):
        hours = int(run.repaired_by_dataset[name].sum()) if name in run.repaired_by_dataset else 0
        lines.append(f"{name:<28}{digest}{f'  {hours} h' if hours else ''}")
    lines += ["", "IDENTITY", "", f"{'run':<28}{run.result.run_id}"]
    return [
        *lines,
        f"{'configuration':<28}{identity.config_hash}",
        f"{'engine':<28}{identity.engine_version}",
    ]


def _paged(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(lines), LINES_A_PAGE):
        yield lines[first : first + LINES_A_PAGE]


def _text_page(figure: Figure, lines: Sequence[str]) -> None:
    text = "\n".join(lines)
    figure.text(0.06, 0.955, text, family="monospace", fontsize=7.2, va="top", linespacing=1.55)


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[Figure]:
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=size, dpi=DOTS)


def _times(run: RunView, at: Places) -> NDArray[np.datetime64]:
    times: NDArray[np.datetime64] = run.stamps[at].astype("datetime64[ns]")
    return times


def _label_dates(axes: Axes) -> None:
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()
