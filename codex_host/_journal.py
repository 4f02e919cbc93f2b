"""The journal that makes a patch happen as a whole or not at all, even when the process is killed in the
middle.

An entry is a file that says which names a patch is about to use. It is written before anything else is,
renamed from `.json` to `.done` when every file is in place (the moment from which the patch holds), and
removed when what was set aside is cleaned up. The writer keeps the entry locked while it lives, so that
`roll_back` touches only what the dead left.

Each file goes through three names in its own folder: `new` holds the text to be, `old` is where the file as
it was is set aside, and the file's own name. A file that somebody else changed after a crash is never
overwritten; what had been set aside for it then gets a visible name beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from codex_host._folders import Folder, opened
from codex_host.errors import PatchError

__all__ = ["LARGEST", "Entry", "Step", "begin", "digest", "roll_back"]

LARGEST = 10 * 1024 * 1024
"""The bytes of the largest file that a patch may change or make."""
_SET_ASIDE = re.compile(r"\.codex-patch-[0-9a-f]+-[0-9]+\.(?:new|old)")
"""The names beside a file that a patch uses; no others are touched, whatever an entry says."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file: `new` is the name of its coming text (None: it is removed), `old` that of the text that was.

    `digest` is that of the coming text, by which the file is known again; empty if there is none.
    """

    path: str
    new: str | None
    old: str | None
    digest: str = ""


def digest(data: bytes) -> str:
    """What a text is known by."""
    return hashlib.sha256(data).hexdigest()


def begin(journal: Path, folders: Sequence[Path], steps: Sequence[Step]) -> Entry:
    """Write down what is about to be done, folders to be made included, outermost first. Raises OSError."""
    journal.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    draft, path = journal / f"{name}.tmp", journal / f"{name}.json"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    text = json.dumps({"folders": list(map(str, folders)), "steps": list(map(asdict, steps))})
    try:
        _lock(descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.fsync(descriptor)
        os.replace(draft, path)
    except BaseException:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
        raise
    _sync(journal)
    return Entry(path, descriptor, tuple(folders), tuple(steps))


def roll_back(journal: Path) -> tuple[Path, ...]:
    """Undo what killed processes left unfinished; returns the files that were put back as they had been.

    One that somebody has made anew since is put back beside it, as `NAME.codex-saved`. Entries of living processes are
    left alone. Raises PatchError, after all others are dealt with, if files could not be put back or an entry makes no
    sense; their entries stay.
    """
    restored: list[Path] = []
    problems: list[str] = []
    for path in sorted(journal.glob("*.*")):
        if path.suffix not in (".tmp", ".json", ".done"):
            continue
        try:
            restored += _finish(path)
        except OSError as error:
            problems.append(f"{error.filename or path}: {error.strerror}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{path}: it is damaged ({type(error).__name__}: {error})")
    if problems:
        done = f"; these could: {', '.join(map(str, restored))}" if restored else ""
        raise PatchError(f"files of an unfinished patch could not be put back: {'; '.join(problems)}{done}")
    return tuple(restored)


def _finish(path: Path) -> tuple[Path, ...]:
    """Undo a dead process's entry or, if its patch was in place, only clean up after it.

    Raises OSError, and ValueError, KeyError, TypeError or RecursionError for an entry that makes no sense.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return ()
    entry = Entry(path, descriptor, (), ())
    try:
        if not _lock(descriptor) or not _still_there(path, descriptor):
            return ()
        if path.suffix != ".tmp":
            with open(descriptor, "rb", closefd=False) as file:
                data = json.loads(file.read())
            entry.folders = tuple(map(_absolute, data["folders"]))
            entry.steps = tuple(_step(**step) for step in data["steps"])
        if path.suffix == ".done":
            entry.clean()
            return ()
        return entry.undo()
    finally:
        entry.close()


def _step(path: Any, new: Any, old: Any, digest: Any) -> Step:
    """A step as it was written down. Raises ValueError or TypeError for what no patch writes."""
    for name in (new, old):
        if name is not None and _SET_ASIDE.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name that a patch uses")
    return Step(str(_absolute(path)), new, old, str(digest))


def _absolute(text: Any) -> Path:
    """A path in an entry. Raises ValueError or TypeError for what no patch writes."""
    path = Path(text)
    if not path.is_absolute() or not path.name or ".." in path.parts or "\0" in str(path):
        raise ValueError(f"{text!r} is no absolute path")
    return path


