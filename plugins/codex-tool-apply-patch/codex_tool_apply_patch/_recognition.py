"""Recognising `apply_patch` among commands, as models type it into a shell. Pure.

Only what means the patch and nothing else is recognised: a script with a further command, a pipe or an
expansion is left to the shell, so nothing that the model asked for is silently dropped. One thing differs: where
`cd` would fail for want of the folder, the patch makes it, since nothing is known here of the files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from codex_host.actions import Exec, Patch
from codex_tool_apply_patch._language import parse

__all__ = ["recognise"]

_SHELLS = frozenset(f"{folder}{shell}" for folder in ("", "/bin/", "/usr/bin/") for shell in ("bash", "sh"))
_PLACE = r"""
    \s*
    (?: cd [ \t]+ (?: '(?P<single>[^'\n]+)' | "(?P<double>[^"$`\\\n]+)" | (?P<bare>[\w./@%+:,-]+) )
        [ \t]* && \s* )?
    apply_patch
"""
_HEREDOC = re.compile(
    _PLACE
    + r"""
    [ \t]* (?P<inner> "\$\( [ \t]* cat [ \t]* )? <<(?P<tabs>-?) [ \t]*
    (?: '(?P<end1>[^'\n]+)' | "(?P<end2>[^"$`\\\n]+)" | \\(?P<end3>\w+) | (?P<expanding>\w+) ) [ \t]*\r?\n
    (?P<rest> .*)
    """,
    re.VERBOSE | re.DOTALL,
)
_EXPANDED = re.compile(r"[$`\\]")
_QUOTED = re.compile(
    _PLACE + r"""[ \t]+ (?: '(?P<plain>(?:[^'] | '\\\'')*)' | "(?P<text>[^"$`\\]*)" ) \s*""",
    re.VERBOSE | re.DOTALL,
)


def recognise(command: Exec) -> Patch | None:
    """The patch that a command applies, relative to where it would run; None if it does something else.

    Raises ToolError if it is an apply_patch whose patch is invalid.
    """
    match command.argv:
        case ("apply_patch", text):
            return parse(text, command.cwd)
        case (shell, "-lc" | "-c", script) if shell in _SHELLS:
            return _from_script(script, command)
        case _:
            return None


def _from_script(script: str, command: Exec) -> Patch | None:
    """The patch, if the script is nothing but this one command."""
    if found := _QUOTED.fullmatch(script):
        text = (found["plain"] or "").replace(r"'\''", "'") or found["text"] or ""
    elif found := _HEREDOC.fullmatch(script):
        body = _body(found)
        if body is None:
            return None
        text = body
    else:
        return None
    folder = found["single"] or found["double"] or found["bare"] or "."
    if folder.startswith("-"):
        return None  # an option of cd, or `cd -`
    # As the shell's own `cd` does, `..` goes back over a link by name.
    return parse(text, Path(os.path.normpath(command.cwd / folder)))


def _body(found: re.Match[str]) -> str | None:
    """The heredoc's body, None if something follows it or the shell would put something else into it.

    What encloses it (`"$(cat <<EOF`) has to be closed.
    """
    end = found["end1"] or found["end2"] or found["end3"] or found["expanding"]
    body = []
    lines = iter(found["rest"].split("\n"))
    for line in lines:
        if found["tabs"]:
            line = line.lstrip("\t")
        if line.removesuffix("\r") == end:
            break
        body.append(line)
    after, text = "".join("".join(lines).split()), "\n".join(body)
    if after != (')"' if found["inner"] else "") or (found["expanding"] and _EXPANDED.search(text)):
        return None
    return text
