"""The settings: complete, explicit, without defaults."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_pipeline.errors import ConfigError, PlatformError
from basis_pipeline.settings import (
    REQUIRED,
    SAMPLE,
    SecretUrl,
    config_directory,
    existing_dagster_home,
    load_settings,
    make_dagster_home,
    project_root,
)
from basis_pipeline.times import parse_hour

COMPLETE = {
    "BASIS_ENVIRONMENT": "test",
    "BASIS_DATA_DIR": "somewhere/data",
    "BASIS_RESULTS_DIR": "somewhere/results",
    "BASIS_RESULTS_DB_URL": "sqlite:///${BASIS_RESULTS_DIR}/runs.sqlite",
    "BASIS_DATA_START_DATE": "2024-06-01",
    "BASIS_DATA_END_DATE": "2025-03-01T06:00",
    "BASIS_LOG_LEVEL": "WARNING",
    "BASIS_DEBUG": "false",
}


@pytest.fixture
def empty_file(tmp_path: Path) -> Path:
    """An empty environment file."""
    file = tmp_path / "empty.env"
    file.write_text("# nothing\n")
    return file


def test_a_fresh_clone_has_every_variable() -> None:
    """The committed local.env alone is a complete environment."""
    settings = load_settings({})
    assert settings.data_dir == project_root() / "data" / "sample"
    assert settings.results_db_url == f"sqlite:///{project_root()}/results/runs.sqlite"


def test_env_example_is_a_complete_environment() -> None:
    """The example a person copies works as it is."""
    assert load_settings({"BASIS_ENV_FILE": ".env.example"}) == load_settings({})


def test_process_wins_over_file() -> None:
    """An exported variable beats the environment file, the rest comes from the file."""
    settings = load_settings({"BASIS_LOG_LEVEL": "ERROR", "BASIS_DATA_DIR": "/elsewhere"})
    assert (settings.log_level, settings.data_dir) == ("ERROR", Path("/elsewhere"))
    assert settings.environment == "dev"


def test_each_layer_wins_over_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, process, the named file, `.env.<deployment>`, `.env`, in that order."""
    shipped = (project_root() / "configs" / "env" / "local.env").read_text()
    for directory in ("env", "modes"):
        (tmp_path / "configs" / directory).mkdir(parents=True)
    (tmp_path / "configs" / "env" / "local.env").write_text(shipped)
    monkeypatch.setattr("basis_pipeline.settings.project_root", lambda: tmp_path)
    environ: dict[str, str] = {}

    def level() -> str:
        return load_settings(environ).log_level

    assert level() == "INFO"
    (tmp_path / ".env").write_text("BASIS_LOG_LEVEL=DEBUG\n")
    assert level() == "DEBUG"
    (tmp_path / ".env").write_text("BASIS_LOG_LEVEL=DEBUG\nBASIS_DEPLOYMENT_MODE=docker\n")
    (tmp_path / ".env.docker").write_text("BASIS_LOG_LEVEL=WARNING\n")
    assert level() == "WARNING"
    environ["BASIS_DEPLOYMENT_MODE"] = "local"
    with pytest.raises(ConfigError, match=r"CONFIG-003.*file is missing"):
        level()
    (tmp_path / ".env.local").touch()
    assert level() == "DEBUG"
    (tmp_path / "own.env").write_text(shipped.replace("LEVEL=INFO", "LEVEL=ERROR"))
    environ["BASIS_ENV_FILE"] = "own.env"
    assert level() == "ERROR"
    environ["BASIS_LOG_LEVEL"] = "CRITICAL"
    assert level() == "CRITICAL"
    assert load_settings(environ, log_level="INFO").log_level == "INFO"


@pytest.mark.parametrize("what", ["debug", "sample data"])
def test_production_accepts_neither_debug_nor_sample_data(tmp_path: Path, what: str) -> None:
    """Both are for development; the error names what is not accepted."""
    environ = {**COMPLETE, "BASIS_ENVIRONMENT": "production", "BASIS_DATA_DIR": str(tmp_path)}
    assert load_settings(environ).environment == "production"
    if what == "debug":
        environ["BASIS_DEBUG"] = "true"
    else:
        (tmp_path / SAMPLE).write_text("{}")
    with pytest.raises(ConfigError, match=f"CONFIG-002.*(?i:{what}).* in production"):
        load_settings(environ)


def test_overrides_win_and_start_at_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag wins over the process, and its path is relative to the current directory."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        COMPLETE, data_dir="here", results_dir=Path("out"), data_start_date="2024-07-01"
    )
    assert settings.data_dir == tmp_path / "here"
    assert settings.data_start_date == datetime(2024, 7, 1, tzinfo=UTC)
    assert settings.results_db_url == f"sqlite:///{tmp_path}/out/runs.sqlite"
    assert load_settings(COMPLETE, data_dir=None).data_dir == project_root() / "somewhere/data"


