"""Asset values as files: `<results_dir>/warehouse/<asset key>[/<mode>]<suffix>`."""

from pathlib import Path
from typing import Any

import dagster as dg

from basis_pipeline.errors import BasisError, PlatformError, ResultsError
from basis_pipeline.orchestration import codecs
from basis_pipeline.orchestration.codecs import REJECTION, Codec
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.resources import RunOptions

# By an asset's whole key, or by its first part.
CODECS = {
    "raw": codecs.RAW,
    "dataset": codecs.DATASET,
    "config/mode": codecs.SLICE,
    "market/panel": codecs.PANEL,
    "backtest/simulation": codecs.RUN,
}


class ParquetIOManager(dg.ConfigurableIOManager):
    """Store asset values; a rejected value is stored as its error, and loading it raises that."""

    options: dg.ResourceDependency[RunOptions]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a value, or the error in place of a rejected one."""
        with coded_failures():
            self.store(context.asset_key, obj, _partition(context))

    def load_input(self, context: dg.InputContext) -> Any:
        """Read a value."""
        with coded_failures():
            return self.load(context.asset_key, _partition(context))

    def store(self, key: dg.AssetKey, value: Any, partition: str = "") -> None:
        """Write atomically. A rejection keeps the file of an earlier value, which is not read.

        Raises
        ------
        ResultsError: RS-001 when it cannot be written.
        """
        stem = self._stem(key, partition)
        rejection = _with_suffix(stem, REJECTION)
        codec = REJECTION if isinstance(value, BasisError) else _codec_for(key)
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            codec.write(_with_suffix(stem, codec), value)
            if codec is not REJECTION:
                rejection.unlink(missing_ok=True)
        except OSError as error:
            what = f"{_named(key, partition)} cannot be stored: {error.strerror}"
            raise ResultsError("RS-001", what, where=str(error.filename or stem)) from error

    def load(self, key: dg.AssetKey, partition: str = "") -> Any:
        """Read a value.

        Raises
        ------
        BasisError: the recorded rejection; PLATFORM-002 when none was ever written, PLATFORM-003
            when what was written is damaged.
        """
        stem, named = self._stem(key, partition), _named(key, partition)
        rejection, codec = _with_suffix(stem, REJECTION), _codec_for(key)
        rejected = rejection.exists()
        path = rejection if rejected else _with_suffix(stem, codec)
        action = f"materialise {named}"
        if not path.exists():
            what = f"{named} was never materialised"
            raise PlatformError("PLATFORM-002", what, where=str(path), action=action)
        try:
            value = REJECTION.read(path) if rejected else codec.read(path)
        except (ValueError, KeyError, TypeError, OSError) as error:
            what = f"{named} cannot be read back: {type(error).__name__}: {error}"
            raise PlatformError("PLATFORM-003", what, where=str(path), action=action) from error
        if rejected:
            raise value
        return value

    def find(self, key: dg.AssetKey, partition: str = "") -> Any:
        """Return a value; None when there is none or it was rejected."""
        try:
            return self.load(key, partition)
        except BasisError:
            return None

    def _stem(self, key: dg.AssetKey, partition: str) -> Path:
        return self.options.warehouse.joinpath(*key.path, *([partition] if partition else []))


def _codec_for(key: dg.AssetKey) -> Codec:
    return CODECS.get("/".join(key.path)) or CODECS[key.path[0]]


def _named(key: dg.AssetKey, partition: str) -> str:
    return "/".join(key.path) + (f"[{partition}]" if partition else "")


def _partition(context: dg.OutputContext | dg.InputContext) -> str:
    return context.asset_partition_key if context.has_asset_partitions else ""


def _with_suffix(stem: Path, codec: Codec) -> Path:
    return stem.with_name(f"{stem.name}{codec.suffix}")
