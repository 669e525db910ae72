"""Floor 1: the configuration. Strict models, loading, dotted overrides, slices by mode."""

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import Configs, load_configs
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.overrides import parse_assignments
from basis_pipeline.config.slicing import ModeSlice, slice_mode

__all__ = [
    "Configs",
    "DatasetConfig",
    "ModeConfig",
    "ModeSlice",
    "load_configs",
    "parse_assignments",
    "slice_mode",
]
