"""An account compared with the positions actually held."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from basis_pipeline.errors import CommandError
from basis_pipeline.operations.accounts.reconcile import (
    compare_positions,
    positions,
    read_positions,
)
from tests.operations.accounts.conftest import Desk, account

LENT = account("lent", "pure_lending")


def test_positions_are_compared_beyond_a_tolerance(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    """The balance of a lending protocol with its interest; what is not held is a difference."""
    at = desk(LENT)
    with pytest.raises(CommandError, match="no run"):
        compare_positions(at.files("lent"), {}, 0.0)
    at.tick("2024-02-23T00:00", LENT)
    files, key = at.files("lent"), "aave_v3:aToken:aUSDT"
    result = files.run(1)
    assert result is not None
    wanted = positions(result, files.market(result.run_id))
    # Scaled by its index, the balance is nearly all of the equity; the rest is in the wallet.
    assert sum(wanted.values()) == pytest.approx(float(result.summary["final_equity"]), rel=1e-12)
    for suffix, written in (
        (".json", json.dumps(wanted)),
        (".csv", "position,quantity\n" + "".join(f"{k},{v!r}\n" for k, v in wanted.items())),
    ):
        held = tmp_path / f"held{suffix}"
        held.write_text(written)
        assert compare_positions(files, read_positions(held), 0.0).passed
    near = {key: wanted[key] * 1.0009, **{k: v for k, v in wanted.items() if k != key}}
    assert compare_positions(files, near, 1e-3).passed
    verdict = compare_positions(files, near, 1e-4)
    assert (verdict.passed, verdict.measured) == (False, 1)
    assert verdict.rows[0]["position"] == key
    assert not compare_positions(files, {}, 1e-3).passed
    with pytest.raises(CommandError, match="not positions of the account lent: aUSDT"):
        compare_positions(files, {"aUSDT": 1.0}, 0.0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "position,units\na,1\n",
        "position,quantity\na,x\n",
        "position,quantity\na,1\na,2\n",
        "position,quantity\na,nan\n",
        "a",
    ],
)
def test_a_file_that_says_nothing_is_rejected(tmp_path: Path, content: str) -> None:
    """No header, another column, a text, a position given twice: API-001 with the form."""
    file = tmp_path / "held.csv"
    file.write_text(content)
    with pytest.raises(CommandError) as raised:
        read_positions(file)
    assert raised.value.code == "API-001"
