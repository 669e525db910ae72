"""What the UI says of a data feed: what it is, units, source, who reads it, what it breaks."""

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
    """Modes that read each dataset, by their files; as a benchmark counts too."""
    found: dict[str, list[str]] = {name: [] for name in configs.datasets}
    for mode in configs.modes:
        try:
            mode_slice = slice_mode(configs, mode)
        except ConfigError:
            continue  # its own asset says what is wrong with it
        for name in sorted(inputs_of(configs, mode_slice)):
            found[name].append(mode)
    return found


def feed_description(config: DatasetConfig, asset: str, configs: Configs, read: Readers) -> str:
    """Markdown for the asset of a feed: `asset` says what this asset does with it."""
    meaning = MEANINGS[config.kind]
    units = _UNITS.get(config.kind) or ", ".join(
        f"`{column.to}` in {column.unit}" for column in config.columns.values()
    )
    modes = ", ".join(read[config.name]) or "no mode by its file, but an override may"
    lent = [name for name, other in configs.datasets.items() if config.name in other.sources]
    repairs = f" It also repairs {', '.join(lent)}." if lent else ""
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
