"""`basis accounts` and `basis signals` as a person runs them."""

import shutil
from pathlib import Path

from basis_pipeline.settings import project_root
from tests import shell


def test_a_broken_account_file_stops_that_account_only(tmp_path: Path) -> None:
    """The others are shown; the broken one is an error with its file, and the exit code says so."""
    (tmp_path / "modes").mkdir()
    shutil.copytree(project_root() / "configs" / "accounts", tmp_path / "accounts")
    (tmp_path / "accounts" / "broken.yaml").write_text("name: broken")
    env = {"BASIS_CONFIG_DIR": str(tmp_path), "BASIS_ENV_FILE": ".env.example"}
    done = shell.run("basis_pipeline", "signals", "--results-dir", tmp_path / "results", env=env)
    assert (done.returncode, "No account has a signal" in done.stdout) == (1, True), done.stderr
    assert "accounts/broken.yaml" in done.stderr
    named = shell.run("basis_pipeline", "signals", "--account", "broken", env=env)
    assert named.returncode == 2, named.stderr