class Entry:
    """An entry in the journal, locked by this process until `close`. Methods raise OSError."""

    def __init__(self, path: Path, descriptor: int, folders: tuple[Path, ...], steps: tuple[Step, ...]) -> None:
        self.path = path
        self.folders = folders
        self.steps = steps
        self._descriptor: int | None = descriptor

    def commit(self) -> None:
        """From here on the patch holds; only cleaning up is left, by us or by `roll_back`."""
        done = self.path.with_suffix(".done")
        if sys.platform == "win32":
            self.close()  # there an open file cannot be renamed
        os.replace(self.path, done)
        self.path = done
        _sync(done.parent)

    def clean(self) -> None:
        """Remove what was set aside, then the entry."""
        for folder, steps in _by_folder(self.steps):
            with contextlib.suppress(FileNotFoundError), opened(folder) as place:
                for step in steps:
                    for name in filter(None, (step.new, step.old)):
                        place.remove(name)
        self._remove()

    def undo(self) -> tuple[Path, ...]:
        """Put every file back as it was, then remove the entry; safe to repeat, tries all before raising."""
        restored: list[Path] = []
        problem: OSError | None = None
        for folder, steps in reversed(_by_folder(self.steps)):
            problem = _undo_in(folder, steps, restored) or problem
        for folder in reversed(self.folders):
            with contextlib.suppress(OSError), opened(folder.parent) as place:  # somebody uses it
                place.remove_folder(folder.name)
        if problem is not None:
            raise problem
        self._remove()
        return tuple(restored)

    def _remove(self) -> None:
        if sys.platform == "win32":
            self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _by_folder(steps: Sequence[Step]) -> list[tuple[Path, list[Step]]]:
    folders: dict[Path, list[Step]] = {}
    for step in steps:
        folders.setdefault(Path(step.path).parent, []).append(step)
    return list(folders.items())


def _undo_in(folder: Path, steps: Sequence[Step], restored: list[Path]) -> OSError | None:
    """Put the files of one folder back and note them; what went wrong is returned, for others to be tried
    too.
    """
    try:
        with contextlib.suppress(FileNotFoundError), opened(folder) as place:
            restored += [folder / name for step in reversed(steps) if (name := _undo(place, step))]
            place.sync()
    except OSError as error:
        return error
    return None


def _undo(folder: Folder, step: Step) -> str | None:
    """Put one file back; its name, or the one that it got beside another file; None if there was nothing to do."""
    name = Path(step.path).name
    done = _remove_made(folder, name, step) if step.old is None else _put_back(folder, name, step.old, step.digest)
    if step.new:
        folder.remove(step.new)
    return done


def _remove_made(folder: Folder, name: str, step: Step) -> str | None:
    """Remove a file that the patch has made, if it still is what the patch made."""
    now = folder.stat(name)
    new = folder.stat(step.new) if step.new else None
    ours = now is not None and (new is None or os.path.samestat(now, new))
    if not ours or not _holds(folder, name, step.digest):
        return None
    folder.remove(name)
    return name


def _put_back(folder: Folder, name: str, old: str, made: str) -> str | None:
    """Rename what was set aside, over nothing but the text that the patch made, by its digest."""
    now, before = folder.stat(name), folder.stat(old)
    if before is None:
        return None
    if now is not None and os.path.samestat(now, before):
        folder.remove(old)  # only a second name
        return None
    target = name if now is None or _holds(folder, name, made) else _free(folder, name)
    folder.replace(old, target)
    return target


def _free(folder: Folder, name: str) -> str:
    """A visible name beside this one that nothing has."""
    names = (f"{name}.codex-saved{f'-{number}' if number > 1 else ''}" for number in count(1))
    return next(each for each in names if folder.stat(each) is None)


def _holds(folder: Folder, name: str, wanted: str) -> bool:
    """Whether the file is still what the patch made of it."""
    try:
        return digest(folder.read(name, LARGEST)[0]) == wanted
    except OSError:
        return False


def _lock(descriptor: int) -> bool:
    """Whether the file is ours now; the lock ends with the process. Without locks, everything is ours."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _still_there(path: Path, descriptor: int) -> bool:
    """Whether the entry that was locked is still in the journal: its writer may have finished in between."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError), opened(Path(os.path.realpath(folder))) as place:
        place.sync()
