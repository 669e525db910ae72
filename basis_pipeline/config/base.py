"""The base of every configuration model."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and does not coerce between kinds of values."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
