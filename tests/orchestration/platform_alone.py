"""A platform that runs by itself in the process of a test: looks of sensors, and what they ask for.

It does what Dagster's daemon does with a sensor: keeps the cursor, asks for a run key once, hands
tags and configuration to the run.
"""

import json
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster import RunsFilter

from basis_pipeline.config.current import current_configs
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.batches import mode_runs
from basis_pipeline.orchestration.records import all_gates
from tests.orchestration.conftest import Place

SENSOR, RUN_KEY = "dagster/sensor_name", "dagster/run_key"
CHAIN = ("raw_files", "configuration", "batches", "backtest_requests", "pages")


@dataclass
class Platform:
    """The sensors of a place, with their cursors; `skipped` is what each said last."""

    place: Place
    cursors: dict[str, str | None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance the runs are recorded in."""
        return self.place.instance

    def look(self, sensor: str) -> list[dg.RunRequest]:
        """Evaluate a sensor as the daemon does, and give what it asks for and was not asked yet."""
        repository = self.place.defs.get_repository_def()
        definition = repository.get_sensor_def(sensor)
        with dg.build_sensor_context(
            self.instance, self.cursors.get(sensor), definitions=self.place.defs
        ) as context:
            data = definition.evaluate_tick(context)
        self.cursors[sensor] = data.cursor if data.cursor is not None else self.cursors.get(sensor)
        self.skipped[sensor] = data.skip_message or ""
        return [asked for asked in data.run_requests or [] if self._is_new(sensor, asked)]

    def clock(self, schedule: str, at: datetime) -> list[dg.RunRequest]:
        """Return the runs that a schedule requests at its time."""
        repository = self.place.defs.get_repository_def()
        with dg.build_schedule_context(self.instance, at, repository_def=repository) as context:
            data = repository.get_schedule_def(schedule).evaluate_tick(context)
        self.skipped[schedule] = data.skip_message or ""
        return [asked for asked in data.run_requests or [] if self._is_new(schedule, asked)]

    def execute(self, asked: dg.RunRequest, sensor: str) -> dg.ExecuteInProcessResult:
        """Run what is asked for."""
        assert asked.job_name is not None
        return self.place.defs.resolve_job_def(asked.job_name).execute_in_process(
            instance=self.instance,
            asset_selection=list(asked.asset_selection) if asked.asset_selection else None,
            partition_key=asked.partition_key,
            run_config=asked.run_config,
            tags={**asked.tags, SENSOR: sensor, RUN_KEY: asked.run_key or ""},
            raise_on_error=False,
        )

    def settle(self, *sensors: str) -> list[dg.DagsterRun]:
        """Look and run until nobody asks for anything; the runs, in order."""
        before = {run.run_id for run in self.instance.get_runs()}
        quiet = 0
        while quiet < 2:  # a file has to be seen twice
            asked = [(r, s) for s in sensors or CHAIN for r in self.look(s)]
            quiet = 0 if asked else quiet + 1
            for request, sensor in asked:
                self.execute(request, sensor)
        runs = self.instance.get_runs(ascending=True)
        return [run for run in runs if run.run_id not in before]

    @property
    def modes(self) -> list[str]:
        """Every mode of the configuration."""
        return list(current_configs().modes)

    def begin(self, *modes: str) -> tuple[dg.DagsterRun, list[dg.RunRequest]]:
        """Run a first night: every feed is read, these modes run, and nothing more is requested.

        Returns
        -------
        The run for the data, and what the platform asks for after it.
        """
        aged(self.place.data)
        (data,) = self.settle("raw_files")
        requests = self.look("batches")
        for asked in mode_runs(data.tags["basis/batch"], modes, "a first night", data.run_id):
            assert self.execute(asked, "batches").success
        self.pass_over_runs()
        self.look("configuration")
        self.settle("pages")
        return data, requests

    def pass_over_runs(self) -> None:
        """Let `batches` take every run so far as one whose modes were requested."""
        now = datetime.now(UTC).isoformat()
        ended = {run.run_id: now for run in self.instance.get_runs()}
        self.cursors["batches"] = json.dumps({"since": now, "seen": ended})

    def results(self) -> dict[str, str]:
        """Identity of the latest recorded run of every mode that has one."""
        found = {}
        for mode in self.modes:
            records = self.instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=RECORD, asset_partitions=[mode]), limit=1
            ).records
            if records and records[0].asset_materialization:
                found[mode] = str(records[0].asset_materialization.metadata["run_id"].value)
        return found

    def verdict_runs(self, mode: str) -> set[str]:
        """Return the runs that gave the verdicts on a mode's backtest."""
        gates = all_gates(self.instance, self.place.defs)
        return {
            g.run_id for g in gates if g.mode == mode and g.asset.startswith("backtest/simulation")
        }

    def _is_new(self, sensor: str, asked: dg.RunRequest) -> bool:
        tags = {SENSOR: sensor, RUN_KEY: asked.run_key or ""}
        return not self.instance.get_runs_count(RunsFilter(tags=tags))


def stages(runs: list[dg.DagsterRun]) -> list[str]:
    """Return the mode of each run, else its stage."""
    names = [(run.tags.get("basis/stage", ""), run.tags.get("dagster/partition")) for run in runs]
    return [stage if stage == "pages" else mode or stage for stage, mode in names]


def aged(directory: Path, seconds: float = 3600.0) -> None:
    """Let what was written just now count as standing still, each change at its own time."""
    now = time.time()
    for path in directory.rglob("*"):
        if path.is_file() and now - path.stat().st_mtime < seconds:
            written = path.stat().st_mtime_ns - int(seconds * 1e9)
            os.utime(path, ns=(written, written))