def test_a_database_server_is_taken_as_it_is_named() -> None:
    """A PostgreSQL URL is kept unchanged, and shown without its password."""
    url = "postgresql://reader:open-sesame-1@db.example:5432/results"
    settings = load_settings(COMPLETE | {"BASIS_RESULTS_DB_URL": url})
    assert settings.results_db_url == url
    assert "sesame" not in repr(settings)


def test_values_are_typed() -> None:
    """Window, paths and flags have their types."""
    settings = load_settings(COMPLETE)
    assert settings.data_end_date == datetime(2025, 3, 1, 6, tzinfo=UTC)
    assert settings.results_dir == project_root() / "somewhere" / "results"
    assert settings.debug is False
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("field", REQUIRED)
def test_no_variable_has_a_default(field: str, empty_file: Path) -> None:
    """Each missing variable is CONFIG-001 with its name and both places it was looked for."""
    variable = f"BASIS_{field.upper()}"
    environ = {**COMPLETE, "BASIS_ENV_FILE": str(empty_file)}
    del environ[variable]
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    assert caught.value.code == "CONFIG-001"
    assert variable in caught.value.what
    assert "process environment" in caught.value.where
    assert str(empty_file) in caught.value.where


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BASIS_ENVIRONMENT", "moon"),
        ("BASIS_DEPLOYMENT_MODE", "../etc"),
        ("BASIS_DATA_DIR", " "),
        ("BASIS_RESULTS_DB_URL", "mysql://u:p@h/db"),
        ("BASIS_RESULTS_DB_URL", "sqlite:///"),
        ("BASIS_RESULTS_DB_URL", "sqlite:///runs.sqlite?mode=ro"),
        ("BASIS_RESULTS_DB_URL", "postgresql://"),
        ("BASIS_RESULTS_DB_URL", "postgresql://u:p@h:54x2/db"),
        ("BASIS_RESULTS_DB_URL", "postgresql://u:p@h:99999/db"),
        ("BASIS_RESULTS_DB_URL", "postgresql://u:p@h ost/db"),
        ("BASIS_RESULTS_DB_URL", "postgresql://u:p@h[::1/db"),
        ("BASIS_DATA_START_DATE", "first of June"),
        ("BASIS_DATA_END_DATE", "2025-03-01T00:30"),
        ("BASIS_LOG_LEVEL", "loud"),
        ("BASIS_DEBUG", "perhaps"),
        ("BASIS_API_TOKEN", "p@h"),
        ("BASIS_REDIS_URL", "http://u:p@h:6379"),
        ("BASIS_REDIS_URL", "redis://u:p@h:99999/0"),
    ],
)
def test_unusable_values_are_named(variable: str, value: str) -> None:
    """A value that cannot be used is CONFIG-002 with its variable, never replaced."""
    with pytest.raises(ConfigError) as caught:
        load_settings({**COMPLETE, variable: value})
    assert caught.value.code == "CONFIG-002"
    assert variable in caught.value.what
    assert "p@h" not in str(caught.value)


@pytest.mark.parametrize("line", ["BASIS_DATA_DIR", "BASIS_DATADIR=x"])
def test_env_file_slips_are_found(line: str, tmp_path: Path) -> None:
    """A malformed line or a misspelt variable is reported with its line number."""
    file = tmp_path / "slip.env"
    file.write_text(f"# comment\n\n{line}\n")
    with pytest.raises(ConfigError, match=r"CONFIG-002.*line 3"):
        load_settings({**COMPLETE, "BASIS_ENV_FILE": str(file)})


def test_env_file_forms(tmp_path: Path) -> None:
    """Quotes, `export`, foreign variables and comments are read as a shell would."""
    file = tmp_path / "forms.env"
    file.write_text("export BASIS_LOG_LEVEL='DEBUG'\nOTHER=1\nBASIS_DATA_DIR = \"/a b\"\n")
    environ = {k: v for k, v in COMPLETE.items() if k not in ("BASIS_LOG_LEVEL", "BASIS_DATA_DIR")}
    settings = load_settings({**environ, "BASIS_ENV_FILE": str(file)})
    assert (settings.log_level, settings.data_dir) == ("DEBUG", Path("/a b"))


def test_a_named_env_file_must_exist(tmp_path: Path) -> None:
    """BASIS_ENV_FILE pointing nowhere is an error even when nothing would be read from it."""
    with pytest.raises(ConfigError, match="CONFIG-003"):
        load_settings({**COMPLETE, "BASIS_ENV_FILE": str(tmp_path / "no.env")})


