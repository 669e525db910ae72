"""`basis data add` and `basis data try`: from a publisher's file to a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    DataDir,
    open_settings,
    project_configs,
    settings_of,
    shared,
)
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.config import Configs
    from basis_pipeline.market.proposal import Proposal

SHOWN_ROWS = 10
Files = Annotated[
    list[Path], typer.Argument(help="Files of one feed, as their publisher made them.")
]
Kind = Annotated[str | None, typer.Option(help="perp_bars, spot_bars, funding and so on.")]
Venue = Annotated[str | None, typer.Option(help="Exchange, pool or protocol.")]
Base = Annotated[str | None, typer.Option(help="What is traded.")]
Quote = Annotated[str | None, typer.Option(help="What it is priced in.")]
Token = Annotated[str | None, typer.Option(help="Reserve, reward or coin, of a kind that has one.")]
Lst = Annotated[str | None, typer.Option(help="Liquid staking token, of a kind that has one.")]
Chain = Annotated[str | None, typer.Option(help="Chain, of gas prices.")]
Decimals = Annotated[
    int | None,
    typer.Option(min=0, max=36, help="Of the token, if totals are in its smallest unit."),
]
Preset = Annotated[str | None, typer.Option(help="Read the files by this preset only.")]
OF = {
    "kind": Kind,
    "venue": Venue,
    "base": Base,
    "quote": Quote,
    "token": Token,
    "lst": Lst,
    "chain": Chain,
    "decimals": Decimals,
}
# Gives a command what the files do not say: in its parameter `options`, key → text.
describes = shared(OF, lambda **of: {k: None if v is None else str(v) for k, v in of.items()})


@describes
def add(
    options: dict[str, str | None],
    files: Files,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The dataset file; else in datasets/ of the configuration.")
    ] = None,
    data_dir: DataDir = None,
    preset: Preset = None,
) -> None:
    """Recognise files, show what they hold, and write their dataset file.

    Form, kind, symbol, unit, interval, span and gaps are found in the files; what they do not say
    is given by flags. What was assumed stands in the dataset file with a comment.
    """
    open_settings("basis data add")
    settings, configs = settings_of(data_dir), project_configs()
    given = {"name": name, **options}
    proposal = _proposed(files, settings.data_dir, configs, given, preset)
    _require_complete(proposal)
    _require_new(proposal, configs, out)
    sound = _show(proposal, settings.data_dir)
    if not sound:
        raise typer.Exit(1)
    from basis_pipeline.settings import config_directory

    target = out or config_directory() / "datasets" / f"{proposal.name}.yaml"
    screen.write(target, proposal.to_yaml().encode())
    screen.echo(f"Written: {target}")


@describes
def try_files(options: dict[str, str | None], files: Files, preset: Preset = None) -> None:
    """Show what files are and what their dataset would be, and write nothing.

    The files may lie anywhere.
    """
    folder = files[0].absolute().parent
    proposal = _proposed(files, folder, project_configs(), options, preset)
    if proposal.missing:
        for line in proposal.summary:
            screen.echo(line)
        screen.echo(f"To add it, also give: {', '.join(proposal.missing)}")
        return
    sound = _show(proposal, folder)
    screen.deliver(proposal.to_yaml(), None)
    if not sound:
        raise typer.Exit(1)


def _proposed(
    files: list[Path],
    data_dir: Path,
    configs: "Configs",
    given: dict[str, str | None],
    preset: str | None,
) -> "Proposal":
    from basis_pipeline.config.loading import load_directory
    from basis_pipeline.config.preset import Preset as PresetModel
    from basis_pipeline.market.proposal import propose
    from basis_pipeline.settings import config_directory

    paths = [_below(file, data_dir) for file in files]
    presets, _ = load_directory(config_directory() / "presets", PresetModel, "preset")
    if preset is not None and preset not in presets:
        what = f"there is no preset {preset!r}"
        raise CommandError("API-001", what, where="--preset", available=", ".join(presets))
    chosen = [presets[preset]] if preset else list(presets.values())
    quotes = {str(one.of.quote) for one in configs.datasets.values() if one.of.quote}
    quotes |= set(configs.share_classes) | ({given["quote"]} if given["quote"] else set())
    with screen.progress(1) as advance:
        advance("recognising the files")
        return propose(
            paths, data_dir, chosen, sorted(quotes), {k: v for k, v in given.items() if v}
        )


def _below(file: Path, data_dir: Path) -> Path:
    path = file.absolute()
    if not path.is_file():
        raise CommandError("API-001", "there is no such file", where=str(file))
    if not path.is_relative_to(data_dir.absolute()):
        raise CommandError(
            "API-001",
            f"{file} does not lie below the data directory",
            where=str(data_dir),
            action="move it there, or name the directory above it with --data-dir",
        )
    return data_dir / path.relative_to(data_dir.absolute())


def _require_complete(proposal: "Proposal") -> None:
    if proposal.missing:
        raise CommandError(
            "API-001",
            f"the files do not say everything: also give {', '.join(proposal.missing)}",
            where=str(proposal.document["glob"]),
            available="; ".join(" ".join(line.split()) for line in proposal.summary),
            action="add the flags named",
        )


def _require_new(proposal: "Proposal", configs: "Configs", out: Path | None) -> None:
    """Reject a second dataset of the same thing, and a name that is taken."""
    alike = [name for name, one in configs.datasets.items() if one.of == proposal.config().of]
    taken = [*alike, *([proposal.name] if proposal.name in configs.datasets else [])]
    if taken and out is None:
        raise CommandError(
            "API-001",
            f"there is already a dataset of this: {taken[0]}",
            where=f"datasets/{taken[0]}.yaml",
            action="remove that file, or write the new one elsewhere with --out",
        )


def _show(proposal: "Proposal", data_dir: Path) -> bool:
    """Print what was recognised, ten rows and the checks; whether none of the checks fails."""
    from basis_pipeline.market.audit import audit_feed, own_window
    from basis_pipeline.market.dataset import try_build
    from basis_pipeline.market.raw import read_feed

    for line in proposal.summary:
        screen.echo(line)
    config = proposal.config()
    raw = read_feed(data_dir, config)
    rows = raw.distinct.frame.head(SHOWN_ROWS)
    texts = [
        [f"{row[0]:%Y-%m-%d %H:%M}", *(f"{x:.10g}" for x in row[1:])] for row in rows.to_numpy()
    ]
    console = screen.console()
    console.print(screen.table("", [*map(str, rows)], texts))
    window = own_window(raw)
    outcome = try_build(config, {config.name: raw}, window)
    found = audit_feed(config, outcome, {config.name: raw}, window)
    checks = [[str(v.status.value), v.check, v.message] for v in found.verdicts]
    console.print(screen.table("", ["verdict", "check", "what it says"], checks))
    for remark in found.findings.remarks:
        screen.echo(f"note      {remark}")
    return found.error is None
