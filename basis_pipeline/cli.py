"""`basis`: the pipeline from the command line."""

import errno
import sys
from typing import TYPE_CHECKING, NoReturn

from basis_pipeline.commands import interrupts

if TYPE_CHECKING:
    import typer

    from basis_pipeline.errors import CommandError


OTHER_PLACE = "change its permissions, or name a path that this user can use"
FREE_SPACE = "free disk space, or name a path on another disk"
# Code and remedy by the system's error number; for any other the path itself is wrong.
REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ("API-002", OTHER_PLACE)),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ("API-002", FREE_SPACE)),
}


def main() -> NoReturn:
    """Run the command line: bad input is one message on stderr and exit code 2."""
    interrupts.listen()
    try:
        code = run()
    except KeyboardInterrupt:
        interrupts.end()
    if code == interrupts.EXIT_CODE:  # Typer returns it for an interrupt inside a command
        interrupts.end()
    sys.exit(code)


def run() -> int:
    """Run a command line; return its exit code. Messages are on stderr."""
    # Imported here, so that an interrupt while the libraries load is handled.
    import typer

    from basis_pipeline.commands.app import app
    from basis_pipeline.commands.screen import echo_error
    from basis_pipeline.errors import BasisError

    try:
        code = app(standalone_mode=False)
    except BasisError as error:
        echo_error(error)
        return 2
    except typer.TyperException as error:
        echo_error(_usage_error(error))
        return 2
    except typer.Abort:
        return interrupts.EXIT_CODE
    except OSError as error:
        if error.filename is None:
            raise
        echo_error(_unusable_path(error))
        return 2
    return code if isinstance(code, int) else 0


def _unusable_path(error: OSError) -> "CommandError":
    """Return the error of a path that the system rejects: its name, permissions or disk."""
    from basis_pipeline.errors import CommandError

    code, action = REMEDIES.get(error.errno or 0, ("API-001", "name another path"))
    what = f"a path cannot be used: {error.strerror}"
    return CommandError(code, what, where=str(error.filename), action=action)


def _usage_error(error: "typer.TyperException") -> "CommandError":
    from basis_pipeline.errors import CommandError

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "basis"
    what = " ".join(error.format_message().split())
    return CommandError("API-001", what, where=command, action=f"{command} --help")
