"""`basis data sample` and `basis data audit`: sample data, and what a data directory holds."""

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
    open_settings,
    project_configs,
    require_data,
    settings_of,
    window_of,
)
from basis_pipeline.errors import CommandError
from basis_pipeline.verdict import Status

if TYPE_CHECKING:
    from basis_pipeline.market.audit import FeedAudit

Form = Annotated[
    Literal["table", "json", "markdown", "html"],
    typer.Option("--format", help="A table to read, or a document; html has the charts."),
]


def sample(
    out: Annotated[Path, typer.Option(help="Directory to write; an earlier sample is replaced.")],
    days: Annotated[int, typer.Option(help="Length in days, 60 or more.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed gives another market.")] = 1,
    start: Annotated[str, typer.Option(help="First day.")] = "2024-01-01",
) -> None:
    """Write generated sample data for every raw feed, in its real layout.

    The same options give the same bytes.

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
    """Show what a data directory holds: one line per feed, with a verdict.

    Each feed is read and its dataset built, over its own span or over the window given. PASS: used
    as read. WARN: repaired, unusual, or different from another source. FAIL: rejected. N/A: no
    file. Exit code 1 when a feed FAILs.

    As html or markdown it also lists every gap and what filled it, repairs, outliers and the
    spreads between venues; html draws them, with a calendar of the days each feed covers.

    Example: basis data audit --format html --out audit.html
    """
    settings, configs = settings_of(data_dir, None, start, end), project_configs()
    require_data(settings)
    if out:
        open_settings("basis data audit --out")
    with screen.progress(1) as advance:
        advance("reading every feed")
        from basis_pipeline.market.audit import audit as audit_feeds
        from basis_pipeline.market.audit import audit_table
        from basis_pipeline.reports.audit_tables import audit_markdown

        window = window_of(settings) if start or end else None
        audits = audit_feeds(settings.data_dir, configs.datasets.values(), configs.venues, window)
    span = f"{window} UTC" if window else "each feed over its own span"
    what = f"{settings.data_dir.name}: {span}"
    match form:
        case "json":
            document = audit_table(audits).to_json(orient="records", date_format="iso", indent=2)
            screen.deliver(document + "\n", out)
        case "markdown":
            screen.deliver(audit_markdown(audits, what), out)
        case "html":
            from basis_pipeline.reports.data_audit import data_audit_html
            from basis_pipeline.reports.page import Provenance

            provenance = Provenance.now(environment=settings.environment)
            screen.deliver(data_audit_html(audits, what, provenance), out)
        case "table" if out is None:
            _show(audits, screen.console())
        case "table":
            screen.deliver(screen.as_text(lambda text: _show(audits, text)), out)
    if any(audit.verdict is Status.FAIL for audit in audits):
        raise typer.Exit(1)


def _show(audits: "Sequence[FeedAudit]", console: Console) -> None:
    from basis_pipeline.market.audit import count_verdicts
    from basis_pipeline.reports.audit_tables import contents_table, feeds_table

    feeds, contents = feeds_table(audits), contents_table(audits)
    titles = ["feed", "verdict", *map(str, contents.titles[1:9]), "reasons"]
    rows = [
        [*map(str, (*row[:2], *held[1:9])), audit.message if audit.error else str(row[2])]
        for audit, row, held in zip(audits, feeds.rows, contents.rows, strict=True)
    ]
    console.print(screen.table("", titles, rows))
    numbers = [f"{count} {status.value}" for status, count in count_verdicts(audits).items()]
    console.print(f"{len(audits)} feeds: {', '.join(numbers)}", soft_wrap=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(
            "API-001", f"{text!r} is not a date", where="--start", available="2024-01-01"
        ) from None
