"""Gates of the documents: what they name exists, the lock is fit, no secret lies in the tree."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from basis_pipeline import error_codes
from basis_pipeline.config import Configs
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.market.quality import QualityResult, Severity
from basis_pipeline.settings import NAMES, PREFIX

PHASE = 5
Commands = Mapping[str, AbstractSet[str]]  # `data sample` → its options
Problems = Iterator[tuple[str, str]]  # place, problem
# Check → severity and what it asks.
CHECKS: dict[str, tuple[Severity, str]] = {
    "error_reference": ("ERROR", "docs/errors.md is what the registry of codes says"),
    "commands": ("ERROR", "commands, options and make targets that documents show exist"),
    "names": ("ERROR", "modes, datasets, keys, variables, codes and files named exist"),
    "lock": ("ERROR", "every requirement is pinned with hashes, and no host is named"),
    "secrets": ("ERROR", "no tracked file holds what looks like a secret"),
}
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_FILE = re.compile(r"(?:basis_pipeline|benchmarks|configs|docs|tests)/[\w./-]*\w/?")
_KEY = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
_FAMILY = re.compile(r"(?:(?:raw|dataset)/\w+|\w+_(?:perp|funding|spot|oracle|peg|risk_params))")
_VARIABLE = re.compile(rf"{PREFIX}[A-Z_]*[A-Z]")
_CODE = re.compile(rf"(?:{'|'.join(error_codes.FAMILIES)})-\d{{3}}")
_OTHER_VARIABLES = {"BASIS_ENV_FILE", "BASIS_REAL_DATA_DIR"}
_PIN = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+( ; .+)?( --hash=sha256:[0-9a-f]{64})+")
_SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[0-9A-Za-z-]{20}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    r"|(?i:private_?key|passwo?r?d|secret|api_?key|access_?token)['\"]?\s*[=:]\s*"
    r"['\"]?(?:0x)?(?=[\w+/]*[0-9])(?=[\w+/]*[A-Za-z])[\w+/]{20}"
)


def document_checks(
    root: Path, configs: Configs, commands: Callable[[], Commands]
) -> list[QualityResult]:
    """Evaluate every check of `CHECKS` on the project at `root`; a file that is absent, is a fault.

    Parameters
    ----------
    commands: gives the commands there are; asked once.
    """
    looks: dict[str, Callable[[], Problems]] = {
        "error_reference": lambda: _error_reference(root),
        "commands": lambda: _commands(root, commands()),
        "names": lambda: _names(root, configs),
        "lock": lambda: _lock(root),
    }
    found = [_result(name, list(look())) for name, look in looks.items()]
    return [*found, _secrets(root)]


def _result(name: str, problems: list[tuple[str, str]], looked_at: int = 0) -> QualityResult:
    rows = pd.DataFrame(problems, columns=["place", "problem"])
    asks = CHECKS[name][1]
    told = "; ".join(f"{place}: {problem}" for place, problem in problems[:3]) or asks
    if len(problems) > 3:
        told += f"; and {len(problems) - 3} more"
    metrics: dict[str, float | int | str] = {"problems": len(problems)}
    if looked_at:
        metrics["files"] = looked_at
    return QualityResult(name, not problems, "ERROR", told, metrics, rows, phase=PHASE)


def _documents(root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of the pages people read."""
    for file in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        if file.is_file():
            yield str(file.relative_to(root)), file.read_text(encoding="utf-8")


def _fragments(text: str) -> Iterator[str]:
    """Pieces of code of a page: the lines of its blocks, and what stands in its sentences."""
    for block in _FENCED.findall(text):
        yield from (line.partition(" # ")[0].strip() for line in block.splitlines()[1:-1])
    yield from _INLINE.findall(_FENCED.sub("", text))


def _error_reference(root: Path) -> Problems:
    page = root / error_codes.DOCUMENT
    if not page.is_file():
        yield error_codes.DOCUMENT, "is absent"
    elif page.read_text(encoding="utf-8") != error_codes.markdown():
        yield error_codes.DOCUMENT, "differs from the registry: generate it again"


