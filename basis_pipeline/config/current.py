"""The project's configuration in its present state."""

from functools import lru_cache
from pathlib import Path

from basis_pipeline.config.loading import Configs, load_configs
from basis_pipeline.settings import config_directory


def current_configs() -> Configs:
    """Return `configs/` of the project, read again only when a file of it has changed."""
    directory = config_directory()
    files = sorted(directory.rglob("*.yaml"))
    return _loaded(directory, tuple((str(file), file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=2)
def _loaded(directory: Path, state: tuple[tuple[str, int], ...]) -> Configs:  # noqa: ARG001
    return load_configs(directory)
