"""The settings of a run: the `BASIS_*` variables, read once, without defaults in code.

A value is taken from the first of these that has it: the command's arguments, the process, the file
that `BASIS_ENV_FILE` names, `.env.<deployment>` where `BASIS_DEPLOYMENT_MODE` names a deployment,
`.env`, and, where `BASIS_ENV_FILE` names no file, `env/local.env` of the configuration directory.
Relative paths start at the project's root, those of arguments at the current directory.

pydantic validates. pydantic-settings is not used: its sources do not know the line of a value, and
they expand `${BASIS_RESULTS_DIR}` before a flag can name another directory.
"""

import os
import re
from collections import ChainMap
from collections.abc import Mapping
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from basis_pipeline.errors import ConfigError, PlatformError
from basis_pipeline.files import write_atomically
from basis_pipeline.times import parse_hour

PREFIX = "BASIS_"
CONFIG_DIRECTORY = "BASIS_CONFIG_DIR"  # from the process only: other values are read from there
SAMPLE = "SAMPLE_DEFECTS.json"  # in every directory that `basis data sample` has written
WAIVERS = "waivers.jsonl"  # below the results directory
SQLITE = "sqlite:///"
POSTGRESQL = "postgresql://"

_ARGUMENT = "the command's arguments"
DEPLOYMENT = r"[A-Za-z0-9_-]*"
_PROCESS = "the process environment"


class SecretUrl(SecretStr):
    """A URL that shows only its scheme and host; `get_secret_value` returns all of it."""

    def _display(self) -> str:
        return re.sub(r"(//)(?:.*@)?([^/?#]*).*", r"\1\2/***", self.get_secret_value())


def _hour(text: Any) -> datetime:
    if not isinstance(text, str):
        raise ValueError("a date or an hour is a text")
    try:
        return parse_hour(text)
    except ConfigError as error:
        raise ValueError(f"{error.what}; write it as {error.available}") from None


Hour = Annotated[datetime, BeforeValidator(_hour)]


class Settings(BaseModel, frozen=True):
    """The validated settings.

    Parameters
    ----------
    environment: shown on every page and event; production accepts neither sample data nor debug.
    data_dir, results_dir: absolute. database: a SQLite file, absolute, or a PostgreSQL server.
    data_start_date, data_end_date: the window in UTC, whole hours, both ends included.
    log_level: the least severe message of the audit log and, with `debug`, of the console.
    deployment_mode: names the environment file `.env.<deployment_mode>`; empty for none.
    alert_webhook_url: where alerts are posted; empty for none.
    api_token: authenticates callers of the HTTP API; empty for none.
    redis_url: the Redis server that shares state between processes; empty for none.
    ethereum_rpc_url: an archive node of Ethereum, from which feeds are fetched; empty for none.
    """

    environment: Literal["dev", "test", "staging", "production"]
    data_dir: Path
    results_dir: Path
    database: SecretUrl = Field(alias="results_db_url")
    data_start_date: Hour
    data_end_date: Hour
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    debug: bool
    deployment_mode: Annotated[str, Field(pattern=f"^{DEPLOYMENT}$")] = ""
    alert_webhook_url: SecretUrl = SecretUrl("")
    api_token: SecretStr = SecretStr("")
    redis_url: SecretUrl = SecretUrl("")
    ethereum_rpc_url: SecretUrl = SecretUrl("")

    @property
    def results_db_url(self) -> str:
        """URL of the results database as a connection needs it, with its password."""
        return self.database.get_secret_value()

    @field_validator("data_dir", "results_dir", mode="before")
    @classmethod
    def _is_named(cls, text: str) -> Path:
        if not text.strip():
            raise ValueError("it is empty")
        return Path(text).resolve()

    @field_validator("database")
    @classmethod
    def _names_a_database(cls, url: SecretUrl) -> SecretUrl:
        text = url.get_secret_value()
        if text.startswith(SQLITE) and text != SQLITE:
            if "?" in text:
                raise ValueError("options after a ? are not accepted in the URL of a SQLite file")
            return url
        if not text.startswith(POSTGRESQL) or text == POSTGRESQL:
            forms = f"{SQLITE}path/to/runs.sqlite, {POSTGRESQL}user:password@host:port/database"
            raise ValueError(f"this is not the URL of a database; write it as {forms}")
        try:
            parts = urlsplit(text)
            if parts.port != 0 and re.fullmatch(r"[\w.:-]*", parts.hostname or ""):
                return url
        except ValueError:
            pass  # its text would show the password
        raise ValueError("the host or the port cannot be read; a port is 1 to 65535")

    @field_validator("alert_webhook_url", "ethereum_rpc_url")
    @classmethod
    def _is_http(cls, url: SecretUrl) -> SecretUrl:
        if url and not re.match(r"https?://[^/\s]+", url.get_secret_value()):
            raise ValueError("this is not an http or https URL")
        return url

    @field_validator("api_token")
    @classmethod
    def _cannot_be_guessed(cls, token: SecretStr) -> SecretStr:
        if token and not re.fullmatch(r"[!-~]{16,}", token.get_secret_value()):
            raise ValueError("a token is 16 or more visible ASCII characters")
        return token

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis_server(cls, url: SecretUrl) -> SecretUrl:
        form = r"rediss?://([^@/\s]*@)?[\w.-]+(?::(\d{1,5}))?(/\d{1,2})?"
        found = re.fullmatch(form, url.get_secret_value())
        if url and not (found and 0 < int(found[2] or 1) < 2**16):
            raise ValueError("write it as redis://host:port/0, with user and password before @")
        return url

    @model_validator(mode="after")
    def _is_fit_for_production(self) -> Self:
        if self.environment == "production" and self.debug:
            raise ValueError("BASIS_DEBUG=true is not accepted in production")
        if self.environment == "production" and (self.data_dir / SAMPLE).exists():
            raise ValueError(f"sample data are not accepted in production: {self.data_dir}")
        return self


