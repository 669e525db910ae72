"""Failures of requests and alerts."""

import socket
from pathlib import Path

from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.operations.alerts import post
from basis_pipeline.operations.requests import BacktestRequest, submit
from basis_pipeline.settings import SecretUrl, load_settings, project_root


def id_used_again(place: Path) -> None:
    """Two requests of one name that ask for different things."""
    settings = load_settings(results_dir=place)
    for capital in (1000.0, 2000.0):
        submit(settings, BacktestRequest(request_id="a", mode="pure_lending", capital=capital))


def nobody_listens(_: Path) -> None:
    """A webhook on a port that nothing has open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = SecretUrl(f"http://127.0.0.1:{free.getsockname()[1]}/hook")
    limits = load_automation_limits(project_root() / "configs").alerts
    post([{"message": "a run failed"}], url, limits)


PROVOCATIONS = {"BT-006": id_used_again, "PLATFORM-004": nobody_listens}
