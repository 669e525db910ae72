"""A sign-off agrees with the runs, and shows later whether anything has changed."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from basis_pipeline.errors import CommandError
from basis_pipeline.operations.signoff import runs_of, sign_off, verify_signoff
from basis_pipeline.operations.waivers import waive
from basis_pipeline.reports.print_pdf import BROWSERS
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.definitions import percent
from basis_pipeline.results.origin import Origin
from basis_pipeline.settings import Settings, load_settings
from basis_pipeline.verdict import judge
from tests.results.made_run import make_run

DEEP = judge("drawdown_limit", "ERROR", False, "too deep", measured=0.2, limit=0.1).at(
    asset="backtest/simulation", mode="eth_basis", phase=3
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A place with one recorded run that failed a gate, and a waiver of it."""
    place = tmp_path_factory.mktemp("signed")
    found = load_settings({}, results_dir=place / "results", data_dir=place / "data")
    archive = Archive(found.results_dir, found.results_db_url)
    gate = DEEP.at(mode=make_run().mode)
    assert archive.keep(make_run(), [gate], Origin.of(place)) is None
    soon = datetime.now(UTC) + timedelta(hours=2)
    waive(found, [gate], gate.check, by="Ann", reason="accepted by risk", until=soon)
    return found


@pytest.fixture(scope="module")
def files(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sign-off of the month; skipped where nothing prints."""
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium on this machine")
    return sign_off(settings, "2024-06", tmp_path_factory.mktemp("out") / "deep")


def test_the_page_holds_what_is_signed(settings: Settings, files: dict[str, Path]) -> None:
    """Return of the month, identity, the waiver and a block for names; the print is a PDF."""
    (signed,) = runs_of(settings, "2024-06")
    html = files["html"].read_text()
    june = next(m for m in signed.run.summary["months"] if m["month"] == "2024-06")
    for text in (
        percent(june["return"]),
        signed.result.run_id,
        signed.result.identity.data_hash[:16],
        "accepted by risk",
        "Names and dates",
        "WAIVED",
    ):
        assert text in html
    assert len(html) < 3e6
    assert files["pdf"].read_bytes().startswith(b"%PDF")


def test_verify_finds_what_was_changed(settings: Settings, files: dict[str, Path]) -> None:
    """Nothing at first; then the page, the run, a missing print, a missing manifest."""
    found = verify_signoff(files["pdf"], settings)
    assert len(found) == 3
    assert not any(found.values())
    whole = files["html"].read_bytes()
    files["html"].write_bytes(whole + b" ")
    assert (
        verify_signoff(files["json"], settings)["signoff-2024-06.html"] == "differs from its hash"
    )
    files["html"].write_bytes(whole)
    run = json.loads(files["json"].read_text())["runs"][0]
    table = settings.results_dir / "runs" / run["run_id"] / "equity.parquet"
    kept = table.read_bytes()
    table.write_bytes(kept[:-1])
    assert (
        "RS-003" in verify_signoff(files["html"], settings)[f"run {run['run_id']} ({run['mode']})"]
    )
    table.write_bytes(kept)
    with pytest.raises(CommandError, match="no manifest"):
        verify_signoff(Path("nowhere.html"), settings)


def test_a_place_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    """API-002 before anything is made."""
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="the sign-off cannot be written") as rejected:
        sign_off(settings, "2024-06", tmp_path / "file" / "out")
    assert (rejected.value.code, rejected.value.where) == ("API-002", str(tmp_path / "file/out"))


@pytest.mark.parametrize(("period", "what"), [("June", "not a month"), ("2019-01", "no recorded")])
def test_a_month_without_runs_is_rejected(settings: Settings, period: str, what: str) -> None:
    """Nothing is written."""
    with pytest.raises(CommandError, match=what):
        sign_off(settings, period, settings.results_dir / "none")
    assert not (settings.results_dir / "none").exists()
