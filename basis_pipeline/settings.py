"""The environment of a run: the `BASIS_*` variables, read once and never defaulted.

A variable of the process wins over the environment file; the file is `configs/env/local.env` unless
`BASIS_ENV_FILE` names another. Relative paths in either start at the project's root.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path

from basis_pipeline.errors import ConfigError, PlatformError
from basis_pipeline.masking import masked_text
from basis_pipeline.times import parse_hour

PREFIX = "BASIS_"
ENV_FILE_VARIABLE = "BASIS_ENV_FILE"
ENV_FILE = Path("configs/env/local.env")
SQLITE = "sqlite:///"
POSTGRESQL = "postgresql://"

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_ARGUMENT = "the command's arguments"
_CHOICES = {
    "environment": ("dev", "test", "staging", "production"),
    "deployment_mode": ("local", "docker"),
    "startup_mode": ("backtest",),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "debug": ("true", "false"),
}


class Url(str):
    """A URL whose `repr` hides credentials, so that logs and tracebacks never show them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"\?.*", "?***", masked_text(self)))


class SecretUrl(Url):
    """A URL whose path is a secret too, as that of a webhook: only the place is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.shown)

    @property
    def shown(self) -> str:
        """Scheme and host."""
        return re.sub(r"(//)(?:[^/]*@)?([^/?#]*).*", r"\1\2/***", self)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, every value checked.

    Directories and a SQLite path in `results_db_url` are absolute; the window is in UTC, in whole
    hours, both ends included.
    """

    environment: str
    deployment_mode: str
    startup_mode: str
    data_dir: Path
    results_dir: Path
    results_db_url: Url
    data_start_date: datetime
    data_end_date: datetime
    log_level: str
    debug: bool
    alert_webhook_url: SecretUrl


