"""What a patch makes of a file, as a unified diff for people. Pure.

Every line of a patched document knows its number in the file as it was, so nothing has to be compared again:
the diff takes time in proportion to the file, however many hunks there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codex_host._patch_matching import Document, Line

__all__ = ["unified_diff"]

_CONTEXT = 3
_MOST_LINES = 2_000
_MOST_CHARACTERS = 200_000

Block = tuple[int, int, int, int]
"""Lines of the old file (from, to) and what stands there in the new one (from, to)."""


def unified_diff(before: Document, after: Document) -> str:
    """The diff without file names, cut when it is too long to be read; the last line then says so."""
    shown: list[str] = []
    room = _MOST_CHARACTERS
    total = 0
    for line in _diff_lines(before.lines, after.lines):
        total += 1
        if len(shown) < _MOST_LINES and room > 0:
            shown.append(line if len(line) <= room else line[:room] + "…")
            room -= len(line)
    if total > len(shown):
        shown.append(f"... {total - len(shown)} more lines are not shown ...")
    return "".join(f"{line}\n" for line in shown)


def _diff_lines(before: Sequence[Line], after: Sequence[Line]) -> Iterator[str]:
    for group in _groups(_blocks(before, after)):
        top = min(_CONTEXT, group[0][0])
        old_start, new_start = group[0][0] - top, group[0][2] - top
        bottom = min(_CONTEXT, len(before) - group[-1][1])
        old_end, new_end = group[-1][1] + bottom, group[-1][3] + bottom
        yield f"@@ -{_range(old_start, old_end)} +{_range(new_start, new_end)} @@"
        position = old_start
        for block in group:
            yield from _marked(" ", before[position : block[0]])
            yield from _marked("-", before[block[0] : block[1]])
            yield from _marked("+", after[block[2] : block[3]])
            position = block[1]
        yield from _marked(" ", before[position:old_end])


def _blocks(before: Sequence[Line], after: Sequence[Line]) -> Iterator[Block]:
    """The parts that differ, in order. A line that gains or loses its newline differs."""
    old = new = 0
    for number, line in enumerate(after):
        if line.origin >= 0 and line.ending == before[line.origin].ending:
            if old < line.origin or new < number:
                yield old, line.origin, new, number
            old, new = line.origin + 1, number + 1
    if old < len(before) or new < len(after):
        yield old, len(before), new, len(after)


def _groups(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    """Blocks that are so near each other that their context lines meet."""
    group: list[Block] = []
    for block in blocks:
        if group and block[0] - group[-1][1] > 2 * _CONTEXT:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _range(start: int, end: int) -> str:
    """A range of lines as diffs spell it: an empty one is named after the line above it."""
    count = end - start
    return f"{start + 1}" if count == 1 else f"{start + 1 if count else start},{count}"


def _marked(mark: str, lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        yield mark + line.text
        if not line.ending:
            yield "\\ No newline at end of file"
