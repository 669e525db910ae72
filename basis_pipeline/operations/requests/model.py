"""Backtest requests: their content and their status."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, TypeAdapter

from basis_pipeline.backtests.backtest import capital_of
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.base import StrictModel
from basis_pipeline.config.loading import parse_yaml, validate
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.window import Window
from basis_pipeline.settings import Settings
from basis_pipeline.times import parse_hour

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
MAX_BYTES = 65_536


class Status(StrEnum):
    """Status of a request; all but the first two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # the backtest raised an unexpected error
    REJECTED = "rejected"  # the request or its data cannot be run
    CANCELED = "canceled"


class BacktestRequest(StrictModel):
    """One requested backtest.

    Parameters
    ----------
    request_id: chosen by the caller; the same id with the same content is the same request.
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

    def window(self, settings: Settings) -> Window:
        """Return the hours of the backtest. Raises ConfigError: CONFIG-011."""
        start = parse_hour(self.start) if self.start else settings.data_start_date
        end = parse_hour(self.end) if self.end else settings.data_end_date
        if start >= end:
            what = f"the window starts at {start:%Y-%m-%d %H:%M} and ends at {end:%Y-%m-%d %H:%M}"
            raise ConfigError("CONFIG-011", what, where=f"request {self.request_id}")
        return Window(pd.Timestamp(start), pd.Timestamp(end))

    def sliced(self, configs: Configs) -> ModeSlice:
        """Return the slice of the mode with its overrides.

        Raises
        ------
        ConfigError: as `slice_mode`; CONFIG-012 for an unusable capital.
        """
        mode_slice = slice_mode(configs, self.mode, self.overrides)
        capital_of(mode_slice, self.capital)
        return mode_slice


@dataclass(frozen=True, slots=True)
class Served:
    """A request with its status in the queue.

    run_id: of the recorded result, whose directory holds its verdicts · code, message: why there is
    none. correlation_id: of the HTTP call; empty for a command or a file.
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
    correlation_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values; times in ISO 8601, UTC."""
        values: dict[str, Any] = TypeAdapter(Served).dump_python(self, mode="json")
        return values


def read_request(path: Path) -> BacktestRequest:
    """Read a request from a JSON or YAML file.

    Raises
    ------
    ConfigError: CONFIG-013 it cannot be read, CONFIG-004 it is too large or neither JSON nor YAML,
        CONFIG-005 it does not fit.
    """
    try:
        if not path.is_file():
            raise OSError("it is not a file")
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"the request cannot be read: {error}"
        raise ConfigError("CONFIG-013", what, where=path.name) from error
    if len(text.encode()) > MAX_BYTES:
        what = f"the request is larger than {MAX_BYTES:,} bytes"
        raise ConfigError("CONFIG-004", what, where=path.name)
    return validate(BacktestRequest, parse_yaml(text, path.name), path.name)
