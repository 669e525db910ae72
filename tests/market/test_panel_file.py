"""Panels on disk: every bit comes back, and only a whole and fit panel does."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis_pipeline.config.slicing import slice_mode
from basis_pipeline.errors import BacktestError
from basis_pipeline.market.panel import Panel, build_panel
from basis_pipeline.market.panel_file import (
    panel_from_table,
    panel_to_table,
    read_panel,
    write_panel,
)
from tests.market.made_datasets import WINDOW, changed, configs, make_datasets

DATASETS = make_datasets()
DATASETS["okx_ethusdt_perp"] = changed(DATASETS["okx_ethusdt_perp"], 7, "repair", "substituted")


def made(mode: str) -> Panel:
    """Return the panel of a mode over the made datasets, one bar of okx repaired."""
    return build_panel(slice_mode(configs(), mode), DATASETS, WINDOW)


def test_a_panel_comes_back_bit_for_bit(tmp_path: Path) -> None:
    """Arrays, NaN, flags, names and hashes survive the file, for modes with and without venues."""
    for mode in tuple(configs().modes):
        panel, path = made(mode), tmp_path / "panel.parquet"
        write_panel(panel, path)
        again = read_panel(path)
        for field in fields(Panel):
            before, after = getattr(panel, field.name), getattr(again, field.name)
            if isinstance(before, np.ndarray):
                assert after.dtype == before.dtype, field.name
                assert after.shape == before.shape, field.name
                assert after.tobytes() == before.tobytes(), field.name
            elif field.name != "repairs":
                assert after == before, field.name
        assert list(again.repairs) == list(panel.repairs), mode
        assert all((again.repairs[name] == flags).all() for name, flags in panel.repairs.items()), (
            mode
        )
        assert again.repaired.any() == ("okx" in panel.venues), mode
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name], mode


def test_equal_panels_give_equal_bytes(tmp_path: Path) -> None:
    """The same panel is the same file."""
    for name in ("one", "two"):
        write_panel(made("usdt_market_neutral"), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_table_can_be_read_by_a_person() -> None:
    """Columns are named by what they hold, times are zoned."""
    table = panel_to_table(made("usdt_market_neutral"))
    named = {"spot", "perp_mark.okx", "cost_bps.EIGEN.100000", "cost_bps.bybit_perp.10000"}
    assert named | {"reward_price.ETHFI", "repairs.okx_ethusdt_perp"} <= set(table.column_names)
    assert table.schema.field("timestamp").type == pa.timestamp("ns", tz="UTC")


def test_what_is_not_a_panel_is_rejected(tmp_path: Path) -> None:
    """A foreign table, a lost column, a lost hour and an unfit value are rejected with BT-003."""
    table = panel_to_table(made("eth_basis"))
    spot = table.column_names.index("spot")
    zero = pa.array(np.zeros(table.num_rows))
    broken = {
        "has no panel metadata": table.replace_schema_metadata({}),
        "lacks the columns perp_mark.okx": table.drop_columns(["perp_mark.okx"]),
        "contiguous": pa.concat_tables([table.slice(0, 5), table.slice(6)]),
        "spot of eth_basis is 0.0": table.set_column(spot, "spot", zero),
    }
    for message, other in broken.items():
        pq.write_table(other, tmp_path / "panel.parquet")
        with pytest.raises(BacktestError, match=message) as caught:
            read_panel(tmp_path / "panel.parquet")
        assert caught.value.code == "BT-003"
    assert panel_from_table(table).mode == "eth_basis"


def test_a_failed_write_leaves_the_panel_before(tmp_path: Path) -> None:
    """What cannot be written whole is not there, and what was there stays."""
    path, panel = tmp_path / "panel.parquet", made("eth_basis")
    write_panel(panel, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="reshape"):
        write_panel(replace(panel, spot=panel.spot[:-1]), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
