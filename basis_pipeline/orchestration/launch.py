"""The pipeline in this process: one run for the data, one per mode, then those of the pages."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from basis_pipeline.backtests.ingest import feeds_for, inputs_of, quoted_by
from basis_pipeline.config import ModeSlice
from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.assets.audit import GATES
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.health import HEALTH
from basis_pipeline.orchestration.assets.platform import RESULTS_STORE
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.report import TEAR_SHEET
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.batches import MODE_ASSETS, page_assets
from basis_pipeline.orchestration.control import CONTROL
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.records import gates_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.verdict import Verdict

Report = Callable[[str], None]
PIPELINE_JOB = "full_pipeline"
PLATFORM = (CONTROL, HEALTH, RESULTS_STORE)
CANCEL_SECONDS = 0.8  # less than the command has for all of its shutdown


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """The result of one mode: its recorded run, or the problems that prevented it."""

    mode: str
    run_id: str | None
    problems: list[BasisError | str]


@dataclass(frozen=True, slots=True)
class PipelineOutcome:
    """The result of the pipeline; `problems` are those of the data and of the pages."""

    modes: list[ModeOutcome]
    gates: list[Verdict]
    problems: list[BasisError | str]


@dataclass(slots=True)
class Launcher:
    """Runs the pipeline on one instance with one set of run options.

    Parameters
    ----------
    report: called with the name of every stage when it begins.
    log_level: the lowest severity of Dagster's messages on the console.
    """

    defs: dg.Definitions
    instance: dg.DagsterInstance
    options: RunOptions
    report: Report
    log_level: str = "CRITICAL"
    _starting: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopped: bool = field(default=False, init=False)
    _current: str = field(default="", init=False)

    def run(
        self,
        slices: Sequence[ModeSlice],
        before_modes: Callable[[], object] = lambda: None,
        *,
        unsound: Sequence[str] = (),
    ) -> PipelineOutcome:
        """Run everything that the slices need. A blocked mode stops no other.

        Parameters
        ----------
        before_modes: called once, when the datasets are built.
        unsound: modes whose own files are broken; they run up to the gate that reports it.
        """
        shared = [CATALOGUE, *self._data_assets(slices)]
        self.report("raw files and datasets")
        problems = _problems(self._execute(shared))
        before_modes()
        names = sorted([*(mode_slice.name for mode_slice in slices), *unsound])
        modes = [self._run_mode(name) for name in names]
        problems += self.judge_platform()
        self.report("reports")
        problems += self._write_pages(modes)
        return PipelineOutcome(modes, self._gates(shared, names), problems)

    def judge_platform(self) -> list[BasisError | str]:
        """Evaluate the gates of the platform, and return the problems."""
        self.report("platform")
        return _problems(self._execute(PLATFORM, job="__ASSET_JOB"))

    def write_gates(self) -> list[BasisError | str]:
        """Write the page of all gates."""
        return _problems(self._execute([GATES]))

    def cancel(self) -> None:
        """Start no more runs, and mark the run in progress canceled; for another thread to call."""
        with self._starting:
            self._stopped = True
        # The run may be created only now, and a step that begins marks it as started again.
        deadline = time.monotonic() + CANCEL_SECONDS
        while self._current and time.monotonic() < deadline:
            run = self.instance.get_run_by_id(self._current)
            if run and not run.is_finished:
                self.instance.report_run_canceled(run, "interrupted by Ctrl-C or SIGTERM")
            time.sleep(0.02)

    def _write_pages(self, modes: Sequence[ModeOutcome]) -> list[BasisError | str]:
        """Write the pages on all modes, and rewrite the tear sheets of modes with problems."""
        problems = _problems(self._execute(page_assets(self.instance)))
        written = self.instance.get_materialized_partitions(TEAR_SHEET)
        for mode in modes:
            if mode.problems and mode.mode in written:
                problems += _problems(self._execute([TEAR_SHEET], mode.mode))
        return problems

    def _data_assets(self, slices: Sequence[ModeSlice]) -> list[dg.AssetKey]:
        """Return all feeds when all modes run; else those the modes read or compare with."""
        configs = self.options.configs
        names = set(configs.datasets)
        if len(slices) < len(configs.modes):
            names = {name for mode_slice in slices for name in inputs_of(configs, mode_slice)}
            names |= quoted_by(configs, names)
        raws = [raw_key(name) for name in feeds_for(configs, names)]
        return [*raws, *(dataset_key(name) for name in sorted(names))]

    def _run_mode(self, mode: str) -> ModeOutcome:
        self.report(mode)
        result = self._execute(MODE_ASSETS, mode)
        recorded = result.asset_materializations_for_node(RECORD.to_python_identifier())
        run_id = str(recorded[0].metadata["run_id"].value) if recorded else None
        return ModeOutcome(mode, run_id, _problems(result))

    def _execute(
        self, assets: Sequence[dg.AssetKey], partition: str | None = None, job: str = PIPELINE_JOB
    ) -> dg.ExecuteInProcessResult:
        with self._starting:
            if self._stopped:
                raise KeyboardInterrupt
            self._current = str(uuid.uuid4())
        options = {name: value for name, value in self.options.model_dump().items() if value}
        result = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_id=self._current,
            asset_selection=list(assets),
            partition_key=partition,
            run_config={
                "resources": {"options": {"config": options}},
                "loggers": {"console": {"config": {"log_level": self.log_level}}},
            },
            raise_on_error=False,
        )
        self._current = ""
        return result

    def _gates(self, shared: Sequence[dg.AssetKey], modes: Sequence[str]) -> list[Verdict]:
        graph = self.defs.resolve_asset_graph()
        specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
        gates = gates_of(self.instance, [s for s in specs if s.asset_key in set(shared)])
        mode_specs = [spec for spec in specs if spec.asset_key in MODE_ASSETS]
        for mode in modes:
            gates += gates_of(self.instance, mode_specs, mode)
        return gates


def _problems(result: dg.ExecuteInProcessResult) -> list[BasisError | str]:
    return [reason for _, reason in failures(result.all_events)]
