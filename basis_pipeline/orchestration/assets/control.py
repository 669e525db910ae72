"""`platform/control`: the state of emergency control."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config.control import load_control_limits, unknown_modes
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.control import ControlState, read_state
from basis_pipeline.operations.control.state import transitions
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.control import CONTROL, STATE, verdict_of
from basis_pipeline.orchestration.failures import error_metadata
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import Settings, config_directory
from basis_pipeline.verdict import Verdict, judge

PHASE = 4
CODE_VERSION = "1"
SHOWN = 50


def control_asset() -> dg.AssetsDefinition:
    """Return the asset of the control state; its one check fails while work is halted."""

    @dg.asset(
        key=CONTROL,
        check_specs=[check_spec(CONTROL, STATE, "ERROR", "nothing stops work", PHASE)],
        group_name="platform",
        kinds={"sqlite"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "Emergency control: NORMAL, ALERT, HALT or SHUTDOWN, since when, by whom and why. The "
            "limits are in configs/control/limits.yaml; every change shows here at once. A halt "
            "blocks backtests until `basis resume`.\n\n"
            "**Units:** states; times in UTC; limits as stated in their file. **Source:** the "
            "control state in the results database, which every process of every machine reads.\n\n"
            "**What is at stake:** a run that continues though it should be stopped, or a night "
            "without runs because nobody resumed work."
        ),
    )
    def control(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Show the state, its changes and the open breaches."""
        try:
            settings, config_dir = options.settings, config_directory()
            state = read_state(settings)
            verdict, metadata = verdict_of(state), _tables(settings, state)
            if ignored := unknown_modes(config_dir, load_control_limits(config_dir)):
                context.log.warning(str(ignored))
                metadata["ignored_limits"] = ignored.what
        except BasisError as error:  # the state is unknown
            verdict, metadata = _unknown(error), {}
        results = [check_result(CONTROL, verdict)]
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return control


def _unknown(error: BasisError) -> Verdict:
    return judge(STATE, "ERROR", False, str(error), evidence=error_metadata(error), phase=PHASE)


def _tables(settings: Settings, state: ControlState) -> dict[str, Any]:
    changes = pd.DataFrame(
        [(t.at, t.previous, t.state, t.by, t.reason) for t in transitions(settings, SHOWN)],
        columns=["at", "from", "to", "by", "reason"],
    )
    breaches = pd.DataFrame(
        [(b.description, b.since, b.accepted) for b in state.breaches],
        columns=["breach", "since", "accepted"],
    )
    return {"changes": table(changes, limit=SHOWN), "breaches": table(breaches, limit=SHOWN)}
