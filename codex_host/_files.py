"""Changing files by a patch: what it would make of them, and making it so, all of it or nothing.

`plan` reads and computes, `carry_out` writes; between them a person may look at the diffs, so `carry_out`
first makes sure that the files are still what the plan was made from. `roll_back` cleans up after a process
that was killed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from codex_host._folders import Folder, opened
from codex_host._journal import LARGEST, Step, begin, digest, roll_back
from codex_host._patch_plan import Plan, Write, plan
from codex_host.errors import PatchError, ToolError
from codex_host.permissions import Fence, permission_for

__all__ = ["Plan", "Write", "carry_out", "plan", "read", "roll_back"]


def read(path: Path, fence: Fence) -> bytes:
    """A file's content, as far as the fence lets a command read it; blocking. Raises ToolError."""
    try:
        real = Path(os.path.realpath(path))
        if not fence.allows_read(real):
            raise ToolError(f"{path} may not be read: the sandbox permissions leave out {real}")
        with opened(real.parent) as folder:
            data, _ = folder.read(real.name, LARGEST)
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that no file system takes
        raise ToolError(f"{str(path)!r} is not a usable path: {error}") from None
    if len(data) > LARGEST:
        raise ToolError(f"{path} is larger than {LARGEST // 2**20} MiB")
    return data


def carry_out(plan: Plan, fence: Fence, journal: Path, cwd: Path) -> None:
    """Make the planned changes, all or none; blocking. `cwd` only serves to word a refusal.

    Raises PatchError if the fence forbids a path, a file is no longer what the plan was made from, or the
    disk does not play along; nothing is changed then.
    """
    for path in plan.writes:
        if not fence.allows_write(path):
            raise PatchError(_forbidden(path, fence, cwd))
    changes = [change for change in plan.changes if change.before != change.after]
    try:
        for change in plan.changes:
            _compare(change)
        if changes:
            _switch_all(changes, journal)
    except OSError as error:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        raise PatchError(f"the patch was not applied: {where}{error.strerror or error}") from error


def _switch_all(changes: Sequence[Write], journal: Path) -> None:
    """Prepare every file, then put them in place one by one; the journal undoes it if one fails."""
    steps = [_step(change, number) for number, change in enumerate(changes)]
    entry = begin(journal, _missing_folders(changes), steps)
    try:
        for change, step in zip(changes, steps, strict=True):
            _prepare(change, step)
        for change, step in zip(changes, steps, strict=True):
            _switch(change, step)
        for folder in {change.path.parent for change in changes}:
            with opened(folder) as place:
                place.sync()
        entry.commit()
    except BaseException:
        try:
            entry.undo()
        except OSError as error:
            raise PatchError(
                f"the patch failed, and {error.filename} could not be put back ({error.strerror}); "
                f"{entry.path} says what is left to undo"
            ) from error
        finally:
            entry.close()
        raise
    try:
        entry.clean()
    except OSError:
        pass  # the patch holds; roll_back cleans up later
    finally:
        entry.close()


def _step(change: Write, number: int) -> Step:
    token = f".codex-patch-{os.urandom(6).hex()}-{number}"
    return Step(
        path=str(change.path),
        new=None if change.after is None else f"{token}.new",
        old=None if change.before is None else f"{token}.old",
        digest="" if change.after is None else digest(change.after),
    )


def _missing_folders(changes: Sequence[Write]) -> list[Path]:
    """The folders that have to be made, outermost first."""
    missing: dict[Path, None] = {}
    for change in changes:
        if change.after is not None:
            missing |= dict.fromkeys(folder for folder in change.path.parents if not folder.exists())
    return sorted(missing, key=lambda folder: len(folder.parts))


def _compare(change: Write) -> None:
    """Make sure that the file is still what the plan was made from, and not one that its owner protects."""
    name = change.path.name
    try:
        with opened(change.path.parent) as folder:
            if change.before is None:
                if folder.stat(name) is not None:
                    raise _changed(change)
                return
            _same(folder, name, change)
            if change.after is not None and not folder.writable(name):
                raise PatchError(f"{change.path} is read-only; the patch was not applied")
    except FileNotFoundError:
        if change.before is not None:
            raise _changed(change) from None


def _same(folder: Folder, name: str, change: Write) -> os.stat_result:
    data, status = folder.read(name, LARGEST)
    if data != change.before:
        raise _changed(change)
    return status


def _changed(change: Write) -> PatchError:
    return PatchError(f"{change.path} was changed by somebody else meanwhile; read it again, then make a new patch")


def _prepare(change: Write, step: Step) -> None:
    """Write the coming text beside the file."""
    if step.new is None or change.after is None:
        return
    with opened(change.path.parent, make=True) as folder:
        like = folder.stat(change.path.name)
        mode = stat.S_IMODE(like.st_mode) if like else change.mode
        folder.create(step.new, change.after, like, mode)


def _switch(change: Write, step: Step) -> None:
    """Put the coming text in place; what was there stays set aside under the step's `old` name."""
    name = change.path.name
    with opened(change.path.parent) as folder:
        if step.old is None:
            _place(folder, name, change, step)
            return
        try:
            if step.new is None:
                folder.replace(name, step.old)
            else:
                _set_aside(folder, name, step.old)
            _same(folder, step.old, change)
        except FileNotFoundError:
            raise _changed(change) from None
        if step.new is not None:
            folder.replace(step.new, name)


def _set_aside(folder: Folder, name: str, old: str) -> None:
    """Give the file a second name, so that its own is never missing, or else rename it."""
    try:
        folder.link(name, old)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without second names, or one that guards the files of others
        folder.replace(name, old)


def _place(folder: Folder, name: str, change: Write, step: Step) -> None:
    """Put a new file in place, never over one that somebody has made meanwhile."""
    if step.new is None:
        return
    try:
        folder.link(step.new, name)
    except FileExistsError:
        raise _changed(change) from None
    except OSError:  # a file system without second names
        if folder.stat(name) is not None:
            raise _changed(change) from None
        folder.replace(step.new, name)


def _forbidden(path: Path, fence: Fence, cwd: Path) -> str:
    """Why a path may not be written, and the smallest permission that would allow it."""
    word = permission_for(path, cwd, fence)
    if word is None:
        return f"{path} may not be written: it is hidden from the model, and no permission changes that"
    return f"{path} may not be written; the sandbox permission {word} would allow it"
