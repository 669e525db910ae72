"""`platform/control`: the state of emergency control, and the age of the data held against it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import slice_mode
from basis_pipeline.config.control import ControlLimits, Limit, load_control_limits
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.control import Measured
from basis_pipeline.operations.control.figures import data_ages
from basis_pipeline.operations.control.state import standing, transitions
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.control import CONTROL, STATE, hold, verdict
from basis_pipeline.orchestration.failures import error_metadata
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.settings import Settings, project_root
from basis_pipeline.verdict import Verdict, judge

PHASE = 4
CODE_VERSION = "1"
SHOWN = 50


def control_asset() -> dg.AssetsDefinition:
    """The state as an asset with one check: whether work may go on."""

    @dg.asset(
        key=CONTROL,
        check_specs=[check_spec(CONTROL, STATE, "ERROR", "nothing stops work", PHASE)],
        group_name="platform",
        kinds={"sqlite"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "Emergency control: NORMAL, ALERT, HALT or SHUTDOWN, since when, by whom and why. The "
            "limits are in configs/control/limits.yaml; every change shows here at once. While it "
            "is halted backtests refuse; `basis resume` lets work go on.\n\n"
            "**Units:** states and times, UTC; limits as their file says. **Source:** the control "
            "state in the results database, which every process of every machine reads.\n\n"
            "**What is at stake:** whether a run that should have been stopped goes on, or a night "
            "is lost to a halt that nobody lifted."
        ),
    )
    def control(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Hold the age of the data against its limit, and show what stands."""
        try:
            settings = options.settings
            limits = load_control_limits(project_root() / "configs")
            state = hold(context.instance, settings, _ages(options, limits), limits)
            found, facts = verdict(state), _facts(settings)
        except BasisError as error:  # nobody knows whether work may go on
            found, facts = _unknown(error), {}
        yield dg.MaterializeResult(metadata=facts, check_results=[check_result(CONTROL, found)])

    return control


def _ages(options: RunOptions, limits: ControlLimits) -> list[Measured]:
    configs = options.configs
    watched = [mode for mode in configs.modes if limits.of(mode)[Limit.DATA_AGE]]
    if not watched:
        return []
    slices = [slice_mode(configs, mode) for mode in watched]
    return data_ages(options.data, configs, slices, datetime.now(UTC))


def _unknown(error: BasisError) -> Verdict:
    return judge(STATE, "ERROR", False, str(error), evidence=error_metadata(error), phase=PHASE)


def _facts(settings: Settings) -> Mapping[str, Any]:
    changes = [
        (t.at, t.previous.value, t.state.value, t.by, t.reason)
        for t in transitions(settings, SHOWN)
    ]
    breaches = [(s.breach.told, s.since, s.acknowledged) for s in standing(settings)]
    told = pd.DataFrame(changes, columns=["at", "from", "to", "by", "reason"])
    stand = pd.DataFrame(breaches, columns=["breach", "since", "accepted"])
    return {"changes": table(told, limit=SHOWN), "breaches": table(stand, limit=SHOWN)}
