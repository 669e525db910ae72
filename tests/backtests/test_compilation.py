"""Compiling ahead: what it compiles is what a backtest uses."""

import subprocess
import sys
from pathlib import Path

import numba
import pytest

from basis_pipeline.backtests.compilation import compile_engine, is_compiled
from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine.simulation import run_hours
from basis_pipeline.settings import project_root


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the engine runs uncompiled")
def test_one_compilation_serves_every_mode() -> None:
    """Every mode calls the hour loop with the same types: compiling for one compiles for all."""
    configs = load_configs(project_root() / "configs")
    for mode in configs.modes:
        compile_engine(slice_mode(configs, mode))
    assert len(run_hours.signatures) == 1


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the engine runs uncompiled")
def test_a_fresh_cache_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache directory means there is something to compile."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert not is_compiled()
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "sweep.run_scenarios-54.py311.nbi").touch()
    assert is_compiled()


def test_it_runs_as_a_command() -> None:
    """`python -m basis_pipeline.backtests.compilation` ends well, whatever the cache holds."""
    command = [sys.executable, "-m", "basis_pipeline.backtests.compilation"]
    subprocess.run(command, check=True, cwd=project_root(), timeout=120)
