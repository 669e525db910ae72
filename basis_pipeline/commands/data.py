"""`basis data`: sample data, and what a data directory holds."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    DataDir,
    End,
    Start,
    project_configs,
    require_data,
    settings_of,
    window_of,
)
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.market.audit import AuditLine

VERDICTS = ("PASS", "WARN", "FAIL", "ABSENT")
AUDIT = (
    "family",
    "first",
    "last",
    ">files",
    ">rows",
    ">holes",
    ">longest, h",
    ">duplicates",
    ">outliers",
    "verdict",
    "what to know",
)


Form = Annotated[
    Literal["table", "json", "markdown", "html"],
    typer.Option("--format", help="A table to read, or a document; html has the pictures."),
]


def sample(
    out: Annotated[Path, typer.Option(help="Directory to write; an earlier sample is replaced.")],
    days: Annotated[int, typer.Option(help="Length in days, 60 or more.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed gives another market.")] = 1,
    start: Annotated[str, typer.Option(help="First day.")] = "2024-01-01",
) -> None:
    """Write every raw family in its real layout: generated, the same bytes for the same options.

    Plausible levels and correlations, four crises (a funding flip, a depeg, a gas spike, a 30 %
    day) and a few marked defects that the repairs handle. SAMPLE_DEFECTS.json lists them.
    """
    first = _day(start)
    with screen.progress(1) as advance:
        advance("sample data")
        from basis_pipeline.market.sample import write_sample

        paths = write_sample(out, seed=seed, days=days, start=first)
    screen.echo(f"{len(paths)} files below {out}")


def audit(
    data_dir: DataDir = None,
    start: Start = None,
    end: End = None,
    form: Form = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the screen.")
    ] = None,
) -> None:
    """Say what lies in a data directory: one line a family, with a verdict.

    Each family is read and its dataset built, over its own span or over the window given. PASS: as
    landed. WARN: repaired, or unusual. FAIL: refused. ABSENT: no file. Exit code 1 when one FAILs.

    As html or markdown it also tells every hole and what filled it, repairs, outliers and the
    spreads between venues; html draws them, with a calendar of the days each family covers.

    Example: basis data audit --format html --out audit.html
    """
    settings, configs = settings_of(data_dir, None, start, end), project_configs()
    require_data(settings)
    with screen.progress(1) as advance:
        advance("reading every family")
        from basis_pipeline.market.audit import audit_line, audit_table, examine_all

        window = window_of(settings) if start or end else None
        examined = examine_all(settings.data_dir, configs.datasets.values(), window)
        lines = [audit_line(found) for found in examined]
    match form:
        case "json":
            document = audit_table(lines).to_json(orient="records", date_format="iso", indent=2)
            screen.deliver(document + "\n", out)
        case "table" if out is None:
            _show(lines, screen.console())
        case "table":
            screen.deliver(screen.on_paper(lambda paper: _show(lines, paper)), out)
        case _:
            from basis_pipeline.operations.data_report import (
                audit_html,
                audit_markdown,
                evidence_of,
            )

            span = f"{window} UTC" if window else "each family over its own span"
            evidence = evidence_of(examined, configs.venues)
            write = audit_html if form == "html" else audit_markdown
            screen.deliver(write(evidence, f"{settings.data_dir.name}: {span}"), out)
    if any(line.verdict == "FAIL" for line in lines):
        raise typer.Exit(1)


def _show(lines: "Sequence[AuditLine]", console: Console) -> None:
    rows = []
    for line in lines:
        span = [f"{stamp:%Y-%m-%d %H:%M}" if stamp else "" for stamp in (line.first, line.last)]
        holes = (line.holes, line.longest_hole_hours)
        counted = (line.files, line.rows, *holes, line.exact_duplicates, line.outliers)
        cells = [screen.number(count, 0) for count in counted]
        rows.append([line.family, *span, *cells, line.verdict, line.message])
    console.print(screen.table("", AUDIT, rows))
    told = [f"{sum(line.verdict == verdict for line in lines)} {verdict}" for verdict in VERDICTS]
    console.print(f"{len(lines)} families: {', '.join(told)}", soft_wrap=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(
            "API-001", f"{text!r} is no day", where="--start", available="2024-01-01"
        ) from None
