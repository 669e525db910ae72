"""Platforms that run by themselves: an empty one, and one after a first night."""

import pytest

from tests.orchestration.conftest import FirstNight, Place, environment
from tests.orchestration.platform_alone import Platform


@pytest.fixture
def platform(place: Place, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """Yield a platform that was just switched on."""
    environment(place, monkeypatch)
    return Platform(place)


@pytest.fixture
def running(first_night: FirstNight, ran: Place, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """Yield the platform after a first night of two modes, for tests that break it."""
    environment(ran, monkeypatch)
    platform = Platform(ran, dict(first_night.cursors))
    platform.pass_over_runs()  # a new tag makes a run one that ended just now
    return platform
