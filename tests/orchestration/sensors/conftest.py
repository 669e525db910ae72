"""Platforms that run by themselves: an empty one, and one after a first night."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from tests.orchestration.conftest import WINDOW, Place, place_at, take_along
from tests.orchestration.platform_alone import Platform

MODES = ("btc_basis", "pure_lending")


def environment(place: Place, patch: pytest.MonkeyPatch) -> None:
    """Let the process's environment name the place: what runs by itself reads it there."""
    places = {"DATA_DIR": place.data, "RESULTS_DIR": place.results}
    window = {"DATA_START_DATE": WINDOW["start"], "DATA_END_DATE": WINDOW["end"]}
    for name, value in {**places, **window}.items():
        patch.setenv(f"BASIS_{name}", str(value))


@pytest.fixture
def platform(place: Place, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform that was just switched on."""
    environment(place, monkeypatch)
    return Platform(place)


@dataclass(frozen=True)
class FirstNight:
    """What a first night of two modes leaves, and what it began with.

    data: the run for the data; requests: what was asked for after it.
    """

    directory: Path
    cursors: dict[str, str | None]
    data: dg.DagsterRun
    requests: list[dg.RunRequest]


@pytest.fixture(scope="session")
def first_night(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, defs: dg.Definitions
) -> FirstNight:
    """A directory as a first night of two modes leaves it; read it, do not write to it."""
    directory = tmp_path_factory.mktemp("first_night")
    shutil.copytree(sample, directory / "data")
    with pytest.MonkeyPatch.context() as patch:
        for place in place_at(directory, directory / "data", defs):
            environment(place, patch)
            platform = Platform(place)
            data, requests = platform.begin(*MODES)
    return FirstNight(directory, platform.cursors, data, requests)


@pytest.fixture
def running(
    first_night: FirstNight, tmp_path: Path, defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    """The platform after a first night of two modes, to be spoilt at will."""
    shutil.copytree(first_night.directory, tmp_path, dirs_exist_ok=True)
    for place in place_at(tmp_path, tmp_path / "data", defs):
        environment(place, monkeypatch)
        take_along(place)
        platform = Platform(place, dict(first_night.cursors))
        platform.pass_over_runs()  # a new tag makes a run one that ended just now
        yield platform
