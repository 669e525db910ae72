"""What a backtest request says, and what is known of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.base import StrictModel
from basis_pipeline.config.loading import parse_yaml, validate
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.window import Window
from basis_pipeline.runs.backtest import capital_of
from basis_pipeline.settings import Settings, load_settings

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Status(StrEnum):
    """Where a request stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class BacktestRequest(StrictModel):
    """One backtest that somebody asks for.

    Parameters
    ----------
    request_id: chosen by who asks; the same id with the same content is the same request.
    start, end: a date or an hour, UTC; the environment's window when not given.
    capital: in the share class's currency; its initial capital when not given.
    overrides: dotted key of the mode → value.
    """

    request_id: RequestId
    mode: str
    start: str | None = None
    end: str | None = None
    capital: Annotated[float, Field(gt=0.0)] | None = None
    overrides: dict[str, Any] = Field(default={})

    def settings(self) -> Settings:
        """The environment with the request's window on top. Raises ConfigError."""
        return load_settings(data_start_date=self.start, data_end_date=self.end)

    def window(self) -> Window:
        """The hours asked for. Raises ConfigError."""
        settings = self.settings()
        return Window(pd.Timestamp(settings.data_start_date), pd.Timestamp(settings.data_end_date))

    def sliced(self, configs: Configs) -> ModeSlice:
        """The mode with its overrides, held to every rule.

        Raises
        ------
        ConfigError: as `slice_mode`; CONFIG-011 or CONFIG-012 for a window or a capital.
        """
        mode_slice = slice_mode(configs, self.mode, self.overrides)
        capital_of(mode_slice, self.capital)
        self.window()
        return mode_slice


@dataclass(frozen=True, slots=True)
class Served:
    """A request as the queue knows it.

    run_id: of the recorded result · code, message: why there is none · verdicts: of the result's
    gates, by name.
    """

    sequence: int
    request: BacktestRequest
    status: Status
    submitted_at: datetime
    finished_at: datetime | None = None
    pipeline_run: str = ""
    run_id: str = ""
    code: str = ""
    message: str = ""
    verdicts: dict[str, str] = field(default_factory=dict)


def read_request(path: Path) -> BacktestRequest:
    """Read a request from a JSON or YAML file.

    Raises
    ------
    ConfigError: CONFIG-013 it cannot be read, CONFIG-004 it is neither, CONFIG-005 it does not fit.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"the request cannot be read: {error}"
        raise ConfigError("CONFIG-013", what, where=path.name) from error
    return validate(BacktestRequest, parse_yaml(text, path.name), path.name)
