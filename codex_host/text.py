"""Making text fit for a person's terminal: neutralised, cut, and durations and commands as people write them.

Whatever comes from a model, a file, a command or a server passes `neutralise` before it is printed, so that it cannot
move the cursor, change the window's title or write to the clipboard.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

__all__ = ["command_line", "duration", "neutralise", "shorten", "visible"]

_DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1 (ECMA-48)
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides and isolates (UAX 9)
    "\u2028\u2029\ufeff\ud800-\udfff]"  # line separators, byte order mark, lone surrogates
)
_ESCAPE_SEQUENCE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI
    "|\x1b[\\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)"  # OSC, DCS, SOS, PM, APC that end on their line
    "|\x1b[ -/]*[0-~]?"  # any other escape sequence
)


def neutralise(text: str) -> str:
    """The same text without anything a terminal would obey; tabs and newlines stay.

    For output that a person reads; for what a person decides on, use `visible`, which hides nothing. Whole escape
    sequences vanish; a control character that is left is shown as U+FFFD. A carriage return before a newline vanishes
    with it, a lone one becomes a newline, as progress bars mean it. Takes whole texts or whole lines: a sequence that
    is cut in two shows its printable rest.
    """
    if _DANGEROUS.search(text) is None:
        return text
    text = _ESCAPE_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _DANGEROUS.sub("\ufffd", text)


def visible(text: str) -> str:
    """The same text with every dangerous character spelled out, as in Python; nothing is removed, nothing can hide."""
    return _DANGEROUS.sub(lambda found: ascii(found[0])[1:-1], text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters of one line; what is cut shows as `…`."""
    line = " ".join(text.split())
    return line if len(line) <= limit else (line[: limit - 1] + "…" if limit > 0 else "")


def duration(seconds: float) -> str:
    """A duration as people read it: `250ms`, `1.50s`, `1m15s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f}s"
    minutes, rest = divmod(milliseconds // 1000, 60)
    return f"{minutes}m{rest:02d}s"


def command_line(argv: Sequence[str]) -> str:
    """A command as it would be typed, with nothing hidden; of `bash -lc SCRIPT` only the script."""
    match list(argv):
        case ["bash" | "sh" | "/bin/bash" | "/bin/sh", "-lc" | "-c", script]:
            return visible(script)
        case words:
            return visible(shlex.join(words))
