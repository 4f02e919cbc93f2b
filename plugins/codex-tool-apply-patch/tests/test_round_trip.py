"""The difference of two files, written as a patch, makes one out of the other: through language and host."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path

from codex_tool_apply_patch._language import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host import patches

CONTEXT = 3


def patch_of(name: str, old: list[str], new: list[str]) -> str:
    """The difference with three lines of context, and with as many more above as it takes to find the place."""
    text = ["*** Begin Patch", f"*** Update File: {name}"]
    at = 0
    groups = difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT)
    for group in groups:
        begin, end = group[0][1], group[-1][2]
        above = begin
        while first_at(old, old[above:end], at) != above:
            above -= 1
        text += ["@@", *(f" {line}" for line in old[above:begin])]
        for tag, start, stop, new_start, new_stop in group:
            if tag == "equal":
                text += [f" {line}" for line in old[start:stop]]
            else:
                text += [f"-{line}" for line in old[start:stop]]
                text += [f"+{line}" for line in new[new_start:new_stop]]
        at = end
    return "\n".join([*text, "*** End Patch"])


def first_at(lines: list[str], sought: list[str], start: int) -> int:
    return next(place for place in range(start, len(lines) + 1) if lines[place : place + len(sought)] == sought)


_any_line = st.text(st.characters(blacklist_characters="\n\r\0", blacklist_categories=["Cs"]), max_size=6)
_line = st.sampled_from(["", " ", "a", "b", "a ", "@@", "*** End Patch", "+x", "-x"]) | _any_line


@st.composite
def _two_files(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """A file, and another one that shares lines with it."""
    old = draw(st.lists(_line, max_size=40))
    new = [line for line in old if draw(st.integers(0, 9))]
    for line in draw(st.lists(_line, max_size=8)):
        new.insert(draw(st.integers(0, len(new))), line)
    return old, new


@settings(max_examples=300, deadline=None)
@given(_two_files(), st.sampled_from(["\n", "\r\n"]), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_the_difference_of_two_files_applies_exactly(files, ending, mark):
    old, new = files
    if old == new or not old:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder).resolve() / "file"
        file.write_bytes(mark + "".join(line + ending for line in old).encode())
        patches.apply(parse(patch_of("file", old, new), file.parent), file.parent)
        assert file.read_bytes() == mark + "".join(line + ending for line in new).encode()
