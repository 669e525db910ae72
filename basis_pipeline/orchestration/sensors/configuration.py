"""`configuration`: changed files run again what they touch; scenario sets become partitions."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from basis_pipeline.orchestration.batches import DATA_JOB, MODE_JOB, data_run, mode_runs
from basis_pipeline.orchestration.partitions import SETS, set_changes
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.runs.impact import changed, fingerprints, reach_of
from basis_pipeline.settings import Settings

SetRequest = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest


def configuration_sensor(jobs: Mapping[str, Any], modes: Collection[str]) -> dg.SensorDefinition:
    """Compares the slice of every mode, and every catalogue entry, with the last ones asked for.

    modes: those the code location was loaded with; another one has no partition yet.
    """

    @dg.sensor(
        name="configuration",
        jobs=[jobs[DATA_JOB], jobs[MODE_JOB]],
        minimum_interval_seconds=30,
        description=(
            "Changed configuration: runs the modes whose slice has changed, after making anew the "
            "datasets whose catalogue entry has. The first look only remembers. A new "
            "scenario set becomes a partition of the studies; one without a file is none any more."
        ),
    )
    @while_work_goes_on
    def configuration(context: dg.SensorEvaluationContext, _: Settings) -> dg.SensorResult:
        sets, told_sets = _sets(context.instance)
        configs = current_configs()
        now = fingerprints(configs)
        cursor = json.dumps(now, sort_keys=True)
        if not context.cursor:
            told = "; ".join(["first look: remembered", *told_sets])
            return dg.SensorResult(
                skip_reason=told, cursor=cursor, dynamic_partitions_requests=sets
            )
        before = json.loads(context.cursor)
        datasets = changed(before["datasets"], now["datasets"])
        reach = reach_of(configs, datasets)
        touched = sorted({*changed(before["modes"], now["modes"]), *reach.modes} & set(modes))
        new = sorted(set(configs.mode_names) - set(modes))
        if not touched and not datasets:
            waiting = [f"reload the code location for {', '.join(new)}"] if new else []
            told = "; ".join([*waiting, *told_sets]) or "nothing changed"
            return dg.SensorResult(
                skip_reason=told, cursor=cursor, dynamic_partitions_requests=sets
            )
        cause = f"configuration of {', '.join([*datasets, *touched])}"
        change = f"{context.cursor} {cursor}"  # a state that came back is another change
        batch = f"config-{hashlib.sha256(change.encode()).hexdigest()[:16]}"
        if datasets:
            requests = [data_run(batch, datasets, reach.datasets, touched, cause)]
        else:
            requests = mode_runs(batch, touched, cause, batch)
        return dg.SensorResult(
            run_requests=requests, cursor=cursor, dynamic_partitions_requests=sets
        )

    return configuration


def _sets(instance: dg.DagsterInstance) -> tuple[list[SetRequest], list[str]]:
    """What has to become of the partitions for the files of scenario sets there are, in words."""
    new, gone = set_changes(instance)
    requests: list[SetRequest] = []
    requests += [SETS.build_add_request(new)] if new else []
    requests += [SETS.build_delete_request(gone)] if gone else []
    told = {"new scenario sets": new, "scenario sets without a file": gone}
    return requests, [f"{what}: {', '.join(names)}" for what, names in told.items() if names]