def test_another_configuration_directory_can_be_named(tmp_path: Path) -> None:
    """BASIS_CONFIG_DIR replaces `configs/` as a whole, its environment file included."""
    environ = {"BASIS_CONFIG_DIR": str(tmp_path)}
    with pytest.raises(ConfigError, match="holds no modes"):
        config_directory(environ)
    (tmp_path / "modes").mkdir()
    assert config_directory(environ) == tmp_path
    with pytest.raises(ConfigError, match="CONFIG-001") as missing:
        load_settings(environ)
    assert str(tmp_path / "env" / "local.env") in missing.value.where
    assert config_directory({}) == project_root() / "configs"


def test_an_empty_window_is_refused() -> None:
    """Start must be before end, from any source."""
    with pytest.raises(ConfigError, match="CONFIG-011"):
        load_settings(COMPLETE, data_end_date="2024-06-01")
    with pytest.raises(ConfigError, match="CONFIG-011"):
        load_settings(COMPLETE, data_start_date="soon")


def test_unknown_override_is_a_mistake_of_the_caller() -> None:
    """A misspelt override is an error."""
    with pytest.raises(TypeError, match="data_directory"):
        load_settings(COMPLETE, data_directory="x")


def test_parse_hour_reads_every_usual_form() -> None:
    """Dates, hours, Z and offsets give the same UTC hour."""
    expected = datetime(2024, 6, 1, 8, tzinfo=UTC)
    for text in ("2024-06-01T08:00", "2024-06-01 08:00:00Z", "2024-06-01T10:00+02:00"):
        assert parse_hour(text) == expected
    assert parse_hour("2024-06-01") == datetime(2024, 6, 1, tzinfo=UTC)


def test_credentials_are_never_shown() -> None:
    """Neither the user, the password, the path nor the query of a URL is shown."""
    url = SecretUrl("postgresql://user:p@ss/w0rd@host/db?password=secret")
    assert str(url) == "postgresql://host/***"
    assert repr(url) == "SecretUrl('postgresql://host/***')"


def test_dagster_home_is_made_once(tmp_path: Path) -> None:
    """It lies below the results, with the project's dagster.yaml, and is kept as edited."""
    settings = load_settings(COMPLETE, results_dir=tmp_path / "results")
    home = make_dagster_home(settings, {})
    assert home == tmp_path / "results" / "dagster_home"
    assert (home / "dagster.yaml").read_text() == (project_root() / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert make_dagster_home(settings, {}) == home
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"
    assert make_dagster_home(settings, {"DAGSTER_HOME": str(tmp_path / "own")}) == tmp_path / "own"


def test_every_door_finds_the_same_dagster_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home below ~ is read where it was made, by commands that only read it too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "~/own")
    settings = load_settings(COMPLETE, results_dir=tmp_path / "results")
    assert existing_dagster_home(settings) is None
    assert make_dagster_home(settings) == tmp_path / "own" == existing_dagster_home(settings)


def test_dagster_home_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the results directory should be is PLATFORM-001, not a traceback."""
    (tmp_path / "results").write_text("in the way")
    settings = load_settings(COMPLETE, results_dir=tmp_path / "results")
    with pytest.raises(PlatformError, match="PLATFORM-001"):
        make_dagster_home(settings, {})


def test_the_webhook_is_optional_and_never_shown(empty_file: Path) -> None:
    """Absent or empty it means that alerts are only logged; its path is a secret."""
    environ = {**COMPLETE, "BASIS_ENV_FILE": str(empty_file)}
    assert not load_settings(environ).alert_webhook_url
    assert not load_settings({**environ, "BASIS_ALERT_WEBHOOK_URL": ""}).alert_webhook_url
    url = "https://hooks.example/services/T1/very-secret"
    settings = load_settings({**environ, "BASIS_ALERT_WEBHOOK_URL": url})
    assert settings.alert_webhook_url.get_secret_value() == url
    assert "very-secret" not in repr(settings)
    assert str(settings.alert_webhook_url) == "https://hooks.example/***"
    with pytest.raises(ConfigError, match="not an http or https URL") as rejected:
        load_settings({**environ, "BASIS_ALERT_WEBHOOK_URL": "ftp://very-secret"})
    assert "very-secret" not in str(rejected.value)


def test_a_token_is_never_shown() -> None:
    """Neither by the settings nor by the error of one that is too short."""
    token = "correct-horse-battery"
    settings = load_settings(COMPLETE | {"BASIS_API_TOKEN": token})
    assert settings.api_token.get_secret_value() == token
    assert token not in repr(settings)
    with pytest.raises(ConfigError, match="16 or more") as rejected:
        load_settings(COMPLETE | {"BASIS_API_TOKEN": "too short"})
    assert "too short" not in str(rejected.value)


def test_a_redis_server_is_optional_and_its_password_is_never_shown() -> None:
    """Empty means none."""
    assert not load_settings(COMPLETE).redis_url
    settings = load_settings(COMPLETE | {"BASIS_REDIS_URL": "redis://:open-sesame@cache:6379/1"})
    assert "sesame" not in repr(settings)
