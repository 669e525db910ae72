"""Descriptions of data feeds for the UI: content, units, source, readers, consequences."""

from collections.abc import Mapping, Sequence

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.config import Configs, DatasetConfig, slice_mode
from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.glossary import MEANINGS

Readers = Mapping[str, Sequence[str]]  # dataset → modes
_UNITS = {
    Kind.RISK_PARAMS: "each parameter as the file holds it, shares of one mostly",
    Kind.EXECUTION_COSTS: "basis points of notional, size buckets in USD",
}


def readers(configs: Configs) -> Readers:
    """Return the modes that read each dataset according to their files, also as a benchmark."""
    found: dict[str, list[str]] = {name: [] for name in configs.datasets}
    for mode in configs.modes:
        try:
            mode_slice = slice_mode(configs, mode)
        except ConfigError:
            continue  # the mode's own asset reports the error
        for name in sorted(inputs_of(configs, mode_slice)):
            found[name].append(mode)
    return found


def feed_description(config: DatasetConfig, asset: str, configs: Configs, read: Readers) -> str:
    """Return the Markdown description of a feed's asset; `asset` says what the asset holds."""
    meaning = MEANINGS[config.kind]
    units = _UNITS.get(config.kind) or ", ".join(
        f"`{column.to}` in {column.unit}" for column in config.columns.values()
    )
    modes = ", ".join(read[config.name]) or "no mode by its file, but an override may"
    repaired = [name for name, other in configs.datasets.items() if config.name in other.sources]
    repairs = f" It also repairs {', '.join(repaired)}." if repaired else ""
    return "\n\n".join(
        (
            f"{config.description}. {meaning.what}",
            asset,
            f"**Units:** {units}.",
            f"**Source:** {meaning.source}; `{config.glob}` below the data directory.",
            f"**What is at stake:** {meaning.wrong}",
            f"**Read by:** {modes}.{repairs}",
        )
    )
