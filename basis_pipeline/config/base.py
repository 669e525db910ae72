"""The base class of every configuration model, and the types that several of them share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z0-9_]{1,64}$"
Name = Annotated[str, Field(pattern=NAME)]
Count = Annotated[int, Field(gt=0)]
Hours = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class StrictModel(BaseModel):
    """A frozen model that rejects unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
