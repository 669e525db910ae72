"""How the values that assets hand to each other are stored: Parquet for tables, JSON for the rest.

A codec writes a value below a path and reads it back. What a frame cannot hold (hashes, the
window, the catalogue entry) travels in the Parquet file's own metadata, so that a value is one
file and is there as a whole or not at all. A finished run is a directory, as the store keeps it.
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
from basis_pipeline.market.raw import RawFeed, RawFile
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window
from basis_pipeline.orchestration.failures import error_metadata
from basis_pipeline.orchestration.tables import table
from basis_pipeline.results.store import read_run, write_run
from basis_pipeline.verdict import Verdict

FACTS = b"basis_pipeline"
SHOWN_ROWS = 50


@dataclass(frozen=True, slots=True)
class Codec:
    """The suffix of what is written, how it is written and how it is read."""

    suffix: str
    write: Callable[[Path, Any], object]
    read: Callable[[Path], Any]


def of_file(suffix: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Codec:
    """The codec of a value that is one file."""
    return Codec(
        suffix,
        lambda path, value: write_atomically(path, encode(value)),
        lambda path: decode(path.read_bytes()),
    )


def write_table(frame: pd.DataFrame, facts: dict[str, Any]) -> bytes:
    """Parquet with `facts` as JSON in its metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), FACTS: json.dumps(facts).encode()}
    texts = [f.name for f in table.schema if not pa.types.is_floating(f.type)]
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(metadata), sink, compression="zstd", use_dictionary=texts
    )
    return sink.getvalue()


def read_table(content: bytes) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Frame and facts of a file that `write_table` made."""
    table = pq.read_table(io.BytesIO(content))
    return table.to_pandas(), json.loads(table.schema.metadata[FACTS])


def encode_raw(feed: RawFeed) -> bytes:
    """A raw feed, with the files it was read from."""
    files = [asdict(file) for file in feed.files]
    return write_table(feed.frame, {"config": feed.config.model_dump_json(), "files": files})


def decode_raw(content: bytes) -> RawFeed:
    """The raw feed that `encode_raw` wrote."""
    frame, facts = read_table(content)
    config = DatasetConfig.model_validate_json(facts["config"])
    return RawFeed(config, frame, tuple(RawFile(**file) for file in facts["files"]))


def encode_dataset(dataset: Dataset) -> bytes:
    """A dataset with its window, the hashes of what it was made from, findings and verdicts."""
    facts = {
        "config": dataset.config.model_dump_json(),
        "window": [dataset.window.start.isoformat(), dataset.window.end.isoformat()],
        "own_share": dataset.own_share,
        "content_hashes": dataset.content_hashes,
        "findings": dataset.findings.to_json(),
        "verdicts": [verdict.to_json() for verdict in dataset.verdicts],
    }
    return write_table(dataset.frame, facts)


def decode_dataset(content: bytes) -> Dataset:
    """The dataset that `encode_dataset` wrote."""
    frame, facts = read_table(content)
    start, end = (pd.Timestamp(bound) for bound in facts["window"])
    return Dataset(
        config=DatasetConfig.model_validate_json(facts["config"]),
        window=Window(start, end),
        frame=frame,
        own_share=facts["own_share"],
        content_hashes=facts["content_hashes"],
        findings=Findings.from_json(facts["findings"]),
        verdicts=tuple(Verdict.from_json(verdict) for verdict in facts["verdicts"]),
    )


def encode_rejection(error: BasisError) -> bytes:
    """A coded error in place of a value, with the rows at fault where it has some."""
    rows = error.offending if isinstance(error, RejectedDataError) else pd.DataFrame()
    shown = [record.data for record in table(rows, SHOWN_ROWS).records]
    return json.dumps({**error_metadata(error), "offending": shown}, indent=1).encode()


def decode_rejection(content: bytes) -> BasisError:
    """The error that `encode_rejection` wrote; its rows come back as texts and numbers."""
    parts = json.loads(content)
    rows = pd.DataFrame(parts.pop("offending"))
    if parts["code"].startswith("DATA-"):
        return RejectedDataError(**parts, offending=rows)
    return error_from_code(**parts)


RAW = of_file(".parquet", encode_raw, decode_raw)
DATASET = of_file(".parquet", encode_dataset, decode_dataset)
SLICE = of_file(".json", lambda value: value.canonical.encode(), ModeSlice.model_validate_json)
PANEL = Codec(".parquet", lambda path, value: write_panel(value, path), read_panel)
RUN = Codec("", lambda path, value: write_run(value, path), read_run)
REJECTION = of_file(".rejected.json", encode_rejection, decode_rejection)
