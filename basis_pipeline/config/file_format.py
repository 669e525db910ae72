"""How the files of a feed are written: what a reader must know beside the columns' names."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import StrictModel


class FileFormat(StrictModel):
    """The form of a feed's files. Zip and gzip are recognised; the defaults are CSV with a header.

    Parameters
    ----------
    type: csv, jsonl (a JSON value a line), json (one document with the rows in it), parquet.
    delimiter, encoding, comment, skip_lines: of CSV; lines to skip stand above the header, and so
        do lines that begin with the comment.
    header: `read` the names from the first line; there is `none`, or it is `optional`, and `names`
        says what the columns are; `replace` the file's header by `names`.
    names: of the columns, where the files have none; for JSON rows that are arrays too.
    records: dotted path to the rows inside a JSON document; empty: the document is the rows.
    unit: of timestamps that are numbers; not given: each row's is known by its number of digits.
    utc_offset_hours: the files' clock less UTC.
    label: whether a bar is labelled by its open or by its close; an open time is made of both.
    floor: the hour or day that a timestamp inside of it stands for.
    interval_minutes: of bars finer than the dataset's; they are aggregated to hours.
    where: column → the value of the rows that are read; the others belong to other feeds.
    file_name: regular expression that the beginning of each file's name matches, and of the file
        inside an archive: what does not is another symbol.
    scale: column → factor to the unit of the catalogue: 0.01 for percent, 1e-27 for ray.
    settlements: `each_row`, or the `last_of_interval`: many rows announce the settlement at the
        timestamp, and the last one `observed` before it is what was paid.
    observed: column with the time of such an announcement.
    resample: rows at irregular times become regular ones: what accrues grows `geometric`ally
        between two rows, everything else is held.
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
            raise ValueError("`observed` is given with `settlements: last_of_interval`, only")
        if any(factor == 0.0 for factor in self.scale.values()):
            raise ValueError("a scale is not 0")
        if self.file_name is not None:
            try:
                re.compile(self.file_name)
            except re.error as error:
                raise ValueError(f"file_name is not a regular expression: {error}") from None
        return self
