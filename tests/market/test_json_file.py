"""The JSON feeds: cost tables and risk parameters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.raw import RawFeed, read_feed
from basis_pipeline.market.rejection import RejectedDataError
from tests.market.conftest import Catalogue

COSTS = "execution_costs/lookup_tables/execution_costs_lookup.json"
MARGIN = "market_data/derivatives/risk_params/okx_margin_requirements.json"
AAVE = "protocol_data/aave/risk_params"


def _read(tmp_path: Path, config: DatasetConfig, name: str, content: str) -> RawFeed:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return read_feed(tmp_path, config)


def _costs(config: DatasetConfig) -> dict[str, Any]:
    days = {"2024-06-01": 5, "2024-06-02": 6.5}
    return {pair: {"10k": days, "100k": days, "1m": days} for pair in config.required_keys}


def test_the_cost_table_becomes_long_rows(catalogue: Catalogue, tmp_path: Path) -> None:
    """Pair, bucket in USD, day and basis points; one row a value."""
    config = catalogue["execution_costs"]
    frame = _read(tmp_path, config, COSTS, json.dumps(_costs(config))).frame
    assert len(frame) == 9 * 3 * 2
    assert set(frame["size_bucket_usd"]) == {1e4, 1e5, 1e6}
    row = frame[(frame["pair"] == "ETHUSDT-PERP") & (frame["size_bucket_usd"] == 1e6)].iloc[1]
    assert (str(row["timestamp"]), row["cost_bps"]) == ("2024-06-02 00:00:00+00:00", 6.5)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: "", "DATA-002"),
        (lambda _: "{}", "DATA-002"),
        (lambda text: text.replace("ETH_weETH", "ETH_other"), "DATA-003"),
        (lambda text: text.replace("6.5", '"dear"', 1), "DATA-004"),
        (lambda text: text.replace("6.5", "NaN", 1), "DATA-004"),
        (lambda text: text.replace("2024-06-02", "June", 1), "DATA-004"),
        (lambda text: text.replace('"10k"', '"small"', 1), "DATA-004"),
        (lambda text: text.replace(":", ";", 1), "DATA-004"),
        (lambda _: "[1, 2]", "DATA-004"),
        (lambda text: text.replace('"10k"', f'"{"9" * 30}k"', 1), "DATA-004"),
        (lambda text: text.replace("6.5", "9" * 5000, 1), "DATA-004"),
        (lambda text: '{"a":' * 100_000 + text, "DATA-004"),
        (lambda text: text + " " * (65 << 20), "DATA-015"),
        (lambda text: text[:-1], "DATA-005"),
        (lambda text: text[: len(text) // 2], "DATA-005"),
        (lambda text: text.replace('"2024-06-02"', '"2024-06-01"', 1), "DATA-006"),
    ],
)
def test_a_broken_cost_table_is_rejected(
    change: Callable[[str], str], code: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Every way a document can be broken has the code its CSV sibling has."""
    config = catalogue["execution_costs"]
    with pytest.raises(RejectedDataError) as caught:
        _read(tmp_path, config, COSTS, change(json.dumps(_costs(config))))
    assert (caught.value.code, caught.value.where) == (code, COSTS)


def test_parameters_are_flattened_and_notes_left_out(catalogue: Catalogue, tmp_path: Path) -> None:
    """Nested limits get dotted names; what is no number is no parameter."""
    content = {
        "initial_margin_requirement": 0.05,
        "maintenance_margin_requirement": 0.1,
        "position_size_limits": {"max_position_usdt": 10},
        "note": "as downloaded",
    }
    feed = _read(tmp_path, catalogue["okx_risk_params"], MARGIN, json.dumps(content))
    assert feed.frame.set_index("parameter")["value"].to_dict() == {
        "initial_margin_requirement": 0.05,
        "maintenance_margin_requirement": 0.1,
        "position_size_limits.max_position_usdt": 10.0,
    }
    assert feed.span is None


def test_two_parameter_files_that_disagree_are_rejected(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """DATA-007 also for documents: both files and the parameter are named."""
    config = catalogue["aave_risk_params"]
    flat = dict.fromkeys(config.required_keys, 0.5)
    _read(tmp_path, config, f"{AAVE}/a.json", json.dumps(flat))
    assert len(_read(tmp_path, config, f"{AAVE}/b.json", json.dumps(flat)).files) == 2
    flat["emode.ltv_limits.weETH_WETH"] = 0.6
    with pytest.raises(RejectedDataError, match=r"a\.json and .*b\.json disagree") as caught:
        _read(tmp_path, config, f"{AAVE}/b.json", json.dumps(flat))
    assert caught.value.code == "DATA-007"
    assert "emode.ltv_limits.weETH_WETH" in caught.value.what
