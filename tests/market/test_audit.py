"""The audit: one line per family, a verdict, and never an exception for bad data."""

from collections.abc import Callable
from pathlib import Path

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.audit import AuditLine, audit, audit_table
from basis_pipeline.market.window import parse_window

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]

PERPS = "market_data/derivatives/futures_ohlcv"


def _lines(catalogue: Catalogue, tmp_path: Path, *names: str) -> dict[str, AuditLine]:
    return {line.family: line for line in audit(tmp_path, [catalogue[name] for name in names])}


def test_every_verdict_is_given(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """PASS, WARN for repairs, FAIL with its code, ABSENT."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", [*bars(), bars()[5]])
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*bars()[:20], *bars()[23:]])
    put(f"{PERPS}/bybit_BTCUSDT_perp_1h_a.csv", bars())
    names = ("bybit_ethusdt_perp", "binance_ethusdt_perp", "bybit_btcusdt_perp", "ethereum_gas")
    found = _lines(catalogue, tmp_path, *names)
    bybit, binance, wrong, gas = (found[name] for name in names)
    assert (bybit.verdict, bybit.rows, bybit.exact_duplicates, bybit.holes) == ("PASS", 49, 1, 0)
    assert (binance.verdict, binance.holes, binance.longest_hole_hours) == ("WARN", 1, 3)
    assert binance.message == "3 rows substituted"
    assert (wrong.verdict, wrong.code) == ("FAIL", "DATA-011")
    assert (gas.verdict, gas.code, gas.files) == ("N/A", "DATA-001", 0)


def test_a_window_is_audited_as_a_run_would_use_it(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Sound over its own span, a family may still not serve the window asked for."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", bars())
    window = parse_window("2024-06-01", "2024-07-01")
    (line,) = audit(tmp_path, [catalogue["bybit_ethusdt_perp"]], window)
    assert (line.verdict, line.code) == ("FAIL", "DATA-010")
    assert (line.holes, line.longest_hole_hours) == (1, 673)


def test_outliers_are_counted_and_warned_of(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A leap is worth a look, and no failure."""
    lines = [line.replace(",30", ",60") if i > 24 else line for i, line in enumerate(bars())]
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", lines)
    line = _lines(catalogue, tmp_path, "bybit_ethusdt_perp")["bybit_ethusdt_perp"]
    assert (line.verdict, line.outliers) == ("WARN", 1)


def test_the_table_has_a_column_per_field(catalogue: Catalogue, tmp_path: Path) -> None:
    """An empty directory is a table of absent families."""
    table = audit_table(audit(tmp_path, catalogue.values()))
    assert len(table) == 34
    assert set(table["verdict"]) == {"N/A"}
    assert {"family", "first", "rows", "holes", "message"} <= set(table.columns)
