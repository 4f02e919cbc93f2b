"""The line on which each key of a TOML file stands, which the parser in Python's library does not tell.

Only errors, warnings and `codex config` ask for lines, so no run pays for finding them.
"""

from __future__ import annotations

import ast
import re

__all__ = ["line_of"]

_TOKEN = re.compile(
    r"""
      (?P<text> \"{3} (?:\\.|[^\\])*? \"{3,5}(?!\") | '{3} .*? '{3,5}(?!')   # over several lines
              | \" (?:\\.|[^"\\\n])* \" | ' [^'\n]* ' )
    | (?P<comment> \# [^\n]* )
    | (?P<end> \n )
    | (?P<word> [\w-]+ )
    | (?P<sign> [\[\]{}=] )
    """,
    re.VERBOSE | re.DOTALL,
)


def line_of(text: str, *paths: tuple[str, ...]) -> int | None:
    """The number of the line on which the first of these paths that there is gets its value.

    If there is none of them, the last may be a table that is only implied: the line of the first key in it; else that
    of the nearest table around it; None if there is nothing of it. `text` is valid TOML. A key within an inline table
    stands where that table begins.
    """
    lines = _lines(text)
    last = paths[-1]
    within = (path for path in lines if path[: len(last)] == last)
    around = (last[:end] for end in range(len(last) - 1, 0, -1))
    return next((lines[path] for path in (*paths, *within, *around) if path in lines), None)


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every key and of every table's head."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    path: list[str] = []
    number, depth, in_head, in_value = 1, 0, False, False
    for token in _TOKEN.finditer(text):
        kind, word = token.lastgroup, token[0]
        if in_value:
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(word, 0)
        elif kind in ("word", "text"):
            path.append(_unquoted(word))
        elif word == "[":
            in_head = True
        elif word == "]" and in_head:
            table, in_head = tuple(path), False
            lines.setdefault(table, number)
        elif word == "=":
            lines.setdefault((*table, *path), number)
            in_value = True
        number += word.count("\n")
        if kind == "end" and depth == 0:
            path, in_value = [], False
    return lines


def _unquoted(word: str) -> str:
    """A key as it is meant; Python's escapes are those of TOML."""
    if word.startswith("'"):
        return word[1:-1]
    return str(ast.literal_eval(word)) if word.startswith('"') else word
