"""`basis data fetch`: fetch raw files from the sources in their dataset files."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import interrupts, screen
from basis_pipeline.commands.options import DataDir, project_configs, settings_of
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.settings import config_directory
from basis_pipeline.times import parse_hour
from basis_pipeline.verdict import Status

if TYPE_CHECKING:
    from basis_pipeline.market.fetch.feed import Fetched

# A settlement of the last hour may be stamped some milliseconds after it.
LATE = timedelta(minutes=1)


def fetch(
    feeds: Annotated[
        list[str] | None, typer.Argument(help="Feeds; default: all that have a source.")
    ] = None,
    data_dir: DataDir = None,
    since: Annotated[
        str | None, typer.Option(help="First month, by a date in it; default: the source's own.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Last hour; a date means its 00:00. Default: now."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show what would be fetched, and fetch nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Fetch complete months again too, and compare.")
    ] = False,
    accept_revisions: Annotated[
        bool, typer.Option(help="Fetch again, and take the values that a source has revised.")
    ] = False,
) -> None:
    """Fetch raw files: what is missing of each feed that has a `source` in its dataset file.

    Months that have ended are fetched once; the current one grows with every fetch. A value that
    has changed at the source is reported and kept beside the stored one. What was fetched before a
    failure is kept, and the next fetch continues from there. Exit code 1 when a feed failed.

    Example: basis data fetch binance_btcusdt_perp --since 2024-06-01 --data-dir data/own --dry-run
    """
    from basis_pipeline.market.fetch.feed import Request, fetch_feeds, plan, require_sources
    from basis_pipeline.operations.control import require_not_shut_down

    settings, configs = settings_of(data_dir), project_configs()
    require_not_shut_down(settings, "basis data fetch")
    wanted = require_sources(configs.datasets, feeds or ())
    request = Request(
        now=datetime.now(UTC),
        since=parse_hour(since) if since else None,
        until=parse_hour(until) + LATE if until else None,
        verify=verify,
        accept=accept_revisions,
    )
    if dry_run:
        for config in wanted:
            pieces = plan(config, settings, request)
            planned = f"{len(pieces)}: {_shortened(pieces)}" if pieces else "nothing: complete"
            screen.echo(f"{config.name}  {planned}")
        return
    limits = load_automation_limits(config_directory()).fetch
    with screen.bars() as advance:
        fetched = interrupts.interruptible(
            lambda: fetch_feeds(wanted, settings, limits, request, advance), lambda: None
        )
    _show(fetched)
    if any(one.error for one in fetched.values()):
        raise typer.Exit(1)


def _shortened(pieces: list[str]) -> str:
    return pieces[0] if len(pieces) == 1 else f"{pieces[0]} to {pieces[-1]}"


def _show(fetched: "Mapping[str, Fetched]") -> None:
    rows = [
        [name, screen.number(one.rows, 0), screen.number(one.files, 0), one.status.value]
        for name, one in fetched.items()
    ]
    screen.console().print(screen.table("", ["feed", ">rows", ">files", "status"], rows))
    for one in fetched.values():
        for warning in one.warnings:
            screen.echo(f"{Status.WARN.value}  {one.feed}: {warning.code}: {warning.what}")
    for one in fetched.values():
        if one.error:
            screen.echo_error(one.error)
