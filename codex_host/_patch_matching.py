"""Finding the hunks of a patch in a file's lines, and the text that they make of it.

Pure. Models quote lines from memory, so a hunk is sought in four passes, each more forgiving than the one
before; what a hunk merely repeats keeps the file's own text, so a forgiving match never rewrites what the
patch does not change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from codex_host._patch_mismatch import explain
from codex_host.actions import Hunk
from codex_host.errors import PatchError

__all__ = ["Document", "Line", "apply_hunks", "normalised"]

_BOM = "\ufeff"
_ALIGNED = 250_000
"""Above this product of line numbers the changed part of a hunk is not compared line by line."""

_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u00a0\u202f\u205f\u3000", " "),
        **dict.fromkeys(map(chr, range(0x2002, 0x200B)), " "),
    }
)


def normalised(line: str) -> str:
    """A line as the most forgiving pass sees it: trimmed, with plain dashes, quotes and spaces."""
    return line.strip().translate(_PUNCTUATION)


_PASSES: tuple[Callable[[str], str], ...] = (str, str.rstrip, str.strip, normalised)


class Line(NamedTuple):
    """A line of a file: its text, its ending ("" at the end of some files), its number in the file as it was,
    or -1.
    """

    text: str
    ending: str
    origin: int


@dataclass(frozen=True, slots=True)
class Document:
    """A text file's lines, taken apart so that joining them gives back every character."""

    lines: Sequence[Line]
    bom: str = ""

    @classmethod
    def of(cls, text: str, *, fresh: bool = False) -> Document:
        """Take a text apart at its newlines; `fresh` says that no line of it was in a file before."""
        bom = _BOM if text.startswith(_BOM) else ""
        pieces = text[len(bom) :].split("\n")
        last = pieces.pop()
        lines = [
            Line(piece[:-1], "\r\n", number) if piece.endswith("\r") else Line(piece, "\n", number)
            for number, piece in enumerate(pieces)
        ]
        if last:
            lines.append(Line(last, "", len(lines)))
        if fresh:
            lines = [line._replace(origin=-1) for line in lines]
        return cls(lines, bom)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.bom + "".join(line.text + line.ending for line in self.lines)


def apply_hunks(document: Document, hunks: Sequence[Hunk], name: str) -> Document:
    """The document after the hunks, sought in order, each below the one before.

    New lines take the line ending of their neighbours and are whole lines: a file without a final newline
    stays so unless its last line changes. Raises PatchError that names the file `name`, what was expected,
    and the nearest place.
    """
    index = _Index([line.text for line in document.lines])
    edits: list[_Edit] = []
    position = 0
    for number, hunk in enumerate(hunks, 1):
        try:
            edit, position = _locate(index, hunk, position)
        except _NotFoundError as missing:
            label = f"{name}: hunk {number} of {len(hunks)}" if len(hunks) > 1 else f"{name}: the hunk"
            text = explain(index.lines, missing.wanted, missing.start, at_end=missing.at_end, normalise=normalised)
            raise PatchError(f"{label} does not match: {missing.what}\n{text}") from None
        edits.append(edit)
    return Document(_spliced(document.lines, edits), document.bom)


class _Edit(NamedTuple):
    """The lines `old` that stand at `start` become `new`."""

    start: int
    old: Sequence[str]
    new: Sequence[str]