SECRETS = ("alert_webhook_url", "api_token", "ethereum_rpc_url")
NAMES = tuple(info.alias or name for name, info in Settings.model_fields.items())
REQUIRED = tuple(i.alias or n for n, i in Settings.model_fields.items() if i.is_required())


class _Value(NamedTuple):
    """A value as text, where it was found, and the directory that a relative path starts at."""

    text: str
    where: str
    base: Path


def project_root() -> Path:
    """Find the directory with `configs/`: at or above the current one, else this checkout.

    Raises
    ------
    ConfigError: CONFIG-003 when there is none.
    """
    cwd = Path.cwd()
    checkout = Path(__file__).resolve().parent.parent
    for candidate in (cwd, *cwd.parents, checkout):
        if (candidate / "configs" / "modes").is_dir():
            return candidate
    raise ConfigError(
        "CONFIG-003",
        "no directory with configs/modes was found",
        where=f"{cwd} and above, then {checkout}",
        action="run the command inside a project; `basis init` creates one",
    )


def config_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Find the directory of the configuration: `BASIS_CONFIG_DIR`, else the project's `configs/`.

    Raises
    ------
    ConfigError: CONFIG-003 when there is none.
    """
    named = (os.environ if environ is None else environ).get(CONFIG_DIRECTORY)
    directory = Path(named).expanduser().resolve() if named else project_root() / "configs"
    if not (directory / "modes").is_dir():
        what = f"the directory that {CONFIG_DIRECTORY} names holds no modes"
        raise ConfigError("CONFIG-003", what, where=str(directory / "modes"))
    return directory


def load_settings(
    environ: Mapping[str, str] | None = None, **overrides: str | Path | date | None
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ: the environment; that of the process when not given.
    overrides: variables in lower case without prefix, as command-line flags give them; None means
        not given.

    Raises
    ------
    ConfigError: CONFIG-001 when a variable is not set, CONFIG-002 when a value is unusable,
        CONFIG-003 when the file that `BASIS_ENV_FILE` or `BASIS_DEPLOYMENT_MODE` names is missing,
        CONFIG-013 when a file cannot be read, CONFIG-011 when the window is empty, or an override
        for its start or end cannot be read.
    """
    if unknown := overrides.keys() - set(NAMES):
        raise TypeError(f"Settings has no field {', '.join(sorted(unknown))}")
    found, searched = _layers(os.environ if environ is None else environ, overrides)
    if missing := [PREFIX + name.upper() for name in REQUIRED if name not in found]:
        raise ConfigError(
            "CONFIG-001",
            f"not set: {', '.join(missing)}",
            where=searched,
            action="export it, or add it to one of the files; .env.example explains each variable",
            context={
                "required": ", ".join(missing),
                "expected": "a variable of the process, or a line of an environment file",
                "searched": searched,
            },
        )
    texts = {name: value.text for name, value in found.items()}
    for name in ("data_dir", "results_dir"):
        if texts[name].strip():
            texts[name] = str((found[name].base / Path(texts[name]).expanduser()).resolve())
    url = texts["results_db_url"].replace("${BASIS_RESULTS_DIR}", texts["results_dir"])
    if url.startswith(SQLITE) and (file := url.removeprefix(SQLITE)):
        url = f"{SQLITE}{(found['results_db_url'].base / file).resolve()}"
    try:
        settings = Settings.model_validate({**texts, "results_db_url": url})
    except ValidationError as error:
        raise _unusable(error, found) from None
    if settings.data_start_date >= settings.data_end_date:
        start, end = found["data_start_date"], found["data_end_date"]
        what = f"the window starts at {start.text} and ends at {end.text}"
        raise ConfigError("CONFIG-011", what, where=f"{start.where}, {end.where}")
    return settings


def files_with_secrets(environ: Mapping[str, str] | None = None) -> list[Path]:
    """Return the environment files that hold a webhook, a token or the password of a server.

    Raises
    ------
    ConfigError: as `load_settings`.
    """
    layers = _layers(os.environ if environ is None else environ, {})[0].maps
    secrets = [
        value.where.rpartition(", line ")[0]
        for layer in layers
        for name, value in layer.items()
        if value.text and (name in SECRETS or "@" in value.text)
    ]
    return [Path(file) for file in dict.fromkeys(secrets) if file]


