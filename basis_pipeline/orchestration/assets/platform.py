"""`platform/results_store`: compares the recorded runs with their files, a gate of phase 4."""

from collections.abc import Iterator

import dagster as dg

from basis_pipeline.errors import ResultsError
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import runs, verify
from basis_pipeline.verdict import Verdict, judge

RESULTS_STORE = dg.AssetKey(["platform", "results_store"])
CHECK = "integrity"
REQUIREMENT = "the files of every recorded run are in its directory and match their hashes"
PHASE = 4
CODE_VERSION = "2"


@dg.asset(
    key=RESULTS_STORE,
    check_specs=[check_spec(RESULTS_STORE, CHECK, "ERROR", REQUIREMENT, PHASE)],
    group_name="platform",
    kinds={"sqlite"},
    owners=["team:platform"],
    code_version=CODE_VERSION,
    description=(
        "The recorded runs, each compared with the hashes of its files in the database.\n\n"
        "**Units:** number of runs. **Source:** the results directory and database at the time of "
        "the materialisation.\n\n"
        "**What is at stake:** whether the figures on the pages are those that were computed: this "
        "check finds files that were edited or lost later."
    ),
)
def results_store(options: RunOptions) -> Iterator[dg.MaterializeResult[None]]:
    """Verify every recorded run."""
    yield dg.MaterializeResult(check_results=[check_result(RESULTS_STORE, _verify(options))])


def _verify(options: RunOptions) -> Verdict:
    """Verify every recorded run; the check is not applicable where none is recorded."""
    problems = []
    try:
        engine = existing(options.settings.results_db_url)
        recorded = runs(engine) if engine else []
    except ResultsError as error:
        return judge(CHECK, "ERROR", False, str(error), phase=PHASE)
    if not recorded:
        return judge(CHECK, "ERROR", None, "no run is recorded", phase=PHASE)
    for record in recorded:
        try:
            verify(record)
        except ResultsError as error:
            problems.append(str(error))
    return judge(
        CHECK,
        "ERROR",
        not problems,
        "; ".join(problems[:3]) or f"{len(recorded)} runs match their hashes",
        evidence={"runs": len(recorded)},
        rows=tuple({"problem": problem} for problem in problems),
        phase=PHASE,
    )
