"""What is deployed: files that can be read, and that name what exists. No image is built here."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from basis_pipeline.settings import NAMES, project_root
from tests import postgres

DEPLOY = project_root() / "deploy"
METRIC = re.compile(r"\bbasis_[a-z_]+")
SUFFIXES = r"(_total|_bucket|_count|_sum)$"


def read(name: str) -> dict[str, Any]:
    """A YAML file of the directory."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return document


def shown_metrics() -> set[str]:
    """Names that the source gives to metrics."""
    source = (project_root() / "basis_pipeline" / "service").rglob("*.py")
    return set(METRIC.findall(" ".join(file.read_text() for file in source)))


@pytest.mark.parametrize("name", ["alerts.yaml", "grafana.json"])
def test_alerts_and_panels_ask_for_metrics_that_there_are(name: str) -> None:
    """A misspelt one would never fire."""
    text = (DEPLOY / name).read_text()
    document = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    asked = {re.sub(SUFFIXES, "", metric) for metric in METRIC.findall(text)}
    assert document
    assert len(asked) > 5
    assert asked <= shown_metrics()


def test_every_service_is_limited_healthy_and_restarted() -> None:
    """Secrets are files, ports are this machine's alone, and nothing runs as root."""
    compose = read("compose.yaml")
    image = (DEPLOY / "Dockerfile").read_text()
    assert {"code", "web", "daemon", "api", "postgres", "redis"} == set(compose["services"])
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert "healthcheck" in service or (name == "api" and "HEALTHCHECK" in image), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        given = service.get("environment", {})
        assert not [key for key in given if "PASSWORD" in key and not key.endswith("_FILE")], name
        known = {f"BASIS_{variable.upper()}" for variable in NAMES} | {"BASIS_ENV_FILE"}
        assert {key for key in given if key.startswith("BASIS_")} <= known, name
    assert set(compose["secrets"]) == {"basis_env", "postgres_password"}
    assert "USER basis" in image
    assert "--require-hashes" in image


def test_the_image_copies_what_there_is() -> None:
    """Every file that the Dockerfile names is in the checkout, and every command of compose."""
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    )
    files = [file for line in copied for file in line.split()]
    assert len(files) > 6
    assert [file for file in files if not (project_root() / file).exists()] == []
    services = read("compose.yaml")["services"].values()
    commands = {service["command"][0] for service in services if "command" in service}
    assert commands == {"basis", "dagster", "dagster-webserver", "dagster-daemon", "redis-server"}


def test_dagster_stores_on_postgresql(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is that of the checkout but for its storage, and a run on it is recorded."""
    own, there = (
        yaml.safe_load((project_root() / "dagster.yaml").read_text()),
        read("dagster.yaml"),
    )
    assert own.pop("event_log_storage")
    assert there.pop("storage")
    assert own == there
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    with postgres.database(postgres_url) as url:
        address = url.replace("postgresql://", "postgresql+psycopg2://")
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", address)

        @dg.asset
        def made() -> int:
            return 1

        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            done = dg.materialize([made], instance=instance)
        with dg.DagsterInstance.from_config(str(tmp_path)) as again:
            run = again.get_run_by_id(done.run_id)
            assert run is not None
            assert run.is_success
            assert again.get_latest_materialization_event(dg.AssetKey("made"))


def test_promtool_takes_the_rules() -> None:
    """Where it is installed."""
    if not shutil.which("promtool"):
        pytest.skip("no promtool on this machine")
    command = ["promtool", "check", "rules", DEPLOY / "alerts.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
