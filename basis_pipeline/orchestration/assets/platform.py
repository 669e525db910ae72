"""`platform/instance`: Dagster, the code location and the results database as gates of phase 4."""

import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dagster as dg

from basis_pipeline.errors import ConfigError, ResultsError
from basis_pipeline.orchestration.checks import check_results, check_spec, results_only
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import runs, verify
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Verdict, blocked, judge

INSTANCE = dg.AssetKey(["platform", "instance"])
PHASE = 4
CODE_VERSION = "1"
CHECKS = {
    "instance": "the Dagster instance answers, and is of the pinned version",
    "code_location": "the definitions load, and every dependency is an asset of the graph",
    "jobs": "every job and schedule resolves to assets of the graph",
    "results_store": "every recorded run lies where the database says and matches its hashes",
}
LoadDefs = Callable[[], dg.Definitions]


def _load_defs() -> dg.Definitions:
    from basis_pipeline.orchestration.build import build_defs

    return build_defs()


def platform_asset(load_defs: LoadDefs = _load_defs) -> dg.AssetsDefinition:
    """What the pipeline stands on; `load_defs` loads the code location looked at."""
    spec = dg.AssetSpec(
        INSTANCE,
        group_name="platform",
        kinds={"dagster", "sqlite"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "The ground the pipeline stands on: the Dagster instance and its version, the code "
            "location with its jobs, and the recorded runs with the files the database vouches "
            "for.\n\n"
            "**Units:** counts of runs, jobs and assets. **Source:** this instance, the installed "
            "packages, the results directory and database, looked at when it is materialised.\n\n"
            "**What is at stake:** whether the verdicts of the other gates can be believed: with "
            "another release of Dagster, or a damaged database, they may speak of other runs."
        ),
    )

    # What cannot be evaluated stays unrecorded: only a step of subsets may leave a check out.
    @dg.multi_asset(
        name="platform_instance",
        specs=[spec],
        check_specs=[check_spec(INSTANCE, n, "ERROR", asks, PHASE) for n, asks in CHECKS.items()],
        can_subset=True,
    )
    def instance(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Look at each of them."""
        found = [
            instance_check(context.instance, project_root()),
            *definition_checks(load_defs),
            store_check(options),
        ]
        checks = check_results(INSTANCE, found, context.selected_asset_check_keys)
        result = dg.MaterializeResult[None](INSTANCE, check_results=checks)
        yield from results_only(context, result)

    return instance


def _result(name: str, problems: list[str], told: str, **figures: int | str) -> Verdict:
    rows = tuple({"problem": problem} for problem in problems)
    message = "; ".join(problems[:3]) or f"{CHECKS[name]}: {told}"
    return judge(name, "ERROR", not problems, message, evidence=figures, rows=rows, phase=PHASE)


def instance_check(instance: dg.DagsterInstance, root: Path) -> Verdict:
    """Hold the installed versions against the pins of `pyproject.toml`, and count the runs."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(pin.split("==") for pin in project["dependencies"] if pin.startswith("dagster"))
    problems = []
    for name, pinned in pins.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        if found != pinned:
            problems.append(f"{name} is {found}, pinned is {pinned}")
    runs = instance.get_runs_count()
    return _result("instance", problems, f"{runs} runs, dagster {version('dagster')}", runs=runs)


def definition_checks(load_defs: LoadDefs) -> list[Verdict]:
    """Load the definitions as a server would, and resolve everything they name."""
    try:
        defs = load_defs()
        graph = defs.resolve_asset_graph()
    except (dg.DagsterError, ConfigError) as error:
        problem = f"the code location does not load: {' '.join(str(error).split())[:300]}"
        unknown = blocked("jobs", "ERROR", "there are no definitions", phase=PHASE)
        return [_result("code_location", [problem], ""), unknown]
    strange = sorted(key.to_user_string() for key in graph.external_asset_keys)
    problems = [f"{key} is read and made by nothing" for key in strange]
    assets = len(graph.get_all_asset_keys())
    location = _result("code_location", problems, f"{assets} assets", assets=assets)
    return [location, _jobs(defs)]


def _jobs(defs: dg.Definitions) -> Verdict:
    try:
        dg.Definitions.validate_loadable(defs)
        jobs = [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]
    except dg.DagsterError as error:
        return _result("jobs", [" ".join(str(error).split())[:300]], "")
    problems = [f"{job.name} selects no asset" for job in jobs if not list(job.nodes)]
    told = f"{len(jobs)} jobs"
    return _result("jobs", problems if jobs else ["there is no job"], told, jobs=len(jobs))


def store_check(options: RunOptions) -> Verdict:
    """Verify every recorded run; unevaluated where none was ever recorded."""
    problems = []
    try:
        engine = existing(options.settings.results_db_url)
        recorded = runs(engine) if engine else []
    except ResultsError as error:
        return _result("results_store", [str(error)], "")
    if not recorded:
        return judge("results_store", "ERROR", None, "no run is recorded", phase=PHASE)
    for record in recorded:
        try:
            verify(record)
        except ResultsError as error:
            problems.append(str(error))
    count = len(recorded)
    return _result("results_store", problems, f"{count} runs", runs=count)
