"""The warehouse: `<results_dir>/warehouse/<asset key>[/<mode>]<suffix>`, written atomically."""

from pathlib import Path
from typing import Any

import dagster as dg

from basis_pipeline.errors import BasisError, PlatformError
from basis_pipeline.orchestration import codecs
from basis_pipeline.orchestration.codecs import REFUSAL, Codec
from basis_pipeline.orchestration.resources import RunRequest

CODECS: dict[tuple[str, ...], Codec] = {
    ("raw",): codecs.RAW,
    ("dataset",): codecs.DATASET,
    ("config", "mode"): codecs.SLICE,
    ("market", "panel"): codecs.PANEL,
    ("backtest", "run"): codecs.RUN,
}


class Warehouse(dg.ConfigurableIOManager):
    """Keeps asset values; a refused one is kept as its error, and loading it raises that."""

    request: dg.ResourceDependency[RunRequest]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a value, or the error that stands in its place."""
        for partition in _partitions(context):
            self.store(context.asset_key, obj, partition)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read a value; of several partitions a dict by partition."""
        partitions = _partitions(context)
        loaded = {partition: self.load(context.asset_key, partition) for partition in partitions}
        return loaded if len(loaded) > 1 else loaded[partitions[0]]

    def store(self, key: dg.AssetKey, value: Any, partition: str = "") -> None:
        """Write atomically. A refusal leaves an earlier value where it is, but nobody reads it."""
        stem = self._stem(key, partition)
        stem.parent.mkdir(parents=True, exist_ok=True)
        refusal = _with_suffix(stem, REFUSAL)
        if isinstance(value, BasisError):
            REFUSAL.write(refusal, value)
            return
        codec = codec_for(key)
        codec.write(_with_suffix(stem, codec), value)
        refusal.unlink(missing_ok=True)

    def load(self, key: dg.AssetKey, partition: str = "") -> Any:
        """Read a value. Raises the recorded refusal, or PLATFORM-002 when none was ever written."""
        stem = self._stem(key, partition)
        refusal = _with_suffix(stem, REFUSAL)
        if refusal.exists():
            raise REFUSAL.read(refusal)
        codec = codec_for(key)
        path = _with_suffix(stem, codec)
        if not path.exists():
            named = "/".join(key.path) + (f"[{partition}]" if partition else "")
            what = f"{named} was never materialised"
            raise PlatformError(
                "PLATFORM-002", what, where=str(path), action=f"materialise {named}"
            )
        return codec.read(path)

    def find(self, key: dg.AssetKey, partition: str = "") -> Any:
        """Read a value, None when there is none or it was refused."""
        try:
            return self.load(key, partition)
        except BasisError:
            return None

    def _stem(self, key: dg.AssetKey, partition: str) -> Path:
        return self.request.warehouse.joinpath(*key.path, *([partition] if partition else []))


def codec_for(key: dg.AssetKey) -> Codec:
    """The codec of an asset: by its whole key, else by its first part."""
    whole = tuple(key.path)
    return CODECS[whole] if whole in CODECS else CODECS[whole[:1]]


def _partitions(context: dg.OutputContext | dg.InputContext) -> list[str]:
    return list(context.asset_partition_keys) if context.has_asset_partitions else [""]


def _with_suffix(stem: Path, codec: Codec) -> Path:
    return stem.with_name(f"{stem.name}{codec.suffix}")
