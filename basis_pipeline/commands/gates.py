"""`basis gates`: the verdict of every gate, from the latest records."""

from collections.abc import Mapping, Sequence
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
from basis_pipeline.operations.waivers import read_waivers, waive, waived
from basis_pipeline.settings import dagster_home, existing_dagster_home
from basis_pipeline.times import parse_hour
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

History = Mapping[str, Sequence[Verdict]]
PIPELINE = range(1, 4)  # phases whose gates the pipeline's own runs evaluate
gates = typer.Typer()
Form = Annotated[
    Literal["table", "json", "html"],
    typer.Option("--format", help="A table to read, or a document."),
]


@gates.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    phase: Annotated[
        str | None,
        typer.Option(help="A phase, or several as 1-3: " + ", ".join(map(str, PHASES)) + "."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail also for gates never evaluated, or waived after a failure."
        ),
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
        str, typer.Option(help="Address of the Dagster UI, for the links of a page.")
    ] = "",
    results_dir: ResultsDir = None,
) -> None:
    """Show the verdict of every gate, from the latest record of every check.

    Phases: 1 environment and configuration, 2 data, 3 components and engine, 4 platform and
    interfaces, 6 scenarios: by mode and scenario set. Code and documents are checked by make lint.

    PASS, WARN, FAIL; WAIVED where a person accepted a warning or a failure (basis gates waive);
    BLOCKED where something it depends on failed; NOT RUN where it was never evaluated; N/A where
    there is nothing to evaluate. Gates that one fault stops share a line. A study has gates after
    its first run. A warning fails nothing. Exit code 1 when a gate is FAIL or BLOCKED; with
    --strict also when one was never evaluated, or is waived after a failure.

    --execute first runs the pipeline on the data of the environment; for phase 4 alone it only
    checks the platform. Phase 6 is evaluated by the jobs of stress, montecarlo, sweep and
    walk-forward.
    """
    if context.invoked_subcommand:
        return
    settings, configs = settings_of(results_dir=results_dir), project_configs()
    phases, modes = _phases(phase), set(chosen(configs, mode) if mode else ())
    if execute:
        _execute(settings, chosen(configs, mode), phases)
    recorded, history = _recorded(settings)
    found = [
        gate
        for gate in waived(recorded, read_waivers(settings))
        if gate.phase in phases and (not modes or not gate.mode or gate.mode in modes)
    ]
    if form == "table" and out is None:
        _show(found, screen.console(), strict=strict)
    else:
        screen.deliver(_document(found, history, form, strict=strict, ui=ui), out)
    if failing(found, strict=strict):
        raise typer.Exit(1)


@gates.command("waive")
def waive_gate(
    check: Annotated[
        str, typer.Argument(help="A gate as `basis gates` names it, or its check alone.")
    ],
    by: Annotated[str, typer.Option(help="Who accepts it.")],
    reason: Annotated[str, typer.Option(help="Why; it is stored and audited.")],
    until: Annotated[str, typer.Option(help="Date or hour (UTC) at which the waiver ends.")],
    results_dir: ResultsDir = None,
) -> None:
    """Accept a gate that is WARN or FAIL until a given time: it is shown as WAIVED, never as PASS.

    A waiver unblocks no backtest, and does not cover a warning that later fails.

    Example: basis gates waive beats_lending --by ann --reason "new mode" --until 2030-01-01
    """
    settings = settings_of(results_dir=results_dir)
    at = parse_hour(until)
    recorded, _ = _recorded(settings)
    given = waive(settings, recorded, check, by=by, reason=reason, until=at)
    end = f"{given.until:%Y-%m-%d %H:%M} UTC"
    screen.echo(f"{given.gate}: {given.status.value} waived by {given.by} until {end}")


