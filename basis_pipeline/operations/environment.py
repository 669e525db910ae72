"""Gates of the environment: are the settings whole, and can what they name be read and written."""

import tempfile
from collections.abc import Iterator

from basis_pipeline.errors import BasisError, ConfigError
from basis_pipeline.market.quality import QualityResult, Severity
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.settings import FIELDS, Settings

PHASE = 1
# Check → severity and what it asks.
CHECKS: dict[str, tuple[Severity, str]] = {
    "settings": ("ERROR", "every setting is given and valid"),
    "directories": ("ERROR", "raw files can be read, results and their database written"),
}


def environment_checks(settings: Settings | ConfigError) -> list[QualityResult]:
    """Evaluate every check of `CHECKS`; without settings nothing is known of the directories."""
    if isinstance(settings, BasisError):
        told: dict[str, float | int | str] = {"code": settings.code, "where": settings.where}
        refused = QualityResult("settings", False, "ERROR", str(settings), told, phase=PHASE)
        unknown = "not evaluated: there are no settings"
        directories = QualityResult(
            "directories", False, "ERROR", unknown, evaluated=False, phase=PHASE
        )
        return [refused, directories]
    window = f"{settings.data_start_date:%Y-%m-%d %H:%M} … {settings.data_end_date:%Y-%m-%d %H:%M}"
    given: dict[str, float | int | str] = {"settings": len(FIELDS), "window": window}
    told_of_all = f"{len(FIELDS)} settings, window {window}"
    whole = QualityResult("settings", True, "ERROR", told_of_all, given, phase=PHASE)
    problems = list(_unusable(settings))
    told_of_places = "; ".join(problems) or CHECKS["directories"][1]
    places: dict[str, float | int | str] = {
        "data_dir": str(settings.data_dir),
        "results_dir": str(settings.results_dir),
        "problems": len(problems),
    }
    usable = QualityResult(
        "directories", not problems, "ERROR", told_of_places, places, phase=PHASE
    )
    return [whole, usable]


def _unusable(settings: Settings) -> Iterator[str]:
    try:
        next(settings.data_dir.iterdir(), None)
    except OSError as error:
        yield f"raw files cannot be read: {error.strerror}: {settings.data_dir}"
    database = sqlite_file(settings.results_db_url)
    places = (settings.results_dir, database.parent if database else settings.results_dir)
    for directory in dict.fromkeys(places):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Only writing tells: rights, a full disk and a read-only mount look alike before.
            with tempfile.TemporaryFile(dir=directory) as file:
                file.write(b"basis")
        except OSError as error:
            yield f"results cannot be written: {error.strerror}: {directory}"
