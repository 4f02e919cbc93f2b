"""From the arguments that a model wrote to a command that can be run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from codex_host.actions import Exec
from codex_host.errors import ToolError
from codex_host.items import Json

__all__ = ["DEFAULT_TIMEOUT", "LONGEST_TIMEOUT", "milliseconds", "parse", "parse_line", "truth"]

DEFAULT_TIMEOUT = 10_000
LONGEST_TIMEOUT = 24 * 60 * 60 * 1000  # both in milliseconds, as models give them


def parse(arguments: Json, cwd: Path) -> Exec:
    """The command that these arguments ask for; `cwd` is where it runs if they name no `workdir`.

    Names that nobody knows are ignored. Raises ToolError with a text from which the model can repair its
    call.
    """
    return Exec(
        argv=_argv(arguments.get("command")),
        cwd=_workdir(arguments.get("workdir"), cwd),
        timeout=_timeout(arguments) / 1000,
    )


def parse_line(arguments: Json, cwd: Path) -> Exec:
    """The same for `cmd`, a line for the shell, without a time limit."""
    command = arguments.get("cmd", arguments.get("command"))
    if not isinstance(command, (str, list)) or not command:
        raise ToolError(f"`cmd`: expected a line for the shell, got {_shown(command)}")
    return Exec(_argv(command), _workdir(arguments.get("workdir"), cwd), None)


def milliseconds(arguments: Json, name: str, default: int, longest: int) -> int:
    """A number of milliseconds from 0, more than `longest` counts as that."""
    value = arguments.get(name)
    if value is None:
        return default
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ToolError(f"`{name}`: expected a number of milliseconds, got {_shown(value)}")
    return int(min(value, longest))


def truth(arguments: Json, name: str) -> bool:
    """A flag, false if it is left out."""
    value = arguments.get(name)
    if value is not None and not isinstance(value, bool):
        raise ToolError(f"`{name}`: expected true or false, got {_shown(value)}")
    return bool(value)


def _argv(command: Any) -> tuple[str, ...]:
    """The program and its arguments; a text is a line for the shell."""
    if isinstance(command, str) and command.strip():
        return (*_shell(), _passable(command, "command"))
    if not isinstance(command, list) or not command:
        raise ToolError(f'`command`: expected a list of texts such as ["ls", "-l"], got {_shown(command)}')
    for position, word in enumerate(command):
        if not isinstance(word, str):
            raise ToolError(f"`command`: element {position} is no text but {_shown(word)}")
    if not command[0]:
        raise ToolError("`command`: the first element, the program, is empty")
    return tuple(_passable(word, "command") for word in command)


def _shell() -> tuple[str, str]:
    return ("bash", "-lc") if shutil.which("bash") else ("sh", "-c")


def _workdir(workdir: Any, cwd: Path) -> Path:
    if workdir is None:
        return cwd
    if not isinstance(workdir, str):
        raise ToolError(f"`workdir`: expected the path of a folder, got {_shown(workdir)}")
    return cwd / _passable(workdir, "workdir")


def _timeout(arguments: Json) -> int:
    """The time-out under either of its names; 2000.0 is as good as 2000."""
    name = "timeout" if arguments.get("timeout") is not None else "timeout_ms"
    value = arguments.get(name)
    if value is None:
        return DEFAULT_TIMEOUT
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LONGEST_TIMEOUT:
        expected = f"a whole number of milliseconds from 1 to {LONGEST_TIMEOUT}"
        raise ToolError(f"`{name}`: expected {expected}, got {_shown(value)}")
    return value


def _passable(text: str, name: str) -> str:
    """The same text, if a program can be given it at all."""
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise ToolError(f"`{name}`: {_shown(text)} holds half a character (a lone surrogate)") from None
    if b"\0" in encoded:
        raise ToolError(f"`{name}`: {_shown(text)} holds a NUL character, which no program can be given")
    return text


def _shown(value: Any) -> str:
    """A wrong value as the model wrote it, not too much of it."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
