"""Sample data spoiled on purpose: one implausible input each, in otherwise sound files."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

PERP = "market_data/derivatives/futures_ohlcv/{}_{}USDT_perp_*.csv"
FUNDING = "market_data/derivatives/funding_rates/{}_{}USDT_*.csv"
SPOT = "market_data/spot_prices/{}_usd/{}_*.csv"
RATES = "protocol_data/aave/rates/*_{}_rates_*.csv"
GAS = "blockchain_data/gas_prices/*.csv"
RISK = "protocol_data/aave/risk_params/*.json"
FROM_MIDDLE = "2024-02-10"

Row = dict[str, str]
Change = Callable[[Row], None]
Spoil = Callable[[Path], None]


def rewrite(data: Path, glob: str, change: Callable[[list[Row]], list[Row]]) -> None:
    """Rewrite the rows of every CSV file that a glob names."""
    paths = list(data.glob(glob))
    assert paths, glob
    for path in paths:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        comments = [line for line in lines if line.startswith("#")]
        header, *rows = [line for line in lines if not line.startswith("#")]
        names = header.split(",")
        read = [dict(zip(names, row.split(","), strict=True)) for row in rows]
        written = [",".join(row.values()) for row in change(read)]
        path.write_text("\n".join([*comments, header, *written]) + "\n")


def scaled(
    glob: str, columns: str, factor: float, since: str = "", until: str = "9", offset: float = 0.0
) -> Spoil:
    """Multiply columns, from a day on or until one."""

    def change(rows: list[Row]) -> list[Row]:
        for row in rows:
            if since <= next(iter(row.values())) < until:
                for name in columns.split():
                    row[name] = repr(float(row[name]) * factor + offset)
        return rows

    return lambda data: rewrite(data, glob, change)


def valued(glob: str, column: str, value: str, at: str) -> Spoil:
    """Set a column in the rows whose first value begins with a text."""

    def change(rows: list[Row]) -> list[Row]:
        for row in rows:
            if next(iter(row.values())).startswith(at):
                row[column] = value
        return rows

    return lambda data: rewrite(data, glob, change)


def moved(glob: str, hours: int) -> Spoil:
    """Move every timestamp."""

    def change(rows: list[Row]) -> list[Row]:
        for row in rows:
            name, text = next(iter(row.items()))
            at = datetime.fromisoformat(text.removesuffix("Z")) + timedelta(hours=hours)
            row[name] = f"{at.isoformat()}Z"
        return rows

    return lambda data: rewrite(data, glob, change)


def swapped(glob: str, one: str, other: str) -> Spoil:
    """Swap the values of two columns."""

    def change(rows: list[Row]) -> list[Row]:
        return [{**row, one: row[other], other: row[one]} for row in rows]

    return lambda data: rewrite(data, glob, change)


def of_another(glob: str, source: str, columns: str) -> Spoil:
    """Take columns from another file's rows in the same order."""

    def spoil(data: Path) -> None:
        taken: list[Row] = []
        rewrite(data, source, lambda rows: taken.extend(rows) or rows)
        names = columns.split()

        def change(rows: list[Row]) -> list[Row]:
            pairs = zip(rows, taken, strict=False)
            return [{**row, **{name: other[name] for name in names}} for row, other in pairs]

        rewrite(data, glob, change)

    return spoil


def stated(term: str, value: float) -> Spoil:
    """Set a term of weETH in Aave's file of risk parameters."""

    def spoil(data: Path) -> None:
        (path,) = data.glob(RISK)
        document = json.loads(path.read_text())
        document["emode"][term]["weETH_WETH"] = value
        path.write_text(json.dumps(document))

    return spoil


def all_of(*spoils: Spoil) -> Spoil:
    """Spoil several things."""

    def spoil(data: Path) -> None:
        for one in spoils:
            one(data)

    return spoil


def spoiled(sample: Path, place: Path, spoil: Spoil) -> Path:
    """Copy the sample and spoil the copy."""
    data = place / "data"
    shutil.copytree(sample, data)
    spoil(data)
    return data
