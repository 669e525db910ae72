"""Floor 2: the simulation. Pure functions over arrays and a small state; no frames, no files."""

from basis_pipeline.engine.compiled import ENGINE_VERSION
from basis_pipeline.engine.figures import FIGURES
from basis_pipeline.engine.model import COMPONENTS, MarketArrays, Parameters
from basis_pipeline.engine.simulation import Simulation, simulate

__all__ = [
    "COMPONENTS",
    "ENGINE_VERSION",
    "FIGURES",
    "MarketArrays",
    "Parameters",
    "Simulation",
    "simulate",
]