OPTIONAL = ("alert_webhook_url",)  # a place that alerts may be sent to; nowhere when not given
FIELDS = tuple(field.name for field in fields(Settings) if field.name not in OPTIONAL)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as it was found, and where: what an error needs to say."""

    field: str
    text: str
    base: Path
    where: str

    def refusal(self, problem: str, available: str = "") -> ConfigError:
        name = self.field if self.where == _ARGUMENT else PREFIX + self.field.upper()
        return ConfigError("CONFIG-002", f"{name} {problem}", where=self.where, available=available)

    def choice(self) -> str:
        if self.text not in (allowed := _CHOICES[self.field]):
            raise self.refusal(f"is {self.text!r}", ", ".join(allowed))
        return self.text

    def directory(self) -> Path:
        if not self.text.strip():
            raise self.refusal("is empty")
        return (self.base / Path(self.text).expanduser()).resolve()

    def webhook(self) -> SecretUrl:
        if self.text and not re.match(r"https?://[^/\s]+", self.text):
            raise self.refusal("is no http or https URL")
        return SecretUrl(self.text)

    def hour(self) -> datetime:
        try:
            return parse_hour(self.text)
        except ConfigError as error:
            if self.where == _ARGUMENT:
                raise
            raise self.refusal(f"cannot be read: {error.what}", error.available) from None

    def database(self, results_dir: Path) -> Url:
        text = self.text.replace("${BASIS_RESULTS_DIR}", str(results_dir))
        if text.startswith(POSTGRESQL) and text != POSTGRESQL:
            return Url(text)
        if not text.startswith(SQLITE) or text == SQLITE:
            forms = f"{SQLITE}path/to/runs.sqlite, {POSTGRESQL}user:password@host:port/database"
            raise self.refusal("names no SQLite file and no PostgreSQL database", forms)
        return Url(f"{SQLITE}{(self.base / text.removeprefix(SQLITE)).resolve()}")


def project_root() -> Path:
    """Directory that holds `configs/`: this package's checkout, else the nearest above the caller.

    Raises
    ------
    ConfigError: CONFIG-003 when there is none.
    """
    cwd = Path.cwd()
    checkout = Path(__file__).resolve().parent.parent
    for candidate in (checkout, cwd, *cwd.parents):
        if (candidate / "configs" / "modes").is_dir():
            return candidate
    raise ConfigError(
        "CONFIG-003",
        "no directory with configs/modes was found",
        where=f"{checkout}, then {cwd} and above",
        action="run the command inside a checkout of the project",
    )


def load_settings(
    environ: Mapping[str, str] | None = None, **overrides: str | Path | date | None
) -> Settings:
    """Read the settings from `overrides`, `environ` (else the process) and the environment file.

    An override is a field of `Settings` as a command-line flag gives it: it wins, a relative path
    in it starts at the current directory, and None means it was not given.

    Raises
    ------
    ConfigError: CONFIG-001 when a variable is nowhere, CONFIG-002 when a value is unusable,
        CONFIG-003 when the file that `BASIS_ENV_FILE` names is missing, CONFIG-013 when it cannot
        be read, CONFIG-011 when the window is empty, or a bound of it given as an override cannot
        be read.
    """
    if unknown := overrides.keys() - {*FIELDS, *OPTIONAL}:
        raise TypeError(f"Settings has no field {', '.join(sorted(unknown))}")
    found = _found(os.environ if environ is None else environ, overrides)
    results_dir = found["results_dir"].directory()
    settings = Settings(
        environment=found["environment"].choice(),
        deployment_mode=found["deployment_mode"].choice(),
        startup_mode=found["startup_mode"].choice(),
        data_dir=found["data_dir"].directory(),
        results_dir=results_dir,
        results_db_url=found["results_db_url"].database(results_dir),
        data_start_date=found["data_start_date"].hour(),
        data_end_date=found["data_end_date"].hour(),
        log_level=found["log_level"].choice(),
        debug=found["debug"].choice() == "true",
        alert_webhook_url=found["alert_webhook_url"].webhook(),
    )
    if settings.data_start_date >= settings.data_end_date:
        start, end = found["data_start_date"], found["data_end_date"]
        raise ConfigError(
            "CONFIG-011",
            f"the window starts at {start.text} and ends at {end.text}",
            where=f"{start.where}, {end.where}",
        )
    return settings


def dagster_home(settings: Settings, environ: Mapping[str, str] | None = None) -> Path:
    """Directory of the Dagster instance, made ready: `DAGSTER_HOME`, else one below the results.

    Every command and the UI use this one, so that what one records the other shows. The project's
    `dagster.yaml` is copied there when there is none yet.

    Raises
    ------
    PlatformError: PLATFORM-001 when the directory cannot be made or written.
    """
    named = (os.environ if environ is None else environ).get("DAGSTER_HOME")
    home = Path(named).expanduser().resolve() if named else settings.results_dir / "dagster_home"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(project_root() / "dagster.yaml", home / "dagster.yaml")
    except OSError as error:
        what = f"the Dagster instance cannot be made: {error.strerror}"
        raise PlatformError("PLATFORM-001", what, where=str(home)) from error
    return home


def _found(
    process: Mapping[str, str], overrides: Mapping[str, str | Path | date | None]
) -> dict[str, _Value]:
    root = project_root()
    file = root / process.get(ENV_FILE_VARIABLE, ENV_FILE)
    if not file.is_file() and ENV_FILE_VARIABLE in process:
        raise ConfigError(
            "CONFIG-003", f"the file {ENV_FILE_VARIABLE} names is missing", where=str(file)
        )
    from_file = _read_env_file(file) if file.is_file() else {}
    found: dict[str, _Value] = {}
    for field in (*FIELDS, *OPTIONAL):
        variable = PREFIX + field.upper()
        if (override := overrides.get(field)) is not None:
            found[field] = _Value(field, str(override), Path.cwd(), _ARGUMENT)
        elif variable in process:
            found[field] = _Value(field, process[variable], root, "the process environment")
        elif variable in from_file:
            found[field] = _Value(field, from_file[variable], root, str(file))
        elif field in OPTIONAL:
            found[field] = _Value(field, "", root, str(file))
    if missing := [PREFIX + field.upper() for field in FIELDS if field not in found]:
        searched = f"the process environment, then {file}{'' if file.is_file() else ' (absent)'}"
        raise ConfigError(
            "CONFIG-001",
            f"not set: {', '.join(missing)}",
            where=searched,
            action=f"export it, or add it to {file}; .env.example explains every variable",
            context={
                "required": ", ".join(missing),
                "expected": "a variable of the process, or a line of the environment file",
                "searched": searched,
            },
        )
    return found


def _read_env_file(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = f"the environment file cannot be read: {error}"
        raise ConfigError("CONFIG-013", what, where=str(file)) from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        where = f"{file}, line {number}"
        if not (match := _LINE.fullmatch(text)):
            raise ConfigError("CONFIG-002", "a line is not NAME=value", where=where)
        name, value = match.groups()
        # A misspelt variable would otherwise be silently without effect.
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in (
            *FIELDS,
            *OPTIONAL,
        ):
            known = ", ".join(PREFIX + field.upper() for field in (*FIELDS, *OPTIONAL))
            raise ConfigError(
                "CONFIG-002", f"{name} is not a variable", where=where, available=known
            )
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        values[name] = value[1:-1] if quoted else value
    return values
