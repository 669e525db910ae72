"""Reconciliation: an account's positions compared with those actually held."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

from basis_pipeline.backtests.history import Series
from basis_pipeline.errors import CommandError
from basis_pipeline.operations.accounts.files import AccountFiles
from basis_pipeline.operations.accounts.gates import PHASE
from basis_pipeline.results.store import RunResult
from basis_pipeline.verdict import Verdict, count_of, judge

CHECK = "positions_match"
ASSET = "account/positions"
HELD = ("position", "quantity")  # columns of a CSV file
NOT_HELD = ":EntryPrice:"
DUST = 1e-6  # units of any instrument that are ignored


def compare_positions(files: AccountFiles, held: Mapping[str, float], tolerance: float) -> Verdict:
    """Compare an account's positions at its last hour with those actually held.

    Balances of a lending protocol are compared as the protocol shows them: with their interest.

    Parameters
    ----------
    held: position, by the keys of the table `positions` → units; a missing one is zero.
    tolerance: allowed difference as a share of the larger quantity.

    Raises
    ------
    CommandError: API-001 when the account has no run, or a key is not a position of it that can be
        held. ResultsError: RS-003 when its files are damaged.
    """
    legs = files.legs()
    result = files.run(legs[-1].number) if legs else None
    if result is None:
        raise CommandError("API-001", f"the account {files.name} has no run to compare with")
    wanted = positions(result, files.market(result.run_id))
    if foreign := sorted(held.keys() - wanted.keys()):
        what = f"not positions of the account {files.name}: {', '.join(foreign)}"
        raise CommandError("API-001", what, available=", ".join(wanted))
    rows = []
    for key, units in wanted.items():
        real = held.get(key, 0.0)
        if abs(real - units) > max(tolerance * max(abs(real), abs(units)), DUST):
            difference = real - units
            row = {"position": key, "account": units, "held": real, "difference": difference}
            rows.append(row)
    hour = f"{result.identity.end:%Y-%m-%d %H:%M} UTC"
    message = f"{count_of(len(wanted), 'position')} at {hour} within {tolerance:.4g} of the account"
    if rows:
        first = rows[0]
        message = (
            f"{count_of(len(rows), 'difference')} at {hour}; {first['position']} is "
            f"{first['held']:.8g}, the account has {first['account']:.8g}"
        )
    return judge(
        CHECK,
        "ERROR",
        not rows,
        message,
        measured=len(rows),
        limit=0,
        unit="differences",
        rows=tuple(rows),
        phase=PHASE,
        asset=ASSET,
        mode=files.name,
    )


def positions(result: RunResult, market: Series) -> dict[str, float]:
    """Return units by position at a run's last hour, balances as the protocol shows them."""
    table, mode = result.frames["positions"], result.config["mode"]
    found = {}
    for key in map(str, table.columns[1:]):
        if NOT_HELD in key:
            continue
        units = float(table[key].iloc[-1])
        _, kind, token = key.split(":")
        index = ""
        if kind == "debtToken":
            index = "borrow_index"
        elif kind == "aToken":
            staked = token == f"a{mode['staking']['lst']}"
            index = "collateral_index" if staked else "lending_index"
        found[key] = units * float(market[index][-1]) if index in market else units
    return found


def read_positions(file: Path) -> dict[str, float]:
    """Read the positions held: a CSV file with `position,quantity`, or a JSON object.

    Raises
    ------
    CommandError: API-001 when the file cannot be read, or names a position twice.
    """
    try:
        text = file.read_text("utf-8-sig")
        if file.suffix == ".json":
            rows = json.loads(text, object_pairs_hook=list)
        else:
            table = csv.DictReader(io.StringIO(text))
            if not set(HELD) <= set(table.fieldnames or ()):
                raise ValueError(f"the first line does not name {' and '.join(HELD)}")
            rows = [(row[HELD[0]].strip(), row[HELD[1]]) for row in table]
        held = {str(position): float(quantity) for position, quantity in rows}
        if unknown := [position for position, units in held.items() if not math.isfinite(units)]:
            raise ValueError(f"the quantity of {', '.join(unknown)} is not a number")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = f"the positions cannot be read: {reason}"
        action = "write position,quantity in the first line of a CSV file, or a JSON object"
        raise CommandError("API-001", what, where=str(file), action=action) from None
    if len(held) < len(rows):
        raise CommandError("API-001", "a position is given twice", where=str(file))
    return held
