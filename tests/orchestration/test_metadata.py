"""Tables in the UI: every column explained, every cell shown."""

import numpy as np
import pandas as pd

from basis_pipeline.config.current import current_configs
from basis_pipeline.market.schemas import schema_for
from basis_pipeline.orchestration.metadata import column_schema, table


def test_column_schema_carries_type_unit_and_constraints() -> None:
    """What pandera holds a column to is what the UI shows of it."""
    schema = column_schema(schema_for(current_configs().datasets["aave_usdt_rates"]))
    columns = {column.name: column for column in schema.columns}
    index = columns["liquidity_index"]
    assert index.type == "float64"
    assert index.constraints.nullable is False
    assert "only grows" in index.constraints.other
    assert columns["timestamp"].type == "datetime64[ns, UTC]"
    gas = column_schema(schema_for(current_configs().datasets["ethereum_gas"]))
    assert any("[gwei per gas]" in (c.description or "") for c in gas.columns)


def test_cells_of_every_kind_are_shown() -> None:
    """Stamps become texts, missing values stay missing, numbers keep their value."""
    frame = pd.DataFrame(
        {
            "at": [pd.Timestamp("2024-01-01", tz="UTC"), pd.NaT],
            "price": [1.5, np.nan],
            "count": [1, 2],
            "venue": ["bybit", None],
            "flag": [True, False],
        }
    )
    first, second = (record.data for record in table(frame).records)
    assert first == {
        "at": "2024-01-01T00:00:00+00:00",
        "price": 1.5,
        "count": 1,
        "venue": "bybit",
        "flag": True,
    }
    assert second["at"] is None
    assert second["price"] is None
    assert second["venue"] is None


def test_long_tables_are_cut() -> None:
    """The event log is not a warehouse: a table shows its first rows."""
    assert len(table(pd.DataFrame({"n": range(500)}), limit=7).records) == 7