def _commands(root: Path, known: Commands) -> Problems:
    if not (root / "README.md").is_file():
        yield "README.md", "is absent"
    makefile = root / "Makefile"
    told = makefile.read_text(encoding="utf-8") if makefile.is_file() else ""
    targets = set(re.findall(r"^([a-z]+):", told, re.MULTILINE))
    for name, text in _documents(root):
        for fragment in _fragments(text):
            words = _words(fragment)
            if words[:1] == ["make"] and len(words) > 1 and words[1] not in targets:
                yield name, f"there is no target `make {words[1]}`"
            is_basis = len(words) > 1 and Path(words[0]).name == "basis"
            if is_basis and (problem := _unknown_command(words[1:], known)):
                yield name, problem


def _words(fragment: str) -> list[str]:
    try:
        return shlex.split(fragment)
    except ValueError:
        return fragment.split()


def _unknown_command(words: list[str], known: Commands) -> str:
    """What is wrong with the words after `basis`; nothing when the command and options exist."""
    if not re.fullmatch(r"[a-z][a-z-]*", words[0]):
        return ""  # `basis …` stands for any of them
    command = words[0] if words[0] in known else " ".join(words[:2])
    if command not in known:
        return f"there is no command `basis {command}`"
    options = {match[0] for word in words if (match := _OPTION.match(word))}
    unknown = sorted(options - known[command] - {"--help"})
    return f"`basis {command}` has no option {', '.join(unknown)}" if unknown else ""


def _names(root: Path, configs: Configs) -> Problems:
    for name, text in _documents(root):
        for code in sorted(set(_CODE.findall(text))):
            if code not in error_codes.REGISTRY and not error_codes.why_reserved(code):
                yield name, f"{code} is not registered"
        for variable in sorted(set(_VARIABLE.findall(text)) - _OTHER_VARIABLES):
            if variable.removeprefix(PREFIX).lower() not in NAMES:
                yield name, f"{variable} is not a variable"
        for fragment in _fragments(text):
            if problem := _unknown_name(root, configs, fragment):
                yield name, problem


def _unknown_name(root: Path, configs: Configs, fragment: str) -> str:
    mode = re.search(r"(?:--mode[ =]|basis backtest )([a-z_]+)", fragment)
    if mode and mode[1] not in configs.modes:
        return f"there is no mode {mode[1]}"
    for key in re.findall(r"--set '?([a-z_.]+)=", fragment):
        if not _is_key(key):
            return f"there is no key {key}"
    if _FILE.fullmatch(fragment) and not (root / fragment).exists():
        return f"there is no file {fragment}"
    section = fragment.partition(".")[0]
    is_key = section in ModeConfig.model_fields and not fragment.endswith((".py", ".html"))
    if is_key and _KEY.fullmatch(fragment) and not _is_key(fragment):
        return f"there is no key {fragment}"
    family = fragment.partition("/")[2] or fragment
    if _FAMILY.fullmatch(fragment) and family not in configs.datasets:
        return f"there is no dataset {family}"
    return ""


def _is_key(dotted: str) -> bool:
    """Whether a dotted path names a field of a mode, or an entry of one of its mappings."""
    model: type[BaseModel] | None = ModeConfig
    for part in dotted.split("."):
        if model is None:
            return True  # below a mapping any name may stand
        if part not in model.model_fields:
            return False
        kind = model.model_fields[part].annotation
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return True


def _lock(root: Path) -> Problems:
    lock = root / "requirements.lock"
    if not lock.is_file():
        yield lock.name, "is absent"
        return
    text = re.sub(r"\s*\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    pins = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not pins:
        yield lock.name, "pins nothing"
    for line in pins:
        if not _PIN.fullmatch(line.strip()):
            yield lock.name, f"not a pin with hashes: {line.split()[0]}"
    if "://" in text:
        yield lock.name, "names a host"


def _secrets(root: Path) -> QualityResult:
    """Search what git tracks; without git nobody knows what would be published."""
    git = shutil.which("git")
    listed = git and subprocess.run(
        [git, "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if not listed or listed.returncode or not listed.stdout:
        told = "not evaluated: this is no git checkout"
        return QualityResult("secrets", False, "ERROR", told, evaluated=False, phase=PHASE)
    names = [name for name in listed.stdout.split("\0") if name]
    # Tests plant secrets to see them masked; hashes of a lock look like keys.
    kept = [n for n in names if not n.startswith("tests/") and n != "requirements.lock"]
    problems = []
    for name in kept:
        file = root / name
        text = file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
        for match in _SECRETS.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            problems.append((f"{name}, line {line}", f"looks like a secret: {match[0][:6]}…"))
    return _result("secrets", problems, len(kept))
