"""A venue's own risk parameters compared with the configuration."""

import pandas as pd
import pytest

from basis_pipeline.config.loading import load_configs
from basis_pipeline.market.risk_parameters import (
    RISK_NOT_UNDERSTATED,
    RISK_PARAMETERS,
    compare_parameters,
)
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status

VENUE = load_configs(project_root() / "configs").venues["binance"]


@pytest.mark.parametrize(
    ("initial", "maintenance", "agrees", "understated"),
    [
        (0.10, 0.05, Status.PASS, Status.PASS),
        (0.20, 0.10, Status.WARN, Status.FAIL),  # the run would be closed later than the venue says
        (0.10, 0.02, Status.WARN, Status.PASS),  # the run is closed earlier
        (0.05, 0.10, Status.WARN, Status.NOT_APPLICABLE),  # the file contradicts itself
    ],
)
def test_the_configuration_must_not_be_more_lenient_than_the_file(
    initial: float, maintenance: float, agrees: Status, understated: Status
) -> None:
    """Every difference is a warning; one that avoids liquidations is a failure."""
    rows = {
        "initial_margin_requirement": initial,
        "maintenance_margin_requirement": maintenance,
    }
    frame = pd.DataFrame({"parameter": list(rows), "value": list(rows.values())})
    found = compare_parameters(frame, VENUE, 1)
    assert (found[RISK_PARAMETERS].status, found[RISK_NOT_UNDERSTATED].status) == (
        agrees,
        understated,
    )
