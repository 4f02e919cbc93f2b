"""What a patch would make of the files: read, computed and ready to be looked at; nothing is written here."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from codex_host._folders import opened
from codex_host._journal import LARGEST
from codex_host._patch_diff import unified_diff
from codex_host._patch_matching import Document, apply_hunks
from codex_host.actions import AddFile, DeleteFile, FileDiff, Patch, UpdateFile
from codex_host.errors import PatchError
from codex_host.permissions import Fence

__all__ = ["Plan", "Write", "plan"]


@dataclass(frozen=True, slots=True)
class Write:
    """What becomes of one file: its bytes before and after, None where there is no file.

    `mode` is the permission bits to have after, None for what new files get.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    mode: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a patch would do. `writes` are all real paths it touches, both ends of a move included."""

    files: tuple[FileDiff, ...]
    writes: tuple[Path, ...]
    changes: tuple[Write, ...]


@dataclass(slots=True)
class _Content:
    """A file's text at some step of the patch, and the path it had before the patch, None if the patch made
    it.
    """

    document: Document
    origin: Path | None
    mode: int | None


@dataclass(slots=True)
class _State:
    """One path: what is there on the disk and what is there at some step of the patch."""

    before: bytes | None
    original: Document
    mode: int | None
    now: _Content | None


def plan(patch: Patch, fence: Fence) -> Plan:
    """Work out what the patch makes of the files, change by change. Reads only what the fence allows;
    blocking.

    Paths are resolved, links and `..` included, so that what is reviewed is what is touched. Raises
    PatchError.
    """
    if not patch.changes:
        raise PatchError("the patch is empty; it needs at least one Add, Delete or Update File section")
    states = _States(fence)
    for change in patch.changes:
        match change:
            case AddFile():
                states.add(change)
            case DeleteFile():
                states.delete(change)
            case UpdateFile():
                states.update(change)
    states.check()
    return Plan(tuple(_diffs(states.by_path)), tuple(states.by_path), tuple(_writes(states.by_path)))


class _States:
    """The files as they are after the changes so far, by real path, in the order in which they were first
    touched.
    """

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self.by_path: dict[Path, _State] = {}

    def add(self, change: AddFile) -> None:
        path = self._real(change.path)
        state = self._free(path, change.path)
        _encoded(change.text, change.path)
        state.now = _Content(Document.of(change.text, fresh=True), None, state.mode)

    def delete(self, change: DeleteFile) -> None:
        path = self._real(change.path)
        self._itself(change.path)
        self._taken(path, change.path)
        self.by_path[path].now = None

    def update(self, change: UpdateFile) -> None:
        path = self._real(change.path)
        content = self._taken(path, change.path)
        if not change.hunks and change.move_to is None:
            raise PatchError(f"{change.path}: the update has neither hunks nor a new name")
        document = apply_hunks(content.document, change.hunks, str(change.path))
        _encoded(document.text, change.path)
        content.document = document
        if change.move_to is None or (target := self._real(change.move_to)) == path:
            return
        self._itself(change.path)
        self._free(target, change.move_to).now = content
        self.by_path[path].now = None

    def check(self) -> None:
        """Make sure that no path has to be a file and a folder."""
        for path in self.by_path:
            for folder in path.parents:
                if folder in self.by_path:
                    raise PatchError(f"{folder} is a file in this patch, and {path} would need it to be a folder")

    def _real(self, path: Path) -> Path:
        """The real path, after which no name may be a link any more."""
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:
            raise PatchError(f"{str(path)!r} is not a usable path: {error}") from None
        if real not in self.by_path:
            self.by_path[real] = self._read(real, path)
        return real

    def _itself(self, path: Path) -> None:
        if path.is_symlink():
            raise PatchError(f"{path} is a symbolic link; name the file it leads to, or use a command for the link")

    def _read(self, real: Path, path: Path) -> _State:
        if not self._fence.allows_read(real):
            raise PatchError(f"{path} may not be read: the sandbox permissions leave out {real}")
        try:
            with opened(real.parent) as folder:
                if folder.stat(real.name) is None:
                    return _State(None, Document(()), None, None)
                data, status = folder.read(real.name, LARGEST)
        except FileNotFoundError:
            return _State(None, Document(()), None, None)
        except OSError as error:
            raise PatchError(f"{path} cannot be read: {error.strerror}") from None
        document = Document.of(_decoded(data, path))
        mode = stat.S_IMODE(status.st_mode)
        return _State(data, document, mode, _Content(document, real, mode))

    def _free(self, real: Path, path: Path) -> _State:
        state = self.by_path[real]
        if state.now is not None:
            raise PatchError(f"{path} exists already; change it by an Update File section, or delete it first")
        return state

    def _taken(self, real: Path, path: Path) -> _Content:
        state = self.by_path[real]
        if state.now is not None:
            return state.now
        if state.before is not None:
            raise PatchError(f"{path} is deleted or moved earlier in this patch")
        raise PatchError(f"{path} does not exist; check the path, or create it by an Add File section")


def _decoded(data: bytes, path: Path) -> str:
    if len(data) > LARGEST:
        raise PatchError(f"{path} is larger than {LARGEST // 2**20} MiB; change it by a command")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise PatchError(f"{path} is not a text file in UTF-8; change it by a command")
    return text


def _encoded(text: str, path: Path) -> bytes:
    """The bytes of a text, which must be one that a later patch could change again."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise PatchError(f"{path}: its text would contain half a character (a lone surrogate)") from None
    _decoded(data, path)
    return data


def _diffs(states: dict[Path, _State]) -> list[FileDiff]:
    """One diff per file that is another one after the patch, under the name it had before."""
    moved = {state.now.origin for state in states.values() if state.now}
    diffs = []
    for path, state in states.items():
        if state.now is None:
            if state.before is not None and path not in moved:
                diffs.append(FileDiff(path, "delete", unified_diff(state.original, Document(()))))
            continue
        origin = state.now.origin
        if origin is None or origin == path:
            kind = "add" if state.before is None else "update"
            diffs.append(FileDiff(path, kind, unified_diff(state.original, state.now.document)))
        else:
            diff = unified_diff(states[origin].original, state.now.document)
            diffs.append(FileDiff(origin, "update", diff, moved_to=path))
    return diffs


def _writes(states: dict[Path, _State]) -> list[Write]:
    return [
        Write(
            path,
            state.before,
            _encoded(state.now.document.text, path) if state.now else None,
            state.now.mode if state.now else None,
        )
        for path, state in states.items()
    ]