def dagster_home(settings: Settings, environ: Mapping[str, str] | None = None) -> Path:
    """Return the directory of the Dagster instance: `DAGSTER_HOME`, else one below the results.

    All commands, the service and the UI share it.
    """
    named = (os.environ if environ is None else environ).get("DAGSTER_HOME")
    return Path(named).expanduser().resolve() if named else settings.results_dir / "dagster_home"


def existing_dagster_home(settings: Settings) -> Path | None:
    """Return the directory of the Dagster instance; None where nothing was run yet."""
    home = dagster_home(settings)
    return home if (home / "dagster.yaml").exists() else None


def make_dagster_home(settings: Settings, environ: Mapping[str, str] | None = None) -> Path:
    """Make the directory of the Dagster instance, with the project's `dagster.yaml` if it has none.

    Raises
    ------
    PlatformError: PLATFORM-001 when the directory cannot be made, written, or used by Dagster.
    """
    home = dagster_home(settings, environ)
    if {"%", "?"} & set(str(home)):
        what = "Dagster cannot keep its databases below a path with % or ?"
        action = "set DAGSTER_HOME to another directory"
        raise PlatformError("PLATFORM-001", what, where=str(home), action=action)
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            content = (project_root() / "dagster.yaml").read_bytes()
            write_atomically(home / "dagster.yaml", content)
    except OSError as error:
        what = f"the Dagster instance cannot be made: {error.strerror}"
        raise PlatformError("PLATFORM-001", what, where=str(home)) from error
    return home


def _layers(
    process: Mapping[str, str], overrides: Mapping[str, str | Path | date | None]
) -> tuple[ChainMap[str, _Value], str]:
    """Return the value of each variable that is set, and in words where it was looked for."""
    root, cwd = project_root(), Path.cwd()
    arguments = {n: _Value(str(v), _ARGUMENT, cwd) for n, v in overrides.items() if v is not None}
    exported = {
        name: _Value(process[PREFIX + name.upper()], _PROCESS, root)
        for name in NAMES
        if PREFIX + name.upper() in process
    }
    files = [root / ".env"]
    if named := process.get("BASIS_ENV_FILE"):
        files.insert(0, root / named)
        if not files[0].is_file():
            what = "the file that BASIS_ENV_FILE names is missing"
            raise ConfigError("CONFIG-003", what, where=str(files[0]))
    found = ChainMap(arguments, exported, *map(_read, files))
    if (deployment := found.get("deployment_mode")) and deployment.text:
        files.insert(-1, root / f".env.{deployment.text}")
        if re.fullmatch(DEPLOYMENT, deployment.text) and not files[-2].is_file():
            what = f"BASIS_DEPLOYMENT_MODE is {deployment.text!r}, and its file is missing"
            action = "write it, or name another deployment"
            raise ConfigError("CONFIG-003", what, where=str(files[-2]), action=action)
        found.maps.insert(-1, _read(files[-2]))
    if not named:
        files.append(config_directory(process) / "env" / "local.env")
        found.maps.append(_read(files[-1]))
    searched = [f"{file}{'' if file.is_file() else ' (absent)'}" for file in files]
    return found, ", then ".join((_PROCESS, *searched))


def _read(file: Path) -> dict[str, _Value]:
    """Return the project's variables in an environment file; none where the file is missing."""
    try:
        lines = file.read_text("utf-8-sig").splitlines() if file.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        what = f"the environment file cannot be read: {error}"
        raise ConfigError("CONFIG-013", what, where=str(file)) from error
    values: dict[str, _Value] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{file}, line {number}"
        for binding in parse_stream(StringIO(line)):
            name, text = binding.key or "", binding.value
            if binding.error or (name and text is None):
                raise ConfigError("CONFIG-002", "a line is not NAME=value", where=where)
            field = name.removeprefix(PREFIX).lower()
            # A misspelt variable would otherwise be ignored without a word.
            if name.startswith(PREFIX) and field not in NAMES:
                what = f"{name} is not a variable of the project"
                known = ", ".join(PREFIX + name.upper() for name in NAMES)
                raise ConfigError("CONFIG-002", what, where=where, available=known)
            if name.startswith(PREFIX):
                values[field] = _Value(text or "", where, project_root())
    return values


def _unusable(error: ValidationError, found: Mapping[str, _Value]) -> ConfigError:
    """Describe the first problem: the variable, where it is set, its value unless a secret."""
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0]) if problem["loc"] else "environment"
    text, where, _ = found[name]
    variable = name if where == _ARGUMENT else PREFIX + name.upper()
    is_date = name.endswith("_date")
    code = "CONFIG-011" if is_date and where == _ARGUMENT else "CONFIG-002"
    shown = variable if name.endswith(("_url", "_token")) else f"{variable} is {text!r}"
    return ConfigError(code, f"{shown}: {message}", where=where)
