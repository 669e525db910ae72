"""What gates said of a run stays said of it, whatever they say of the next one."""

from basis_pipeline.results.store import read_verdicts
from basis_pipeline.verdict import Status
from tests.orchestration.conftest import Place


def test_verdicts_belong_to_the_run_they_were_given_to(place: Place) -> None:
    """A run that failed keeps its failure after another one of its mode passed."""
    strict = place.run("btc_basis", overrides=["gates.max_drawdown=0.00001"]).modes[0]
    plain = place.run("btc_basis").modes[0]
    assert strict.run_id
    assert plain.run_id
    assert strict.run_id != plain.run_id

    def gates(run_id: str) -> dict[str, Status]:
        verdicts = read_verdicts(place.results / "runs" / run_id)
        return {verdict.check: verdict.status for verdict in verdicts}

    assert gates(strict.run_id)["drawdown_limit"] is Status.FAIL
    assert gates(plain.run_id)["drawdown_limit"] is Status.PASS
    assert gates(plain.run_id).keys() >= {"reconciliation", "determinism", "inputs", "integrity"}
    page = (place.results / "reports" / "btc_basis.html").read_text("utf-8")
    assert "GATE FAILED" not in page
