"""`basis gates`: the verdict of every gate, from the latest records."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import Form, Modes, ResultsDir, project_configs, settings_of
from basis_pipeline.errors import CommandError, PlatformError

if TYPE_CHECKING:
    from basis_pipeline.operations.gates import Gate
    from basis_pipeline.settings import Settings


def gates(
    phase: Annotated[
        str | None, typer.Option(help="A phase, or several as 1-3: configuration, data, backtest.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A warning or a gate never evaluated fails too.")
    ] = False,
    mode: Modes = None,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Show the verdict of every gate, from the latest record of every check.

    PASS, WARN, FAIL, or NOT RUN where a check was declared or planned and never evaluated: that is
    not a pass. Exit code 1 when a gate FAILs, or a failed run kept it from being evaluated.
    """
    from basis_pipeline.operations.gates import failed, gates_json

    settings, configs = settings_of(results_dir=results_dir), project_configs()
    phases, modes = _phases(phase), {configs.mode(name).mode for name in mode or ()}
    found = [
        gate
        for gate in _recorded(settings)
        if gate.phase in phases and (not modes or not gate.mode or gate.mode in modes)
    ]
    if form == "json":
        print(gates_json(found, strict=strict))
    else:
        _show(found)
    if failed(found, strict=strict):
        raise typer.Exit(1)


def _recorded(settings: "Settings") -> "list[Gate]":
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


def _phases(text: str | None) -> set[int]:
    from basis_pipeline.operations.gates import PHASES

    first, _, last = (text or f"{min(PHASES)}-{max(PHASES)}").partition("-")
    if not {first, last or first} <= {str(phase) for phase in PHASES}:
        told = ", ".join(f"{phase} {what}" for phase, what in PHASES.items())
        what = f"there is no phase {text!r}"
        raise CommandError("API-001", what, where="--phase", available=told)
    return set(range(int(first), int(last or first) + 1))


def _show(found: "Sequence[Gate]") -> None:
    """A line a mode with the verdict of every phase; then every gate that did not pass."""
    from basis_pipeline.operations.gates import PHASES, Verdict, counts, worst

    phases = sorted({gate.phase for gate in found})
    rows = []
    for mode in dict.fromkeys(gate.mode for gate in found):
        own = [gate for gate in found if gate.mode == mode]
        by_phase = [[gate for gate in own if gate.phase == phase] for phase in phases]
        verdicts = [worst(part).value if part else "" for part in by_phase]
        rows.append([mode or "shared by all", *verdicts, *map(str, counts(own).values())])
    titles = ("mode", *(f"{phase} {PHASES[phase]}" for phase in phases))
    tally = (">fail", ">not run", ">warn", ">pass")
    screen.console().print(screen.table("", (*titles, *tally), rows))
    telling = [gate for gate in found if gate.verdict in (Verdict.FAIL, Verdict.WARN)]
    telling.sort(key=lambda gate: gate.verdict is Verdict.WARN)
    cells = [[gate.verdict.value, gate.name, gate.told] for gate in telling]
    if cells:
        screen.console().print(screen.table("", ("verdict", "gate", "what it says"), cells))
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts(found).items())
    screen.say(f"{len(found)} gates: {told}")
