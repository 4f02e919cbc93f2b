"""The patch language: text to `Patch`. Pure.

    *** Begin Patch
    *** Add File: notes.txt             every line of the new file follows, each after a +
    +hello
    *** Update File: src/app.py         hunks follow
    *** Move to: src/main.py            optional; without hunks it is a pure rename
    @@ class App                        lines to seek first, as many as it takes; optional for the first hunk
    @@ def run(self):
     unchanged
    -removed
    +added
    *** End of File                     optional: the hunk stands at the end of the file
    *** Delete File: old.txt
    *** End Patch

Models are careless with what surrounds the lines, and nothing depends on it: markers may be padded with
blanks, all lines may end in CRLF, and the whole may be wrapped in a heredoc as if for a shell.
"""

from __future__ import annotations

import re
from pathlib import Path

from codex_host.actions import AddFile, DeleteFile, FileChange, Hunk, Patch, UpdateFile
from codex_host.errors import ToolError

__all__ = ["parse"]

_BEGIN, _END, _END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
_ADD, _DELETE, _UPDATE, _MOVE = "*** Add File:", "*** Delete File:", "*** Update File:", "*** Move to:"
_HEREDOC = re.compile(r"""(?:apply_patch[ \t]*)?<<-?[ \t]*(['"]?)(\w+)\1\s*""")


def parse(text: str, cwd: Path) -> Patch:
    """The patch that a text means, its paths joined to `cwd`. Raises ToolError that names the line, counted
    from 1.
    """
    lines = text.strip().split("\n")
    first = 0
    heredoc = _HEREDOC.fullmatch(lines[0])
    if heredoc and len(lines) > 1 and lines[-1].strip() == heredoc[2]:
        first, lines = 1, lines[:-1]
        while len(lines) > 1 and not lines[-1].strip():
            lines.pop()
    if first == len(lines) or lines[first].strip() != _BEGIN:
        raise _wrong(first, f"the first line of a patch has to be {_BEGIN!r}")
    if len(lines) < first + 2 or lines[-1].strip() != _END:
        raise _wrong(len(lines) - 1, f"the last line of a patch has to be {_END!r}")
    if lines[first].endswith("\r"):
        lines = [line.removesuffix("\r") for line in lines]
    return Patch(tuple(_Reader(lines, first + 1, len(lines) - 1, cwd).changes()))


def _wrong(number: int, reason: str) -> ToolError:
    return ToolError(f"invalid patch, line {number + 1}: {reason}")


class _Reader:
    """Reads the sections between the first and the last line of a patch."""

    def __init__(self, lines: list[str], start: int, end: int, cwd: Path) -> None:
        self._lines = lines
        self._at = start
        self._end = end
        self._cwd = cwd

    def changes(self) -> list[FileChange]:
        """All sections."""
        changes: list[FileChange] = []
        while (line := self._line()) is not None:
            if line.strip():
                changes.append(self._section(line.strip()))
            else:
                self._at += 1
        return changes

    def _line(self) -> str | None:
        """The line to be read next, None at the end."""
        return self._lines[self._at] if self._at < self._end else None

    def _section(self, header: str) -> FileChange:
        for marker in (_ADD, _DELETE, _UPDATE):
            if header.startswith(marker):
                path = self._path(header.removeprefix(marker))
                break
        else:
            known = ", ".join(f"'{marker} PATH'" for marker in (_ADD, _DELETE, _UPDATE))
            raise _wrong(self._at, f"{_shown(header)} begins no section; there are: {known}")
        self._at += 1
        if marker == _ADD:
            return AddFile(path, self._added())
        if marker == _DELETE:
            return DeleteFile(path)
        return self._update(path, header)

    def _path(self, words: str) -> Path:
        path = words.strip()
        if not path or "\0" in path:
            raise _wrong(self._at, "there is no path after the colon")
        return self._cwd / path

    def _added(self) -> str:
        text = []
        while (line := self._line()) is not None and line.startswith("+"):
            text.append(line[1:] + "\n")
            self._at += 1
        return "".join(text)

    def _update(self, path: Path, header: str) -> UpdateFile:
        move_to = None
        if (line := self._line()) is not None and line.strip().startswith(_MOVE):
            move_to = self._path(line.strip().removeprefix(_MOVE))
            self._at += 1
        hunks: list[Hunk] = []
        while (line := self._line()) is not None and not line.startswith("***"):
            if line.strip() or (line and not hunks):
                hunks.append(self._hunk(first=not hunks))
            else:
                self._at += 1
        if not hunks and move_to is None:
            raise _wrong(self._at - 1, f"no hunk follows {_shown(header)}")
        return UpdateFile(path, tuple(hunks), move_to)

    def _hunk(self, *, first: bool) -> Hunk:
        context = []
        start = self._at
        while (line := self._line()) is not None and (line.rstrip() == "@@" or line.startswith("@@ ")):
            if sought := line[3:].removesuffix("\r"):
                context.append(sought)
            self._at += 1
        if start == self._at and not first:
            raise _wrong(start, f"{_shown(line)}: a hunk's line begins with ' ', '+' or '-', a new hunk with '@@'")
        old, new = self._body()
        at_end = (line := self._line()) is not None and line.strip() == _END_OF_FILE
        if not old and not new:
            raise _wrong(self._at, f"{_shown(line)}: a line that begins with ' ', '+' or '-' is expected here")
        self._at += at_end
        return Hunk(tuple(old), tuple(new), tuple(context), at_end)

    def _body(self) -> tuple[list[str], list[str]]:
        """The lines of a hunk as they are and as they are to be. An empty line stands for an empty line of
        the file.
        """
        old: list[str] = []
        new: list[str] = []
        empty = 0
        while (line := self._line()) is not None and line[:1] in ("", " ", "-", "+", "\r"):
            mark, text = line[:1], line[1:].removesuffix("\r")
            if mark != "+":
                old.append(text)
            if mark != "-":
                new.append(text)
            empty = empty + 1 if mark in ("", "\r") else 0
            self._at += 1
        if empty and len(old) == empty:  # nothing but additions: the empty lines after them are a gap in the patch
            old, new = [], new[:-empty]
        return old, new


def _shown(line: str | None) -> str:
    return "the end of the patch" if line is None else repr(line[:80])
