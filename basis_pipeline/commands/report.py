"""`basis report`: write pages of recorded runs to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import ResultsDir, open_settings
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.results.store import RunResult
    from basis_pipeline.settings import Settings
    from basis_pipeline.verdict import Verdict

RUN_HELP = "Name or directory of a run, or a mode for its latest recorded run."
Out = Annotated[Path, typer.Option(help="File to write.")]


def tear_sheet(
    run: Annotated[str, typer.Argument(help=RUN_HELP)],
    out: Out,
    form: Annotated[
        Literal["html", "pdf", "png"],
        typer.Option(
            "--format", help="html: a page; pdf: printed by Chromium; png: the equity as a picture."
        ),
    ] = "html",
    results_dir: ResultsDir = None,
) -> None:
    """Write the tear sheet of one run.

    Example: basis report tear-sheet btc_basis --out btc_basis.pdf --format pdf
    """
    settings = open_settings("basis report tear-sheet", results_dir)
    with screen.progress(1) as advance:
        advance(f"tear sheet of {run}")
        result, verdicts = stored_run(run, settings)
        if form == "png":
            from basis_pipeline.reports.static_figures import equity_png

            content = equity_png(result)
        else:
            from basis_pipeline.reports.page import Provenance
            from basis_pipeline.reports.print_pdf import page_pdf
            from basis_pipeline.reports.tear_sheet import tear_sheet_html
            from basis_pipeline.results.database.runs import directory_of
            from basis_pipeline.results.origin import read_origin

            provenance = Provenance.now(environment=settings.environment)
            origin = read_origin(directory_of(settings.results_db_url, run))
            html = tear_sheet_html(result, verdicts, provenance, origin)
            content = page_pdf(html) if form == "pdf" else html.encode()
        screen.write(out, content)
    screen.echo(f"Run {result.run_id}: {out}")


def compare(
    runs: Annotated[list[str], typer.Argument(help=f"Two or more. {RUN_HELP}")],
    out: Out,
    rank_by: Annotated[str, typer.Option(help="The figure of the summary to rank by.")] = "apy",
    results_dir: ResultsDir = None,
) -> None:
    """Compare runs with the first, component by component.

    Example: basis report compare eth_basis btc_basis --out comparison.html --rank-by sharpe
    """
    from basis_pipeline.reports.comparison import RANKS, Entry, comparison_html
    from basis_pipeline.reports.page import Provenance

    if rank_by not in RANKS:
        what = f"runs cannot be ranked by {rank_by!r}"
        raise CommandError("API-001", what, where="--rank-by", available=", ".join(RANKS))
    if len(runs) < 2:
        raise CommandError("API-001", "a comparison needs at least two runs")
    settings = open_settings("basis report compare", results_dir)
    with screen.progress(1) as advance:
        advance("comparison")
        entries = [Entry(*stored_run(run, settings)) for run in runs]
        provenance = Provenance.now(environment=settings.environment)
        html = comparison_html(entries, provenance, rank_by=rank_by, reference=True)
        screen.write(out, html.encode())
    screen.echo(f"{len(runs)} runs: {out}")


def signoff(
    period: Annotated[str, typer.Option(help="A month: 2024-06.")],
    out: Annotated[Path, typer.Option(help="Directory for the page, its PDF and manifest.")],
    results_dir: ResultsDir = None,
) -> None:
    """Bundle a month for signature: a page, its PDF, and a manifest of hashes.

    Results, gates, data, limits, waivers, versions and hashes of the latest recorded run of every
    mode with hours in the month, with a block for names and dates.

    Example: basis report signoff --period 2024-06 --out signed
    """
    from basis_pipeline.operations.signoff import sign_off

    settings = open_settings("basis report signoff", results_dir)
    with screen.progress(1) as advance:
        advance(f"sign-off of {period}")
        files = sign_off(settings, period, out)
    screen.echo(f"Sign-off {period}: {', '.join(str(file) for file in files.values())}")


def verify(
    file: Annotated[Path, typer.Argument(help="The page, the PDF or the manifest.")],
    results_dir: ResultsDir = None,
) -> None:
    """Compare a sign-off with its manifest: page, PDF and runs. Exit code 1 when one differs.

    Example: basis report verify signed/signoff-2024-06.html
    """
    from basis_pipeline.operations.signoff import verify_signoff

    found = verify_signoff(file, open_settings("basis report verify", results_dir))
    for what, difference in found.items():
        screen.echo(f"{what}: {difference or 'matches'}")
    if any(found.values()):
        raise typer.Exit(1)


def stored_run(run: str, settings: "Settings") -> "tuple[RunResult, list[Verdict]]":
    """Read a run and its stored verdicts; an empty list where it has none.

    Raises
    ------
    CommandError: API-001 when there is no such run. ResultsError: RS-003 when a file differs.
    """
    from basis_pipeline.errors import ResultsError
    from basis_pipeline.results.database.runs import directory_of
    from basis_pipeline.results.store import read_run, read_verdicts

    try:
        directory = directory_of(settings.results_db_url, run)
        return read_run(directory), read_verdicts(directory)
    except ResultsError as error:
        if error.code != "RS-002":
            raise
        raise CommandError(
            "API-001", error.what, where="RUN", available=error.available, action="basis run"
        ) from error