class _NotFoundError(Exception):
    """The lines `wanted` are not to be found from `start` on."""

    def __init__(self, what: str, wanted: Sequence[str], start: int, *, at_end: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.wanted = wanted
        self.start = start
        self.at_end = at_end


class _Index:
    """A file's lines, and where each stands: per pass a table made when the pass is first needed."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self._tables: list[tuple[list[str], dict[str, list[int]]]] = []

    def find(self, wanted: Sequence[str], start: int, *, at_end: bool = False) -> int | None:
        """The first place of these lines (at least one) from `start` on, or only the end of the file."""
        last = len(self.lines) - len(wanted)
        first = max(start, last) if at_end else start
        if first > last:
            return None
        for number, normalise in enumerate(_PASSES):
            keys, places = self._table(number)
            found = _first(keys, places, [normalise(line) for line in wanted], first, last)
            if found is not None:
                return found
        return None

    def _table(self, number: int) -> tuple[list[str], dict[str, list[int]]]:
        if number == len(self._tables):
            keys = [_PASSES[number](line) for line in self.lines]
            places: dict[str, list[int]] = {}
            for position, key in enumerate(keys):
                places.setdefault(key, []).append(position)
            self._tables.append((keys, places))
        return self._tables[number]


def _first(keys: list[str], places: dict[str, list[int]], wanted: list[str], first: int, last: int) -> int | None:
    """The first place in `first..last`; only those of the rarest line are looked at, to keep it linear."""
    rarest = min(range(len(wanted)), key=lambda number: len(places.get(wanted[number], ())))
    positions = places.get(wanted[rarest], [])
    for number in range(bisect_left(positions, first + rarest), len(positions)):
        place = positions[number] - rarest
        if place > last:
            return None
        if keys[place : place + len(wanted)] == wanted:
            return place
    return None


def _locate(index: _Index, hunk: Hunk, position: int) -> tuple[_Edit, int]:
    """Where a hunk goes if it is sought from `position` on, and the position after it."""
    start = position
    for line in hunk.context:
        found = index.find([line], start)
        if found is None:
            what = "its @@ line is not in the file (a whole line goes there, no line numbers)"
            raise _NotFoundError(what, [line], start)
        start = found + 1
    if not hunk.old:
        place = start if hunk.context and not hunk.at_end else len(index.lines)
        return _Edit(place, (), hunk.new), start
    old, new = hunk.old, hunk.new
    while True:
        found = index.find(old, start, at_end=hunk.at_end)
        if found is None and hunk.context:  # perhaps its first line repeats its @@ line
            above = index.find(old, start - 1, at_end=hunk.at_end)
            found = above if above == start - 1 else None
        if found is not None:
            return _Edit(found, old, new), found + len(old)
        if len(old) == 1 or old[-1]:
            what = "its old lines are not in the file"
            raise _NotFoundError(what, hunk.old, start, at_end=hunk.at_end)
        # An empty last line often stands for the file's last newline, or for the gap before the next hunk.
        old, new = old[:-1], new[:-1] if new and not new[-1] else new


def _spliced(lines: Sequence[Line], edits: Sequence[_Edit]) -> list[Line]:
    """The lines after the edits, which do not overlap."""
    result: list[Line] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        result += lines[done : edit.start]
        result += _changed(lines, edit)
        done = edit.start + len(edit.old)
    result += lines[done:]
    for number in range(len(result) - 1):
        if not result[number].ending:  # the file's last line, which had no newline and now has lines after it
            result[number] = result[number]._replace(ending=_ending(lines, len(lines) - 2))
    return result


def _changed(lines: Sequence[Line], edit: _Edit) -> Iterator[Line]:
    """What stands in place of the edit's old lines: the file's own where both sides agree, else new ones."""
    for tag, old_start, old_end, new_start, new_end in _alignment(edit.old, edit.new):
        if tag == "equal":
            yield from lines[edit.start + old_start : edit.start + old_end]
            continue
        for offset, text in enumerate(edit.new[new_start:new_end]):
            neighbour = max(min(old_start + offset, old_end - 1), old_start - 1)
            yield Line(text, _ending(lines, edit.start + neighbour), -1)


def _alignment(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Which lines of a hunk are the same on both sides, as difflib's opcodes."""
    shorter = min(len(old), len(new))
    head = next((number for number in range(shorter) if old[number] != new[number]), shorter)
    rest = shorter - head
    tail = next((number for number in range(rest) if old[-1 - number] != new[-1 - number]), rest)
    old_end, new_end = len(old) - tail, len(new) - tail
    if (old_end - head) * (new_end - head) > _ALIGNED:
        middle = [("replace", head, old_end, head, new_end)]
    else:
        matcher = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False)
        middle = [(str(tag), head + i, head + j, head + m, head + n) for tag, i, j, m, n in matcher.get_opcodes()]
    return [("equal", 0, head, 0, head), *middle, ("equal", old_end, len(old), new_end, len(new))]


def _ending(lines: Sequence[Line], number: int) -> str:
    """The line ending in use around this line; a newline where there is none."""
    for candidate in (number, number - 1, number + 1):
        if 0 <= candidate < len(lines) and lines[candidate].ending:
            return lines[candidate].ending
    return "\n"
