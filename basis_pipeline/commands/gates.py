"""`basis gates`: the verdict of every gate, from the latest records."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    Modes,
    Options,
    ResultsDir,
    chosen,
    project_configs,
    require_data,
    settings_of,
    sliced,
    unsound_modes,
)
from basis_pipeline.commands.run import launched
from basis_pipeline.error_codes import PHASES
from basis_pipeline.errors import CommandError, PlatformError
from basis_pipeline.verdict import (
    WORST_FIRST,
    Status,
    Verdict,
    by_fault,
    count_of,
    counts,
    failing,
    tally,
    worst,
)

if TYPE_CHECKING:
    from basis_pipeline.errors import BasisError
    from basis_pipeline.orchestration.launch import Launcher
    from basis_pipeline.settings import Settings

PIPELINE = range(1, 4)  # phases whose gates the pipeline's own runs evaluate
Form = Annotated[
    Literal["table", "json", "junit", "markdown", "html"],
    typer.Option("--format", help="A table to read, or a document."),
]


def gates(
    phase: Annotated[
        str | None,
        typer.Option(help="A phase, or several as 1-3: " + ", ".join(map(str, PHASES)) + "."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A gate that was never evaluated fails too.")
    ] = False,
    mode: Modes = None,
    form: Form = "table",
    execute: Annotated[
        bool, typer.Option("--execute", help="Evaluate the gates of the phases first.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the screen.")
    ] = None,
    ui: Annotated[
        str, typer.Option(help="Address of the Dagster UI, that a page links its gates to.")
    ] = "",
    results_dir: ResultsDir = None,
) -> None:
    """Show the verdict of every gate, from the latest record of every check.

    Phases: 1 environment and configuration, 2 data, 3 components and engine, 4 platform and
    interfaces, 6 scenarios: by mode and scenario set. Code and documents are checked by make lint.

    PASS, WARN, FAIL; BLOCKED where something it depends on failed; NOT RUN where it was never
    evaluated; N/A where there is nothing to judge. What one fault stops is one line. A study has
    gates once it was run. A warning fails nothing. Exit code 1 when a gate is FAIL or BLOCKED.

    --execute runs the pipeline on the data of the environment for phases 1-3, and looks at the
    instance for phase 4, before it reports. Phase 6 is evaluated by
    the jobs of stress, montecarlo, sweep and walk-forward.
    """
    settings, configs = settings_of(results_dir=results_dir), project_configs()
    phases, modes = _phases(phase), set(chosen(configs, mode) if mode else ())
    if execute:
        _execute(settings, chosen(configs, mode), phases)
    found = [
        gate
        for gate in _recorded(settings)
        if gate.phase in phases and (not modes or not gate.mode or gate.mode in modes)
    ]
    if form == "table" and out is None:
        _show(found, screen.console(), strict=strict)
    else:
        screen.deliver(_document(found, form, strict=strict, ui=ui), out)
    if failing(found, strict=strict):
        raise typer.Exit(1)


def _document(found: Sequence[Verdict], form: str, *, strict: bool, ui: str) -> str:
    from basis_pipeline.operations.gate_reports import gates_json, gates_junit, gates_markdown
    from basis_pipeline.reports.gates import gates_html
    from basis_pipeline.reports.page import Provenance

    match form:
        case "html":
            return gates_html(found, Provenance.now(), strict=strict, ui=ui)
        case "json":
            return gates_json(found, strict=strict)
        case "junit":
            return gates_junit(found, strict=strict)
        case "markdown":
            return gates_markdown(found, strict=strict)
    return screen.on_paper(lambda paper: _show(found, paper, strict=strict))


def _execute(settings: "Settings", modes: "Sequence[str]", phases: range) -> None:
    """Evaluate the gates of the phases; what went wrong is in their records, and on stderr."""
    if min(phases) in PIPELINE:
        require_data(settings)

    def evaluate(launcher: "Launcher") -> "list[BasisError | str]":
        problems = []
        if min(phases) in PIPELINE:
            configs = launcher.options.configs
            unsound = unsound_modes(configs, modes)
            slices = sliced(configs, sorted(set(modes) - set(unsound)), None, None)
            outcome = launcher.run(slices, unsound=unsound)
            problems += outcome.problems
            problems += [problem for mode in outcome.modes for problem in mode.problems]
        return problems + launcher.judge(phases)

    with screen.progress(len(modes) + 4, lines=True) as advance:
        problems = launched(settings, Options(), advance, evaluate)
    for problem in {str(problem): problem for problem in problems}.values():
        screen.echo_error(problem)


def _recorded(settings: "Settings") -> list[Verdict]:
    """Read the instance that the runs wrote; a place where nothing ran is not made into one."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.results_dir / "dagster_home")
    if not (home / "dagster.yaml").exists():
        raise _nothing_ran(home)
    with screen.progress(1) as advance:
        advance("reading the records")
        from basis_pipeline.orchestration.build import build_defs
        from basis_pipeline.orchestration.instance import opened_instance
        from basis_pipeline.orchestration.records import all_gates

        with opened_instance(home) as instance:
            if not instance.get_runs_count():
                raise _nothing_ran(home)
            return all_gates(instance, build_defs())


