"""`request/backtests`: backtest requests, served in the order of the queue."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.errors import BasisError
from basis_pipeline.operations.requests.model import Served, Status
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.orchestration.failures import RETRIES, as_failure
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.resources import RunOptions

REQUESTS = dg.AssetKey(["request", "backtests"])
REQUESTS_JOB = "serve_requests"
CODE_VERSION = "1"


class Numbers(dg.Config):
    """The requests to serve."""

    sequences: list[int]


def requests_config(sequences: Sequence[int]) -> dict[str, Any]:
    """Return the run configuration to serve these requests."""
    op = REQUESTS.to_python_identifier()
    return {"ops": {op: {"config": {"sequences": list(sequences)}}}}


@dg.asset(
    key=REQUESTS,
    group_name="request",
    kinds={"numba", "sql"},
    owners=["team:strategy"],
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    pool="requests",
    description=(
        "Backtests on request: by a file in the inbox, an API call or `basis request`. Each runs "
        "separately from the raw files and is recorded in the store; its row in the queue shows "
        "the outcome. The values of nightly runs are neither read nor changed.\n\n"
        "**Units:** capital in the share class's currency; times in UTC. **Source:** the table of "
        "requests in the results database, in the order of acceptance.\n\n"
        "**What is at stake:** people decide on these results; a request that is lost, served "
        "twice or mistaken for the mode's own run would mislead them."
    ),
)
def requests(
    context: dg.AssetExecutionContext, config: Numbers, options: RunOptions
) -> dg.MaterializeResult[None]:
    """Serve the requests named; a rejected one is an outcome, not a failure of the run."""
    try:
        served = serve(options.settings, options.configs, config.sequences, context.run.run_id)
    except BasisError as error:
        raise as_failure(error) from error
    counts = Counter(entry.status.value for entry in served)
    return dg.MaterializeResult(
        metadata={
            "requests": table(pd.DataFrame(map(_row, served)), limit=len(served)),
            "dagster/row_count": len(served),
            **{status.value: counts[status.value] for status in Status if status in counts},
        }
    )


def _row(served: Served) -> dict[str, Any]:
    return {
        "sequence": served.sequence,
        "request_id": served.request.request_id,
        "mode": served.request.mode,
        "status": served.status.value,
        "run_id": served.run_id,
        "message": served.message,
    }
