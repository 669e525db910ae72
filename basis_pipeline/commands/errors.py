"""`basis errors`: explain the codes in messages."""

from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.error_codes import FAMILIES, PHASES, REGISTRY, ErrorCode, why_reserved
from basis_pipeline.errors import CommandError


def errors(
    code: Annotated[str | None, typer.Argument(help="A code, or the start of one: DATA.")] = None,
) -> None:
    """Explain the codes in messages: what each means, its likely cause and what to do.

    Example: basis errors DATA-007
    """
    wanted = (code or "").upper()
    found = [entry for entry in REGISTRY.values() if entry.code.startswith(wanted)]
    if wanted in REGISTRY:
        _page(REGISTRY[wanted])
    elif found:
        rows = [(e.code, e.severity.value, str(e.phase), e.meaning, e.remedy) for e in found]
        columns = ("code", "severity", ">phase", "meaning", "what to do")
        screen.console().print(screen.table("", columns, rows))
    else:
        reason = why_reserved(wanted)
        what = f"{wanted} is reserved: {reason}" if reason else f"there is no code {code!r}"
        raise CommandError("API-001", what, available=", ".join(FAMILIES))


def _page(entry: ErrorCode) -> None:
    screen.echo(f"{entry.code}: {entry.meaning}")
    parts = {
        "severity": entry.severity.value,
        "phase": f"{entry.phase} {PHASES[entry.phase]}",
        "component": entry.component,
        "likely cause": entry.cause,
        "what to do": entry.remedy,
        "see": entry.document,
    }
    for name, value in parts.items():
        screen.echo(f"  {name:14}{value}")
