"""The parameters of calls: bodies, filters and names."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    WithJsonSchema,
)

from basis_pipeline.config.automation import AlertKind
from basis_pipeline.operations.audit_log import Category, EventType
from basis_pipeline.operations.requests.model import Status as RequestStatus
from basis_pipeline.results.tables import TABLES
from basis_pipeline.times import parse_since
from basis_pipeline.verdict import Status

MAX_INTEGER = 2**31 - 1
SPAN = r"^\d{1,4}[smhdw]$"


def _moment(value: Any) -> datetime:
    """Read an ISO time, UTC without an offset, or a span before now such as 2h or 3d."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or value.isdigit():
        raise ValueError("it is not a time")
    try:
        return parse_since(value, datetime.now(UTC))
    except OverflowError:  # the first or last hours of the calendar, with an offset
        return datetime.min.replace(tzinfo=UTC) if value < "2" else datetime.max.replace(tzinfo=UTC)


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    json.dumps(value, allow_nan=False)
    return value


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": SPAN},
            ]
        }
    ),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{4,64}$", description="or the beginning of it")]
TableName = StrEnum("TableName", {name: name for name in TABLES})  # type: ignore[misc]
Line = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")
]
Hour = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?$")]


class Body(BaseModel, extra="forbid", strict=True):
    """A body; unknown fields and wrong types are rejected."""


class Filters(BaseModel, extra="forbid"):
    """Parameters of a query; unknown ones are rejected."""


class NewBacktest(Body):
    """A backtest to run; the environment and the mode have the defaults."""

    mode: Name
    start: Hour | None = None
    end: Hour | None = None
    capital: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    overrides: Annotated[dict[str, JsonValue], AfterValidator(_finite)] = Field(default={})


class ServiceName(Body):
    """A component to check now."""

    service: Annotated[str, Field(min_length=1, max_length=100)]


class Resume(Body):
    """Who resumes work, and why."""

    by: Annotated[Line, Field(max_length=100)]
    reason: Annotated[Line, Field(max_length=1000)]


class Halt(Resume):
    """Who halts work, and why; with `shutdown` ingestion and reports stop too."""

    shutdown: bool = False


Limit = Annotated[int, Field(ge=1, le=200)]


class BacktestFilters(Filters):
    """Filters of requests, the latest first; `before` the last number gets the next page."""

    status: RequestStatus | None = None
    mode: Name | None = None
    since: Moment | None = None
    before: Annotated[int, Field(ge=1, le=MAX_INTEGER)] | None = None
    limit: Limit = 50


class RunFilters(Filters):
    """Filters of recorded runs, the latest first; `before` the last number gets the next page."""

    mode: Name | None = None
    since: Moment | None = None
    before: Annotated[int, Field(ge=1, le=MAX_INTEGER)] | None = None
    limit: Limit = 50


class TableFilters(Filters):
    """Rows of a table: from `start` to `end`, both included, `limit` of them from `offset`.

    Parquet without any of these is the stored file.
    """

    format: Literal["json", "csv", "parquet"] = "json"
    start: Moment | None = None
    end: Moment | None = None
    offset: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0
    limit: Annotated[int, Field(ge=1, le=100_000)] = 1000


class AccountFilters(Filters):
    """Filters of accounts or signals: those at or after `since`."""

    since: Moment | None = None


class SignalFilters(AccountFilters):
    """Filters of signals, the latest first; `before` the last hour gets the next page."""

    before: Moment | None = None
    limit: Limit = 50


class GateFilters(Filters):
    """Filters of gates; `changed`: only those whose verdict was different a day ago."""

    phase: Annotated[int, Field(ge=1, le=9)] | None = None
    mode: Name | None = None
    status: Status | None = None
    since: Moment | None = None
    changed: bool = False


class EventFilters(Filters):
    """Filters of events, as in `basis events`; `run`: a pipeline run or a correlation id."""

    type: list[EventType | AlertKind] = Field(default=[])
    category: list[Category] = Field(default=[])
    mode: Name | None = None
    run: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")] | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class LatencyFilters(Filters):
    """The window before the latest snapshot."""

    window: Annotated[str, Field(pattern=SPAN)] = "1d"