def _document(
    found: Sequence[Verdict], history: History, form: str, *, strict: bool, ui: str
) -> str:
    from basis_pipeline.config.control import load_control_limits
    from basis_pipeline.operations.gate_reports import gates_json
    from basis_pipeline.reports.gates import gates_html
    from basis_pipeline.reports.page import Provenance
    from basis_pipeline.settings import config_directory

    match form:
        case "html":
            limits = load_control_limits(config_directory())
            provenance = Provenance.now()
            return gates_html(
                found, provenance, strict=strict, ui=ui, history=history, control=limits
            )
        case "json":
            return gates_json(found, strict=strict)
    return screen.as_text(lambda text: _show(found, text, strict=strict))


def _execute(settings: "Settings", modes: "Sequence[str]", phases: range) -> None:
    """Evaluate the gates of the phases; problems are in their records, and on stderr."""
    is_platform_alone = min(phases) not in PIPELINE
    if not is_platform_alone:
        require_data(settings)

    def evaluate(launcher: "Launcher") -> "list[BasisError | str]":
        if is_platform_alone:
            return launcher.judge_platform() + launcher.write_gates()
        unsound = unsound_modes(launcher.options.configs, modes)
        sound = sorted(set(modes) - set(unsound))
        slices = sliced(launcher.options.configs, sound, None, None) if sound else []
        outcome = launcher.run(slices, unsound=unsound)
        return outcome.problems + [p for mode in outcome.modes for p in mode.problems]

    with screen.progress(len(modes) + 4, lines=True) as advance:
        problems = launched(settings, Options(), advance, evaluate)
    for problem in {str(problem): problem for problem in problems}.values():
        screen.echo_error(problem)


def _recorded(settings: "Settings") -> tuple[list[Verdict], History]:
    """Return the gates, and by name the evaluations of those that have not passed.

    Raises
    ------
    PlatformError: PLATFORM-002 where nothing has run yet.
    """
    home = existing_dagster_home(settings)
    if home is None:
        raise _nothing_ran(settings)
    with screen.progress(1) as advance:
        advance("reading the records")
        from basis_pipeline.orchestration.build import build_defs
        from basis_pipeline.orchestration.instance import opened_instance
        from basis_pipeline.orchestration.records import all_gates, evaluations

        with opened_instance(home) as instance:
            if not instance.get_runs_count():
                raise _nothing_ran(settings)
            found = all_gates(instance, build_defs())
            return found, evaluations(instance, found)


def _nothing_ran(settings: "Settings") -> PlatformError:
    home = dagster_home(settings)
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
    """Print a line per phase, mode and study; then every gate that needs attention."""
    from basis_pipeline.reports.gates import by_phase, phase_name

    phases = [[phase_name(number), *_counted(part)] for number, part in by_phase(found).items()]
    modes = [
        [mode, *_counted([gate for gate in found if gate.mode == mode and not gate.scenario_set])]
        for mode in sorted({gate.mode for gate in found if gate.mode})
    ]
    places = sorted({(g.mode, g.scenario_set, g.asset) for g in found if g.scenario_set})
    studies = [
        [*place, *_counted([g for g in found if (g.mode, g.scenario_set, g.asset) == place])]
        for place in places
    ]
    statuses = ("verdict", *(f">{status.value.lower()}" for status in WORST_FIRST))
    for heads, rows in (
        (("phase",), phases),
        (("mode",), modes),
        (("mode", "scenario set", "asset"), studies),
    ):
        if rows:
            console.print(screen.table("", (*heads, *statuses), rows))
    warnings = [gate for gate in found if gate.status is Status.WARN]
    cells = [_cells(group) for group in by_fault([*failing(found, strict=strict), *warnings])]
    if cells:
        console.print(screen.table("", ("verdict", "gate", "result"), cells))
    console.print(f"{len(found)} gates: {tally(found)}", soft_wrap=True)


def _counted(gates: Sequence[Verdict]) -> list[str]:
    return [worst(gates).value, *map(str, counts(gates).values())]


def _cells(group: Sequence[Verdict]) -> list[str]:
    """Return the line of gates with one cause: the first gate, and how many more there are."""
    first, more = group[0], len(group) - 1
    gates = f"{first.name} and {count_of(more, 'more gate')}" if more else first.name
    return [first.status.value, gates, first.message]
