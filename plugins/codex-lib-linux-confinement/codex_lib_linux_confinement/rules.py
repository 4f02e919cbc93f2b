"""What a fence means to landlock: which rights are forbidden, and the paths at which they are given back.

Landlock forbids what a ruleset handles; each rule gives rights back at one file, or at one folder and all
below it, and no rule can take a right away again. So a path is hidden by giving rights to its neighbours,
level by level, and not to it. Documentation/userspace-api/landlock.rst
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from codex_host.errors import SandboxError
from codex_host.permissions import Fence

__all__ = [
    "FILE",
    "READ",
    "REFER",
    "RESOLVE_UNIX",
    "TRUNCATE",
    "WRITE",
    "confines_writing",
    "handled_file_rights",
    "rules",
]

# LANDLOCK_ACCESS_FS_*: include/uapi/linux/landlock.h
EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
RESOLVE_UNIX = 1 << 16

READ = EXECUTE | READ_FILE | READ_DIR
# Never MAKE_CHAR (1 << 6), MAKE_BLOCK (1 << 11) or IOCTL_DEV: root could make itself the disk's device node
# and write to it.
MAKE = MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
WRITE = READ | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE | MAKE
FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a file can be given; landlock_add_rule(2) refuses the others with EINVAL."""

_DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def confines_writing(fence: Fence) -> bool:
    """Whether there is anything that must not be written: what is outside the writable roots, or hidden."""
    return fence.writable is not None or bool(fence.hidden)


def handled_file_rights(fence: Fence, abi: int) -> int:
    """The rights that are forbidden wherever no rule gives them back.

    There are always some, since being in a domain of its own keeps a command from tracing processes outside.
    """
    known = (1 << (13 + sum(abi >= addition for addition in (2, 3, 5, 9)))) - 1
    if not confines_writing(fence):
        return known & (READ | REFER | RESOLVE_UNIX)
    return known if fence.writable is not None else known & ~IOCTL_DEV  # devices are for who may write everything


def rules(fence: Fence) -> dict[str, int]:
    """The rights to give back, by path. Looks at folders only, and only where something in them is hidden.

    Rights are not yet cut down to those that the kernel knows or that suit a file. Raises SandboxError if the
    fence hides something below a writable root.
    """
    hidden = frozenset(map(str, fence.hidden))
    granted: dict[str, int] = {}

    def grant(path: str, rights: int) -> None:
        granted[path] = granted.get(path, 0) | rights

    for path, rights in _reading(fence, hidden):
        grant(path, rights)
    for path, rights in _writing(fence, hidden):
        grant(path, rights)
    for device in _DEVICES:
        grant(device, _DEVICE)
    return granted


def _reading(fence: Fence, hidden: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The paths that may be read. Names in folders may be listed even where the contents are hidden.

    That /proc is among the readable folders is safe: the kernel itself keeps a confined process from the
    memory and environment of those outside (ptrace(2), access mode checking).
    """
    if fence.readable is not None:
        for root in map(str, fence.readable):
            for path in _around(root, hidden):
                yield path, READ
        return
    yield "/", READ_DIR
    # The terminal, the disks and the input devices are read by nobody but who may write everything.
    for path in _around("/", hidden if fence.writable is None else hidden | {"/dev"}):
        yield path, READ


def _writing(fence: Fence, hidden: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The paths that may be written, or just allow REFER where writing is free: it is denied unless allowed.

    Where all but what is hidden may be written, the folders above a hidden path get nothing, so that nothing
    can be made or removed directly in them: the right to it would reach into the hidden folder as well.
    Raises SandboxError if the fence hides something below a writable root.
    """
    if fence.writable is None:
        for path in _around("/", hidden):
            yield path, WRITE & ~READ
        return
    for root in map(str, fence.writable):
        for secret in hidden:
            if _below(secret, root) and secret != root:
                raise SandboxError(
                    f"landlock cannot hide {secret}, because it lies in the writable folder {root}; "
                    "work in another folder, or move what is to be hidden"
                )
        if not any(_below(root, secret) for secret in hidden):
            yield root, WRITE


def _around(root: str, hidden: Iterable[str]) -> Iterator[str]:
    """The fewest paths that together hold all below `root` but what is hidden.

    Symbolic links are left out: following one is free, and its target counts where it really is. What is made
    later beside a hidden path is out of reach until the rules are made anew, which happens for each command.
    """
    if any(_below(root, secret) for secret in hidden):
        return
    if not any(_below(secret, root) for secret in hidden):
        yield root
        return
    try:
        with os.scandir(root) as entries:
            paths = sorted(entry.path for entry in entries if not entry.is_symlink())
    except OSError:
        return
    for path in paths:
        yield from _around(path, hidden)


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root == "/" else root + "/")
