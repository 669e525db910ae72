"""How asset values are stored: Parquet for tables, JSON for the rest.

A codec writes a value to a path and reads it back. What a frame cannot hold (hashes, the window,
the catalogue entry) is in the metadata of the Parquet file, so that a value is one file, written
as a whole or not at all. A finished run is a directory, as in the results store.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.config import DatasetConfig, ModeSlice
from basis_pipeline.errors import BasisError, error_from_code
from basis_pipeline.files import write_atomically
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.findings import Findings
from basis_pipeline.market.panel_file import read_panel, write_panel
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.raw_file import RawFile
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window
from basis_pipeline.orchestration.failures import error_metadata
from basis_pipeline.results.store import read_run, write_run
from basis_pipeline.verdict import Verdict, rows_of

FACTS = b"basis_pipeline"
SHOWN_ROWS = 50


@dataclass(frozen=True, slots=True)
class Codec:
    """The suffix of a stored value, and how it is written and read."""

    suffix: str
    write: Callable[[Path, Any], object]
    read: Callable[[Path], Any]


def _of_text(suffix: str, encode: Callable[[Any], str], decode: Callable[[str], Any]) -> Codec:
    return Codec(
        suffix,
        lambda path, value: write_atomically(path, encode(value).encode()),
        lambda path: decode(path.read_text("utf-8")),
    )


def _of_table(
    facts: Callable[[Any], dict[str, Any]],
    decode: Callable[[DatasetConfig, pd.DataFrame, dict[str, Any]], Any],
) -> Codec:
    """Return the codec of a value with a `config` and a `frame`: Parquet with metadata."""

    def write(path: Path, value: Any) -> None:
        table = pa.Table.from_pandas(value.frame, preserve_index=False)
        rest = {"config": value.config.model_dump_json(), **facts(value)}
        metadata = {**(table.schema.metadata or {}), FACTS: json.dumps(rest).encode()}
        table, sink = table.replace_schema_metadata(metadata), io.BytesIO()
        texts = [f.name for f in table.schema if not pa.types.is_floating(f.type)]
        pq.write_table(table, sink, compression="zstd", use_dictionary=texts)
        write_atomically(path, sink.getvalue())

    def read(path: Path) -> Any:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        rest = json.loads(table.schema.metadata[FACTS])
        config = DatasetConfig.model_validate_json(rest.pop("config"))
        return decode(config, table.to_pandas(), rest)

    return Codec(".parquet", write, read)


def _decoded_feed(config: DatasetConfig, frame: pd.DataFrame, rest: dict[str, Any]) -> RawFeed:
    files = tuple(RawFile(**file) for file in rest["files"])
    return RawFeed(config, frame, files, tuple(rest["remarks"]))


def _facts_of_dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "window": [dataset.window.start.isoformat(), dataset.window.end.isoformat()],
        "own_share": dataset.own_share,
        "content_hashes": dataset.content_hashes,
        "findings": dataset.findings.to_json(),
        "verdicts": [verdict.to_json() for verdict in dataset.verdicts],
    }


def _decoded_dataset(config: DatasetConfig, frame: pd.DataFrame, rest: dict[str, Any]) -> Dataset:
    return Dataset(
        config=config,
        frame=frame,
        window=Window(*map(pd.Timestamp, rest["window"])),
        own_share=rest["own_share"],
        content_hashes=rest["content_hashes"],
        findings=Findings.from_json(rest["findings"]),
        verdicts=tuple(map(Verdict.from_json, rest["verdicts"])),
    )


def _encoded_rejection(error: BasisError) -> str:
    """Return a coded error as JSON, with its offending rows where it has any."""
    offending = error.offending if isinstance(error, RejectedDataError) else pd.DataFrame()
    rows = rows_of(offending, SHOWN_ROWS)
    return json.dumps({**error_metadata(error), "offending": rows}, indent=1)


def _decoded_rejection(content: str) -> BasisError:
    """Return the error; its rows have texts and numbers only."""
    parts = json.loads(content)
    rows = pd.DataFrame(parts.pop("offending"))
    if parts["code"].startswith("DATA-"):
        return RejectedDataError(**parts, offending=rows)
    return error_from_code(**parts)


RAW = _of_table(
    lambda feed: {"files": [asdict(file) for file in feed.files], "remarks": feed.remarks},
    _decoded_feed,
)
DATASET = _of_table(_facts_of_dataset, _decoded_dataset)
SLICE = _of_text(".json", lambda value: value.canonical, ModeSlice.model_validate_json)
PANEL = Codec(".parquet", lambda path, value: write_panel(value, path), read_panel)
RUN = Codec("", lambda path, value: write_run(value, path), read_run)
REJECTION = _of_text(".rejected.json", _encoded_rejection, _decoded_rejection)
