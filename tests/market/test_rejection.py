"""A rejection keeps its rows wherever it is carried."""

import pickle

import pandas as pd

from basis_pipeline.market.rejection import RejectedDataError


def test_a_rejection_survives_another_process_with_its_rows() -> None:
    """Steps run in other processes; the rows to look at must come back from there."""
    rows = pd.DataFrame({"open": [0.0]})
    error = RejectedDataError("DATA-008", "no price", where="a.csv", offending=rows)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.where, str(again)) == (error.code, error.where, str(error))
    pd.testing.assert_frame_equal(again.offending, rows)
