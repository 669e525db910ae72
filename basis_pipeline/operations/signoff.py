"""The sign-off of a month: a page, its PDF and a manifest of their hashes.

The manifest also holds the hashes of the runs on the page, so that it can be shown later what was
signed.
"""

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from basis_pipeline.config.control import load_control_limits
from basis_pipeline.errors import CommandError, ResultsError
from basis_pipeline.files import sha256, write_atomically
from basis_pipeline.operations.waivers import read_waivers, waived
from basis_pipeline.reports.page import Provenance
from basis_pipeline.reports.print_pdf import page_pdf
from basis_pipeline.reports.signoff import SignedRun, signoff_html
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import runs as recorded_runs
from basis_pipeline.results.database.runs import verify as verify_record
from basis_pipeline.results.database.tables import RECORDED
from basis_pipeline.results.origin import commit, read_origin
from basis_pipeline.results.store import read_run, read_verdicts, summary_hash, verify_run
from basis_pipeline.settings import Settings, config_directory

LIBRARIES = ("numpy", "pandas", "numba", "dagster", "pyarrow", "scipy")


def sign_off(settings: Settings, period: str, out: Path) -> dict[str, Path]:
    """Write `signoff-PERIOD.html`, `.pdf` and `.json` into a directory; return the files.

    Parameters
    ----------
    period: a month, 2024-06; it shows the latest recorded run of each mode with hours in it.

    Raises
    ------
    CommandError: API-001 for an invalid period, or one without recorded runs; API-002 when it
        cannot be written; API-003 without a Chromium for the PDF. ResultsError: a run differs from
        its hashes.
    """
    runs = runs_of(settings, _month(period))
    if not runs:
        what = f"no recorded run has hours in {period}"
        raise CommandError("API-001", what, where="--period", action="basis run")
    # Checked before the pages are made, which takes a while.
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    provenance = Provenance.now(environment=settings.environment)
    limits = load_control_limits(config_directory())
    html = signoff_html(runs, period, limits, versions(), provenance)
    printed = page_pdf(html)
    files = {form: out / f"signoff-{period}.{form}" for form in ("html", "pdf", "json")}
    contents = {"html": html.encode(), "pdf": printed}
    contents["json"] = _manifest(settings, period, runs, contents, provenance)
    with _writing(out):
        for form, content in contents.items():
            write_atomically(files[form], content)
    return files


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the sign-off cannot be written: {error.strerror}"
        raise CommandError("API-002", what, where=str(error.filename or out)) from error


def runs_of(settings: Settings, period: str) -> list[SignedRun]:
    """Return the latest recorded run of each mode with hours in a month, waivers applied."""
    if (engine := existing(settings.results_db_url)) is None:
        return []
    waivers, found = read_waivers(settings), dict[str, SignedRun]()
    for record in reversed(recorded_runs(engine, status=RECORDED)):
        is_inside = f"{record.start:%Y-%m}" <= period <= f"{record.end:%Y-%m}"
        if record.mode in found or not is_inside:
            continue
        verify_record(record)
        place = Path(record.path)
        signed = SignedRun(
            read_run(place),
            waived(read_verdicts(place), waivers),
            read_origin(place),
            summary_hash(place),
        )
        if signed.month(period) is not None:
            found[record.mode] = signed
    return [found[mode] for mode in sorted(found)]


def versions() -> list[tuple[str, str]]:
    """Return the versions of the program and of its libraries."""
    own = [("basis-pipeline", version("basis-pipeline")), ("commit", commit() or "unknown")]
    libraries = [(name, version(name)) for name in LIBRARIES]
    return [*own, ("python", platform.python_version()), *libraries]


def verify_signoff(file: Path, settings: Settings) -> dict[str, str]:
    """Compare a sign-off with its manifest: page, PDF, and every run on the page.

    Parameters
    ----------
    file: the page, the PDF or the manifest, in the directory of the other two.

    Returns
    -------
    Name of a file or run → what differs; empty where it matches.

    Raises
    ------
    CommandError: API-001 when there is no manifest, or it is damaged.
    """
    path = file.with_suffix(".json")
    try:
        manifest = json.loads(path.read_bytes())
        files, runs = dict(manifest["files"]), list(manifest["runs"])
    except FileNotFoundError:
        raise CommandError("API-001", "there is no manifest", where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError("API-001", "the manifest is damaged", where=str(path)) from error
    found = {name: _differs(path.parent / name, digest) for name, digest in files.items()}
    for run in runs:
        place = settings.results_dir / "runs" / run["run_id"]
        try:
            verify_run(place, run["summary_sha256"])
            found[f"run {run['run_id']} ({run['mode']})"] = ""
        except ResultsError as error:
            found[f"run {run['run_id']} ({run['mode']})"] = str(error)
    return found


def _differs(file: Path, digest: str) -> str:
    try:
        return "" if sha256(file.read_bytes()) == digest else "differs from its hash"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _month(period: str) -> str:
    try:
        return f"{date.fromisoformat(f'{period}-01'):%Y-%m}"
    except ValueError:
        what = f"{period!r} is not a month"
        raise CommandError("API-001", what, where="--period", available="2024-06") from None


def _manifest(
    settings: Settings,
    period: str,
    runs: Sequence[SignedRun],
    contents: dict[str, bytes],
    provenance: Provenance,
) -> bytes:
    entries: list[dict[str, Any]] = [
        {
            "mode": signed.result.mode,
            "run_id": signed.result.run_id,
            "summary_sha256": signed.summary_sha256,
            "data_hash": signed.result.identity.data_hash,
            "config_hash": signed.result.identity.config_hash,
            "engine_version": signed.result.identity.engine_version,
        }
        for signed in runs
    ]
    manifest = {
        "period": period,
        "written_at": provenance.written_at.isoformat(),
        "environment": settings.environment,
        "versions": dict(versions()),
        "files": {f"signoff-{period}.{form}": sha256(own) for form, own in contents.items()},
        "runs": entries,
        "waivers": [waiver.to_json() for waiver in read_waivers(settings)],
    }
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
