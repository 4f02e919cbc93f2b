"""The command line: which word is typed decides what is imported.

Words are the host's own commands, then frontends (`codex exec`), then commands of plugins. Help lines of plugins come
from their metadata, so that `--version`, `--help` and shell completion import no plugin.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from codex_host import __version__

__all__ = ["main"]


def main() -> None:
    """The entry point of `codex`."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        sys.stdout.write(f"codex-host {__version__}\n")
        return
    _forget_relative_folders()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.exit(code)


def _forget_relative_folders() -> None:
    """Import nothing from the folder that codex is started in: relative entries of PYTHONPATH would lead there."""
    listed = os.environ.get("PYTHONPATH", "")
    relative = {os.path.abspath(entry) for entry in listed.split(os.pathsep) if listed and not os.path.isabs(entry)}
    sys.path[:] = [folder for folder in sys.path if os.path.isabs(folder) and folder not in relative]


def _terminated(number: int, frame: object) -> None:
    """End like an exception, so that what was opened is closed and temporary folders are removed."""
    sys.exit(128 + number)


def _run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; every error is told here and nowhere else."""
    import click

    from codex_host._group import group
    from codex_host.errors import CodexError

    try:
        result = group().main(with_frontend(arguments), prog_name="codex", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except CodexError as error:
        from codex_host.text import neutralise

        click.echo(f"codex: {neutralise(str(error))}", err=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return 1
    except OSError as error:
        click.echo(f"codex: {error}", err=True)
        return 1
    except Exception:  # noqa: BLE001  the last place where a bug can be told
        import traceback

        click.echo(f"codex: this is a bug in codex-host {__version__}; please report it with what follows", err=True)
        click.echo(traceback.format_exc(), err=True)
        return 70


def with_frontend(arguments: Sequence[str]) -> list[str]:
    """The same words with an empty one where the user left out a frontend's name: `codex [OPTIONS] [PROMPT]`.

    A first word that is an option, follows `--` or contains a space is no name, so everything goes to the frontend that
    `--frontend NAME` says, else to the default one.
    """
    first = arguments[0] if arguments else ""
    if first == "--frontend" and len(arguments) > 1:
        return [*arguments[:2], "", *arguments[2:]]
    if first.startswith("--frontend="):
        return [first, "", *arguments[1:]]
    if first in ("--help", "-h", "--version", "-V", "--frontend"):
        return list(arguments)
    if not first or first.startswith("-") or " " in first:
        return ["", *arguments]
    return list(arguments)
