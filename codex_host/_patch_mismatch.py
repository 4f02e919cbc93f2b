"""Telling a model why lines of its patch were not found: what was expected, the nearest place, how it
differs. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from codex_host.text import shorten

__all__ = ["explain"]

_SHOWN_LINES = 8
_SHOWN_DIFFERENCES = 3
_SHOWN_CHARACTERS = 160
_CONSIDERED = 200
"""So many of the expected lines, and so many places of each, are looked at to find the nearest place."""
_SIMILAR = 0.4
"""The share of words that a line must have in common with an expected one to be called near."""


def explain(
    lines: Sequence[str], wanted: Sequence[str], start: int, *, at_end: bool, normalise: Callable[[str], str]
) -> str:
    """The explanation, a few short lines; `start` is the number of lines above the first place allowed."""
    expected = [f"  {_cut(line)}" for line in wanted[:_SHOWN_LINES]]
    if len(wanted) > _SHOWN_LINES:
        expected.append(f"  ... and {len(wanted) - _SHOWN_LINES} more lines")
    place = _nearest([normalise(line) for line in lines], [normalise(line) for line in wanted])
    nearest = (
        "Nothing like it is in the file; read the file again."
        if place is None
        else _compared(lines, wanted, place, start, at_end=at_end, normalise=normalise)
    )
    return "\n".join(["Expected:", *expected, nearest])


def _nearest(keys: list[str], wanted: list[str]) -> int | None:
    """Where most of the wanted lines would stand on their own, else where the longest has a similar one, or
    None.
    """
    wanted = wanted[:_CONSIDERED]
    numbers: dict[str, list[int]] = {}
    for number, key in enumerate(wanted):
        if key:
            numbers.setdefault(key, []).append(number)
    votes: Counter[int] = Counter()
    seen: Counter[str] = Counter()
    for position, key in enumerate(keys):
        if key in numbers and seen[key] < _CONSIDERED:
            seen[key] += 1
            votes.update(position - number for number in numbers[key] if position >= number)
    if votes:
        return votes.most_common(1)[0][0]
    longest = max(range(len(wanted)), key=lambda number: len(wanted[number]))
    similar = _most_similar(keys, wanted[longest])
    return None if similar is None else max(similar - longest, 0)


def _most_similar(keys: list[str], line: str) -> int | None:
    """The line that shares the most words, if it shares enough."""
    words = set(re.findall(r"\w+", line))
    best, best_place = _SIMILAR, None
    for place, key in enumerate(keys):
        others = set(re.findall(r"\w+", key))
        share = len(words & others) / len(words | others) if words and others else 0.0
        if share > best:
            best, best_place = share, place
    return best_place


def _compared(
    lines: Sequence[str],
    wanted: Sequence[str],
    place: int,
    start: int,
    *,
    at_end: bool,
    normalise: Callable[[str], str],
) -> str:
    """What stands at the nearest place instead of the wanted lines."""
    found = lines[place : place + len(wanted)]
    pairs = zip(wanted, [*found, *[None] * (len(wanted) - len(found))], strict=True)
    different = [
        f"  line {number}: the file has {'no such line' if have is None else repr(_cut(have))}, "
        f"the patch {_cut(want)!r}"
        for number, (want, have) in enumerate(pairs, place + 1)
        if have is None or normalise(have) != normalise(want)
    ]
    if not different and place < start:
        return f"They stand at line {place + 1}, above line {start + 1}; hunks go in the order of the file."
    if not different and at_end:
        return f"They stand at line {place + 1}, not at the end of the file (line {len(lines)})."
    more = len(different) - _SHOWN_DIFFERENCES
    rest = [f"  ... and {more} more"] if more > 0 else []
    return "\n".join([f"The nearest place is line {place + 1}:", *different[:_SHOWN_DIFFERENCES], *rest])


def _cut(line: str) -> str:
    """The line as it is, indentation included, unless it is long."""
    return line if len(line) <= _SHOWN_CHARACTERS else shorten(line, _SHOWN_CHARACTERS)
