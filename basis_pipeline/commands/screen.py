"""What commands print: tables on stdout, progress and errors on stderr."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from basis_pipeline.errors import BasisError, CommandError
from basis_pipeline.files import write_atomically
from basis_pipeline.verdict import WORST_FIRST, Verdict, input_warnings, tally

PLAIN_WIDTH = 160  # where there is no terminal
DASH = "–"
COLOURS = {
    "PASS": "green",
    "WARN": "yellow",
    "FAIL": "red",
    "WAIVED": "yellow",
    "BLOCKED": "red",
    "NOT RUN": "dim",
}

Advance = Callable[[str], None]


def console() -> Console:
    """Return standard output, wide enough for tables when it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def echo(text: str) -> None:
    """Print one line without wrapping it: paths stay whole."""
    console().print(escape(text), soft_wrap=True)


def deliver(document: str, out: Path | None) -> None:
    """Print a document, or write it to `out`. Raises CommandError, as `write`."""
    if out is None:
        print(document, end="")
    else:
        write(out, document.encode())


def write(out: Path, content: bytes) -> None:
    """Write a report, completely or not at all. Raises CommandError: API-002."""
    try:
        write_atomically(out, content)
    except OSError as error:
        what = f"the report cannot be written: {error.strerror}"
        raise CommandError("API-002", what, where=str(out)) from error


def echo_error(error: BasisError | str) -> None:
    """Print one message on stderr; an error as a block with one line per part."""
    message = error.block() if isinstance(error, BasisError) else error
    Console(stderr=True, highlight=False).print(escape(message), soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table with coloured verdicts; columns whose name starts with > are right-aligned."""
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for place, column in enumerate(columns):
        justify: JustifyMethod = "right" if column[0] == ">" else "left"
        made.add_column(column.lstrip(">"), justify=justify, no_wrap=place < len(columns) - 1)
    for row in rows:
        made.add_row(
            *(f"[{COLOURS[cell]}]{cell}[/]" if cell in COLOURS else escape(cell) for cell in row)
        )
    return made


def show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print every verdict that has not passed, the worst first, and the number of each."""
    for verdict in sorted(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.status)):
        if not verdict.passed:
            echo(f"{verdict.status.value:4}  {verdict.name}: {verdict.message}")
    echo(f"Gates: {tally(verdicts)}")


def show_input_warnings(verdicts: Iterable[Verdict]) -> None:
    """Print one line that names the inputs with warnings, if there are any."""
    if line := input_warnings(verdicts):
        echo(line)


def show_not_annualised(summary: Mapping[str, Any]) -> None:
    """Say why annual figures are missing, if they are."""
    if reason := summary.get("not_annualised"):
        echo(f"Not annualised: {reason}.")


def as_text(draw: Callable[[Console], None]) -> str:
    """Return what `draw` prints on a console, as text for a file."""
    text = io.StringIO()
    draw(Console(file=text, width=PLAIN_WIDTH, highlight=False))
    return text.getvalue()


def number(value: float | None, digits: int = 2) -> str:
    """Format a number with thousands separators; a dash where it is not defined."""
    return DASH if value is None else f"{value:z,.{digits}f}"


def percent(share: float | None) -> str:
    """Format a share as a percentage; a dash where it is not defined."""
    return DASH if share is None else f"{100.0 * share:z.2f} %"


def headlines(summary: Mapping[str, Any]) -> list[str]:
    """Return the cells of `HEADLINES` for a run."""
    lending = (summary.get("benchmarks") or {}).get("lending", {})
    return [
        str(summary["share_class"]),
        number(summary["final_equity"]),
        number(summary["closed_equity"]),
        "not annualised" if summary.get("not_annualised") else percent(summary["apy"]),
        percent(lending.get("apy")),
        percent(summary["max_drawdown"]),
        number(summary["rebalances"], 0),
        number(summary["liquidations"], 0),
    ]


HEADLINES = (
    "class",
    ">equity",
    ">closed",
    ">APY",
    ">lending APY",
    ">max drawdown",
    ">rebalances",
    ">liquidations",
)


@contextmanager
def progress(total: int, *, lines: bool = False) -> Iterator[Advance]:
    """Show a bar on stderr; yield a function that starts the next of `total` pieces of work.

    lines: where stderr is not a terminal, print a line for each piece instead.

    Dagster captures file descriptor 2 while a step runs, so the bar draws on a copy of it.
    """
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as screen:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
        )
        drawn = Console(file=screen)
        with Progress(*columns, console=drawn, disable=not drawn.is_terminal) as bar:
            task = bar.add_task("", total=total)
            begun = 0

            def advance(label: str) -> None:
                nonlocal begun
                bar.update(task, completed=begun, description=escape(label))
                begun += 1
                if lines and not drawn.is_terminal:
                    print(f"[{begun}/{total}] {label}", file=screen, flush=True)

            yield advance
            bar.update(task, completed=total)


@contextmanager
def counter(total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on stderr; yield a function of the number done of `total`, and a remark."""
    counted = TextColumn("{task.completed:,.0f}/{task.total:,.0f}")
    columns = (counted, BarColumn(), TextColumn("{task.description}"))
    drawn = Console(stderr=True)
    with Progress(*columns, console=drawn, disable=not drawn.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, remark: bar.update(task, completed=done, description=escape(remark))


@contextmanager
def bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """Show a bar on stderr for each of several tasks, from any thread; lines where it is a pipe.

    Yield a function that takes the task's name, its next piece, the number done and the total.
    """
    columns = (
        TextColumn("{task.fields[name]}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.description}"),
        TimeElapsedColumn(),
    )
    drawn = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=drawn, disable=not drawn.is_terminal) as bar:

        def advance(name: str, piece: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task("", total=total, name=escape(name))
            bar.update(tasks[name], description=escape(piece), completed=done, total=total)
            if piece and not drawn.is_terminal:
                print(f"[{done + 1}/{total}] {name} {piece}", file=sys.stderr, flush=True)

        yield advance
