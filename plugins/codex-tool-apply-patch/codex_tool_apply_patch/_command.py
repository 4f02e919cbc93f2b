"""The program `apply_patch`: the same language and the same engine, for people, scripts and a model's shell.

    apply_patch PATCH           the patch as the one argument
    apply_patch < FILE          or on standard input

Paths are relative to the working directory. Exit code 0 with the changed files on standard output, 1 with the reason
on standard error and no file changed, 2 for words that make no sense.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from codex_host import patches
from codex_host.errors import ToolError
from codex_tool_apply_patch._language import parse

__all__ = ["main"]

USAGE = "usage: apply_patch PATCH, or apply_patch < FILE\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Apply one patch; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        sys.stdout.write(f"{USAGE}\n{(__doc__ or '').strip()}\n")
        return 0
    if len(words) > 1 or (not words and sys.stdin.isatty()):
        sys.stderr.write(USAGE)
        return 2
    try:
        cwd = Path.cwd()
        sys.stdout.write(patches.apply(parse(_text(words), cwd), cwd).summary(cwd) + "\n")
    except (ToolError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _text(words: Sequence[str]) -> str:
    """The patch as it was given. Raises ToolError if it is no text."""
    data = os.fsencode(words[0]) if words else sys.stdin.buffer.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"the patch is no text in UTF-8: {error}") from None
