"""What the graph keeps between assets may be damaged; that is told by code, not by traceback."""

from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.market import PANEL
from basis_pipeline.orchestration.failures import failures
from tests.orchestration.conftest import Place


def materialise(place: Place, key: dg.AssetKey) -> BasisError | str | None:
    """Materialise one asset of pure_lending by itself and return what went wrong."""
    asked = {name: value for name, value in place.request().model_dump().items() if value}
    result = place.defs.resolve_job_def("full_pipeline").execute_in_process(
        instance=place.instance,
        asset_selection=[key],
        partition_key="pure_lending",
        run_config={"resources": {"options": {"config": asked}}},
        raise_on_error=False,
    )
    return next((reason for _, reason in failures(result)), None)


def test_a_damaged_panel_stops_its_backtest_until_it_is_made_anew(place: Place) -> None:
    """PLATFORM-003 names the file and the asset to materialise; doing so mends it."""
    assert place.run("pure_lending").modes[0].run_id
    (kept,) = (place.results / "warehouse" / "market" / "panel").glob("pure_lending.*")
    kept.write_bytes(kept.read_bytes()[:-100])
    problem = materialise(place, SIMULATION)
    assert isinstance(problem, BasisError)
    assert (problem.code, Path(problem.where)) == ("PLATFORM-003", kept)
    assert problem.action == "materialise market/panel[pure_lending]"
    assert materialise(place, PANEL) is None
    assert materialise(place, SIMULATION) is None


@pytest.mark.parametrize("directory", ["warehouse/market/panel", "warehouse/backtest"])
def test_a_warehouse_that_cannot_be_written_is_told_by_code(place: Place, directory: str) -> None:
    """RS-001 for a file in the way, as for a full or read-only disk."""
    (place.results / directory).parent.mkdir(parents=True)
    (place.results / directory).write_text("in the way")
    (mode,) = place.run("pure_lending").modes
    assert mode.run_id is None
    assert "RS-001" in {p.code for p in mode.problems if isinstance(p, BasisError)}
