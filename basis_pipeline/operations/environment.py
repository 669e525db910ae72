"""Gates of the environment: settings are valid, and their directories readable and writable."""

import tempfile
from collections.abc import Iterator

from basis_pipeline.config import Configs
from basis_pipeline.errors import BasisError, ConfigError
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.settings import REQUIRED, Settings
from basis_pipeline.verdict import Severity, Verdict, blocked, judge

PHASE = 1
# Check → severity and what it requires.
FILES = "files"
CHECKS: dict[str, tuple[Severity, str]] = {
    FILES: ("ERROR", "every file of configs/ can be read and fits its model"),
    "settings": ("ERROR", "every setting is given and valid"),
    "directories": ("ERROR", "raw files can be read, results and their database written"),
}


def files_check(configs: Configs) -> Verdict:
    """Check the files of `configs/`: a broken one stops only what needs it."""
    errors = [f"{error.code}: {file}: {error.what}" for file, error in configs.broken.items()]
    return judge(
        FILES,
        "ERROR",
        not errors,
        "; ".join(errors) or "every file of configs/ fits its model",
        measured=len(errors),
        limit=0,
        unit="files",
        evidence={"where": ", ".join(configs.broken)} if errors else {},
        phase=PHASE,
    )


def environment_checks(settings: Settings | ConfigError) -> list[Verdict]:
    """Check the settings and, when they are valid, their directories."""
    if isinstance(settings, BasisError):
        error = {"code": settings.code, "where": settings.where}
        invalid = judge("settings", "ERROR", False, str(settings), evidence=error, phase=PHASE)
        unknown = blocked("directories", "ERROR", "there are no settings", phase=PHASE)
        return [invalid, unknown]
    window = f"{settings.data_start_date:%Y-%m-%d %H:%M} … {settings.data_end_date:%Y-%m-%d %H:%M}"
    message = f"{len(REQUIRED)} settings are valid, window {window}"
    whole = judge(
        "settings",
        "ERROR",
        True,
        message,
        evidence={"settings": len(REQUIRED), "window": window},
        phase=PHASE,
    )
    problems = list(_unusable(settings))
    usable = judge(
        "directories",
        "ERROR",
        not problems,
        "; ".join(problems) or CHECKS["directories"][1],
        measured=len(problems),
        limit=0,
        unit="problems",
        evidence={"data_dir": str(settings.data_dir), "results_dir": str(settings.results_dir)},
        phase=PHASE,
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
            # Only a write reveals missing permissions, a full disk or a read-only mount.
            with tempfile.TemporaryFile(dir=directory) as file:
                file.write(b"basis")
        except OSError as error:
            yield f"results cannot be written: {error.strerror}: {directory}"
