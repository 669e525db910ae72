"""The code location: what `dagster` and its UI load."""

from basis_pipeline.orchestration.build import build_defs

defs = build_defs()
