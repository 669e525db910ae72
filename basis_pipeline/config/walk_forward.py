"""Walk-forward plans: which keys of a mode are chosen on past data, and how that is judged.

`configs/walk_forward/<mode>.yaml`, one per mode.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Share, StrictModel
from basis_pipeline.config.loading import Configs, load_file
from basis_pipeline.config.scenario import Axis, Choice, Constraints
from basis_pipeline.errors import ConfigError
from basis_pipeline.times import ANNUALISED_FROM_DAYS

Days = Annotated[int, Field(ge=2)]
Objective = Literal["sharpe", "sortino", "calmar", "apy", "apr", "total_return"]


class Limits(StrictModel):
    """The limits of a finished walk-forward.

    Parameters
    ----------
    max_degradation: of the objective from train to test, as a share of what it was on train.
    min_deflated_sharpe, max_overfitting: probabilities.
    """

    max_degradation: Annotated[float, Field(ge=0.0)]
    min_deflated_sharpe: Share
    max_overfitting: Share


class WalkForward(StrictModel):
    """The plan of one mode.

    Parameters
    ----------
    keys: axes of the grid to choose from.
    train_days, test_days: lengths of the two windows; the second follows the first.
    step_days: from one pair of windows to the next.
    blocks: an even number of pieces of time, for the probability of backtest overfitting.
    natural_edges: ends of axes beyond which no value makes sense, such as a weight of 1.
    """

    mode: str
    description: str
    keys: Annotated[dict[str, Axis], Field(min_length=1)]
    train_days: Days
    test_days: Days
    step_days: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=2, le=16, multiple_of=2)]
    objective: Objective
    constraints: Constraints
    limits: Limits
    natural_edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_choose(self) -> Self:
        for key, axis in self.keys.items():
            if not isinstance(axis, Choice) and axis.steps is None:
                raise ValueError(f"{key}: a walk-forward chooses from a grid, so a range has steps")
        shortest = min(self.train_days, self.test_days)
        if self.objective != "total_return" and shortest < ANNUALISED_FROM_DAYS:
            raise ValueError(
                f"a window of {shortest} days has no {self.objective}: take {ANNUALISED_FROM_DAYS} "
                "days or more, or the objective total_return"
            )
        unknown = sorted(self.natural_edges.keys() - self.keys.keys())
        if unknown:
            raise ValueError(f"natural_edges names {unknown[0]}, which is not a key of the grid")
        return self


def load_walk_forward(config_dir: Path, configs: Configs, mode: str) -> WalkForward:
    """Load the plan of a mode.

    Raises
    ------
    ConfigError: CONFIG-007 no such mode, CONFIG-003 a mode without a plan, else as every file.
    """
    configs.mode(mode)
    file = config_dir / "walk_forward" / f"{mode}.yaml"
    if not file.exists():
        what = f"there is no walk-forward plan of {mode}"
        plans = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise ConfigError("CONFIG-003", what, where=str(file), available=plans)
    return load_file(file, WalkForward, "mode")
