"""What the configuration of the tests promises."""

import pytest


def test_tests_of_one_file_stay_on_one_worker(request: pytest.FixtureRequest) -> None:
    """Their shared fixtures are made once, and what one leaves the next one finds."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@tests/test_conftest.py")
