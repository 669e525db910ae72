"""The committed configuration, and a copy of it that a test may break."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_pipeline.config import Configs, load_configs
from tests.config.trees import COMMITTED, copy_tree

Edit = Callable[[str, Callable[[dict[str, Any]], None]], Path]


@pytest.fixture(scope="session")
def configs() -> Configs:
    """Load `configs/` once."""
    return load_configs(COMMITTED)


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the configuration with one file changed; return the copy."""

    def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        copy = copy_tree(tmp_path / "configs")
        content = yaml.safe_load((copy / name).read_text())
        change(content)
        (copy / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return copy

    return edited
