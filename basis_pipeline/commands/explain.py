"""`basis errors`: the codes that messages carry."""

from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.errors import REGISTRY, CommandError


def errors(
    code: Annotated[str | None, typer.Argument(help="A code, or the start of one: DATA.")] = None,
) -> None:
    """Explain the codes that messages carry: what each means and what mends it."""
    found = [entry for entry in REGISTRY.values() if entry.code.startswith((code or "").upper())]
    if not found:
        families = ", ".join(dict.fromkeys(name.rpartition("-")[0] for name in REGISTRY))
        raise CommandError("API-001", f"there is no code {code!r}", available=families)
    rows = [(entry.code, entry.severity.value, entry.meaning, entry.remedy) for entry in found]
    screen.console().print(screen.table("", ("code", "severity", "meaning", "what to do"), rows))
