"""The OpenAPI document holds: schemathesis makes calls of every kind that it describes."""

import subprocess
import sys
from pathlib import Path

from basis_pipeline.settings import Settings
from tests.service.conftest import environment
from tests.service.server import serving

STREAM = "/events/stream"  # never ends
OPTIONS = ("--phases", "coverage,fuzzing", "--max-examples", "2", "--seed", "1", "--no-color")


def test_schemathesis_finds_nothing(settings: Settings, tmp_path: Path) -> None:
    """No fault of the server, no answer that is not described, no bad call that is accepted."""
    command = Path(sys.executable).with_name("schemathesis")
    with serving(environment(settings.results_dir, settings.data_dir)) as server:
        address = f"{server.url}/openapi.json"
        done = subprocess.run(
            [command, "run", address, "--exclude-path", STREAM, *OPTIONS],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
