"""The project's own files: one lock, fit for every supported Python, from any index."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from basis_pipeline.settings import project_root

PROJECT = tomllib.loads((project_root() / "pyproject.toml").read_text())["project"]
LOCK = (project_root() / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", LOCK, re.MULTILINE))


@pytest.mark.parametrize(
    "requirement", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
)
def test_every_requirement_is_locked(requirement: str) -> None:
    """A dependency added without `make lock` would be missing on the next machine."""
    asked = Requirement(requirement)
    assert PINS[asked.name] in asked.specifier


def test_the_lock_names_no_host() -> None:
    """The lock holds names, versions and hashes; where to fetch them is the machine's business."""
    assert "://" not in LOCK
    assert not re.search(r"^\s*--(?!hash=sha256:[0-9a-f]{64}\b)", LOCK, re.MULTILINE)


def test_every_pin_has_hashes() -> None:
    """A pin without a hash would make the whole installation fail."""
    for block in re.split(r"\n(?=[a-z])", LOCK.split("\n", 2)[2]):
        assert "--hash=sha256:" in block, block


def test_dagster_and_its_webserver_have_one_version() -> None:
    """The two are released separately and only fit each other at the same version."""
    assert PINS["dagster"] == PINS["dagster-webserver"] == PINS["dagster-graphql"]
