"""Failures of the environment, the configuration files and overrides."""

from pathlib import Path

from basis_pipeline.backtests.backtest import capital_of
from basis_pipeline.config import Configs, load_configs, parse_assignments, slice_mode
from basis_pipeline.config.points import size
from basis_pipeline.market.window import parse_window
from basis_pipeline.settings import load_settings
from tests.backtests.studies import made_set
from tests.config.trees import COMMITTED, copy_tree

MODE = "modes/eth_basis.yaml"
LONG = {"low": 1.0, "high": 2.0, "steps": 10**6}


def committed() -> Configs:
    """The project's own configuration."""
    return load_configs(COMMITTED)


def with_text(place: Path, change: tuple[str, str]) -> None:
    """Load a copy of the configuration in which one text of a mode was replaced."""
    copy = copy_tree(place / "configs")
    before, after = change
    text = (copy / MODE).read_text()
    assert before in text
    (copy / MODE).write_text(text.replace(before, after, 1))
    load_configs(copy).mode("eth_basis")


def missing_variable(place: Path) -> None:
    """An environment file that gives nothing."""
    (place / "empty.env").write_text("# nothing\n")
    load_settings({"BASIS_ENV_FILE": str(place / "empty.env")})


def dangling_link(place: Path) -> None:
    """A mode's file that links to nowhere."""
    copy = copy_tree(place / "configs")
    (copy / "modes" / "extra.yaml").symlink_to(place / "nowhere.yaml")
    load_configs(copy).mode("extra")


def lacking_dataset(place: Path) -> None:
    """A catalogue without the perpetual a mode is hedged with."""
    copy = copy_tree(place / "configs")
    (copy / "datasets" / "bybit_ethusdt_perp.yaml").unlink()
    slice_mode(load_configs(copy), "eth_basis")


def copied_dataset(place: Path) -> None:
    """A copy of a dataset's file under another name."""
    copy = copy_tree(place / "configs")
    text = (copy / "datasets" / "weeth_peg.yaml").read_text()
    (copy / "datasets" / "peg_copy.yaml").write_text(text.replace("weeth_peg", "peg_copy", 1))
    slice_mode(load_configs(copy), "eth_leveraged")


def overridden(key: str, value: object) -> None:
    """Slice a mode with one override."""
    slice_mode(committed(), "eth_basis", {key: value})


PROVOCATIONS = {
    "CONFIG-001": missing_variable,
    "CONFIG-002": lambda _: load_settings({"BASIS_ENVIRONMENT": "moon"}),
    "CONFIG-003": lambda place: load_settings({"BASIS_ENV_FILE": str(place / "no.env")}),
    "CONFIG-004": lambda place: with_text(place, ("mode: eth_basis", "mode: [eth_basis")),
    "CONFIG-005": lambda place: with_text(place, ("asset:", "asett:")),
    "CONFIG-006": lambda _: overridden("allocation.spot", 1.0),
    "CONFIG-007": lambda _: slice_mode(committed(), "eth_bases"),
    "CONFIG-008": lambda _: overridden("spot.venue", "kraken"),
    "CONFIG-009": lacking_dataset,
    "CONFIG-010": lambda _: overridden("allocation.spott", 0.5),
    "CONFIG-011": lambda _: parse_window("2024-06-02", "2024-06-01"),
    "CONFIG-012": lambda _: capital_of(slice_mode(committed(), "eth_basis"), -1.0),
    "CONFIG-013": dangling_link,
    "CONFIG-014": copied_dataset,
    "CONFIG-MGR-001": lambda _: parse_assignments(["costs.model"]),
    "CONFIG-MGR-002": lambda _: parse_assignments(["costs.model=flat", "costs.model=table"]),
    "CONFIG-MGR-003": lambda _: overridden("mode", "btc_basis"),
    "CONFIG-MGR-005": lambda _: size(
        made_set(keys={f"rebalance.{band}_band": LONG for band in ("ltv", "delta")})
    ),
    "CONFIG-MGR-004": lambda _: parse_assignments(["hedge.venues={bybit: 1.0"]),
}
