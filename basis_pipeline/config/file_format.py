"""The format of a feed's files: what a reader must know besides the columns' names."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import StrictModel


class FileFormat(StrictModel):
    """The format of a feed's files. Zip and gzip are recognised; the default is CSV with a header.

    Parameters
    ----------
    type: csv, jsonl (a JSON value a line), json (one document with the rows in it), parquet.
    delimiter, encoding, comment, skip_lines: of CSV; lines to skip, and lines that begin with the
        comment, come before the header.
    header: `read` the names from the first line; `none` or `optional`: the columns are those of
        `names`; `replace` the file's header with `names`.
    names: of the columns, where the files have none; also for JSON rows that are arrays.
    records: dotted path to the rows inside a JSON document; empty when the document is the rows.
    unit: of timestamps that are numbers; when not given, each row's number of digits decides.
    utc_offset_hours: the files' clock less UTC.
    label: whether bars are labelled by their open or their close; both are read as open times.
    floor: round each timestamp down to its hour or day.
    interval_minutes: of bars finer than the dataset's; they are aggregated to hours.
    where: column → value of the rows to read; other rows belong to other feeds.
    file_name: regular expression that must match the beginning of each file's name, and of the
        name inside an archive; other files belong to other symbols.
    scale: column → factor to the unit of the catalogue: 0.01 for percent, 1e-27 for ray.
    settlements: `each_row`, or the `last_of_interval`: many rows announce the settlement at the
        timestamp, and the last one `observed` before it was paid.
    observed: column with the time of such an announcement.
    resample: rows at irregular times become regular ones: what accrues grows `geometric`ally
        between two rows, everything else keeps its last value.
    unusable: column → why it must not be used.
    """

    type: Literal["csv", "jsonl", "json", "parquet"] = "csv"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "latin-1", "gb18030"] = "utf-8"
    comment: Annotated[str, Field(min_length=1, max_length=8)] = "#"
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    header: Literal["read", "none", "optional", "replace"] = "read"
    names: tuple[str, ...] = ()
    records: str = ""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    utc_offset_hours: Annotated[int, Field(ge=-14, le=14)] = 0
    label: Literal["open", "close"] = "open"
    floor: Literal["hour", "day"] | None = None
    interval_minutes: Literal[1, 2, 3, 5, 10, 15, 30] | None = None
    where: dict[str, str] = Field(default_factory=dict)
    file_name: str | None = None
    scale: dict[str, float] = Field(default_factory=dict)
    settlements: Literal["each_row", "last_of_interval"] = "each_row"
    observed: str | None = None
    resample: Literal["geometric"] | None = None
    unusable: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.header == "read") == bool(self.names) and self.type in ("csv", "parquet"):
            raise ValueError("`names` is given where the header is none, optional or replaced")
        if len(set(self.names)) != len(self.names):
            raise ValueError("`names` gives a column twice")
        if (self.settlements == "last_of_interval") != (self.observed is not None):
            raise ValueError(
                "`observed` is the key of `settlements: last_of_interval`, and needed there"
            )
        if any(factor == 0.0 for factor in self.scale.values()):
            raise ValueError("a scale must not be 0")
        if self.file_name is not None:
            try:
                re.compile(self.file_name)
            except re.error as error:
                raise ValueError(f"file_name is not a regular expression: {error}") from None
        return self