def _nothing_ran(home: Path) -> PlatformError:
    return PlatformError(
        "PLATFORM-002",
        "nothing has run yet",
        where=str(home),
        context={"required": "a Dagster instance", "expected": str(home / "dagster.yaml")},
        action="basis run, or name the results with --results-dir",
    )


def _phases(text: str | None) -> range:
    first, dash, last = (text or f"{min(PHASES)}-{max(PHASES)}").partition("-")
    ends = [first, last] if dash else [first, first]
    if not set(ends) <= {str(phase) for phase in PHASES} or ends[0] > ends[1]:
        phases = ", ".join(f"{phase} {what}" for phase, what in PHASES.items())
        what = f"there is no phase {text!r}"
        raise CommandError("API-001", what, where="--phase", available=phases)
    return range(int(ends[0]), int(ends[1]) + 1)


def _show(found: Sequence[Verdict], console: Console, *, strict: bool) -> None:
    """A line a phase, a mode and a scenario set; then every gate that asks for a look."""
    from basis_pipeline.reports.gates import by_phase, phase_name

    phases = by_phase(found)
    heads = tuple(f">{status.value.lower()}" for status in WORST_FIRST)
    rows = [
        [phase_name(number), worst(part).value, *map(str, counts(part).values())]
        for number, part in phases.items()
    ]
    console.print(screen.table("", ("phase", "verdict", *heads), rows))
    rows = []
    for mode in sorted({gate.mode for gate in found if gate.mode}):
        own = [gate for gate in found if gate.mode == mode]
        parts = [[gate for gate in own if gate.phase == number] for number in phases]
        verdicts = [worst(part).value if part else "" for part in parts]
        rows.append([mode, *verdicts, *map(str, counts(own).values())])
    if rows:
        titles = (f"phase {number}" for number in phases)
        console.print(screen.table("", ("mode", *titles, *heads), rows))
    rows = _by_set(found)
    if rows:
        heads = ("mode", "scenario set", "asset", "verdict", *heads)
        console.print(screen.table("", heads, rows))
    warnings = [gate for gate in found if gate.status is Status.WARN]
    cells = [_cells(group) for group in by_fault([*failing(found, strict=strict), *warnings])]
    if cells:
        console.print(screen.table("", ("verdict", "gate", "result"), cells))
    console.print(f"{len(found)} gates: {tally(found)}", soft_wrap=True)


def _cells(group: Sequence[Verdict]) -> list[str]:
    """One line for what has one cause: the first gate, and how many more it stops."""
    first, more = group[0], len(group) - 1
    gates = f"{first.name} and {count_of(more, 'more gate')}" if more else first.name
    return [first.status.value, gates, first.message]


def _by_set(found: Sequence[Verdict]) -> list[list[str]]:
    """Cells of a line a scenario set that a study of a mode has run, or failed to."""
    studies: dict[tuple[str, str, str], list[Verdict]] = {}
    for gate in found:
        if gate.scenario_set and gate.status is not Status.NOT_RUN:
            place = gate.mode, gate.scenario_set, gate.asset
            studies.setdefault(place, []).append(gate)
    return [
        [*place, worst(own).value, *map(str, counts(own).values())]
        for place, own in sorted(studies.items())
    ]
