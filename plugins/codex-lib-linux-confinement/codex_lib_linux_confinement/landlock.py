"""Landlock rulesets: made from a fence, kept while the folders they speak of stay the same. landlock(7)"""

from __future__ import annotations

import errno
import os
import stat
import sys

from codex_host.permissions import Fence, Network
from codex_lib_linux_confinement import kernel
from codex_lib_linux_confinement.rules import FILE, handled_file_rights, rules

__all__ = ["NEWEST_ABI", "Rulesets", "abi", "unavailable"]

NEWEST_ABI = 10
"""The newest version of the interface whose rights are known here; newer kernels are asked for these only."""

_TCP = 0b0011  # LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP
_UDP = 0b1100  # LANDLOCK_ACCESS_NET_BIND_UDP, _CONNECT_SEND_UDP
_SCOPES = 0b11  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL

_KEPT_RULESETS = 16

_Place = tuple[str, int, int, int]  # path, rights, and the device and inode that the path stood for


def abi() -> int:
    """The version of landlock's interface to use. Raises OSError if the kernel has none."""
    return min(kernel.landlock_version(), NEWEST_ABI)


def unavailable() -> str | None:
    """Why landlock does not work here, for a person, or None."""
    if sys.platform != "linux":
        return f"landlock is a part of Linux; this is {sys.platform}"
    try:
        kernel.landlock_version()
    except OSError as error:
        return _reason(error.errno, os.uname().release)
    return None


def _reason(number: int | None, release: str) -> str:
    """What landlock_create_ruleset(2)'s error means on a kernel of this release."""
    if number == errno.EOPNOTSUPP:
        return (
            "landlock is compiled into this kernel but was not enabled at boot: "
            "add landlock to the list after lsm= on the kernel's command line"
        )
    first, second = (int("0" + "".join(filter(str.isdigit, part))) for part in (release + ".0").split(".")[:2])
    if (first, second) < (5, 13):
        return f"this kernel has no landlock (needs Linux 5.13; here {release})"
    return (
        f"this kernel ({release}) answers landlock with {errno.errorcode.get(number or 0, number)}: "
        "it was built without landlock, or a container's seccomp profile forbids it"
    )


class Rulesets:
    """Makes rulesets, and keeps those of the fences it has seen: making one takes as long as starting a
    program.

    Belongs to one session, and to one thread at a time. `close` when the session ends; it can be used again
    after.
    """

    def __init__(self, version: int) -> None:
        self._version = version
        self._kept: dict[Fence, tuple[tuple[_Place, ...], int]] = {}

    def descriptor(self, fence: Fence) -> int:
        """A ruleset for this fence; the caller closes the descriptor. Raises SandboxError or OSError."""
        places = self._places(fence)
        kept = self._kept.get(fence)
        if kept is None or kept[0] != places:
            if len(self._kept) >= _KEPT_RULESETS:
                self.close()
            elif kept is not None:
                os.close(self._kept.pop(fence)[1])
            kept = self._kept[fence] = places, self._make(fence, places)
        return os.dup(kept[1])

    def close(self) -> None:
        """Close the descriptors that are kept; safe to call twice."""
        while self._kept:
            os.close(self._kept.popitem()[1][1])

    def _places(self, fence: Fence) -> tuple[_Place, ...]:
        """The rules as they apply now; a path that does not exist is left out."""
        handled = handled_file_rights(fence, self._version)
        places = []
        for path, rights in rules(fence).items():
            try:
                found = os.lstat(path)
            except OSError:
                continue
            rights &= handled if stat.S_ISDIR(found.st_mode) else handled & FILE
            if rights:
                places.append((path, rights, found.st_dev, found.st_ino))
        return tuple(places)

    def _make(self, fence: Fence, places: tuple[_Place, ...]) -> int:
        """A new ruleset with a rule for each place; one that has gone, or been replaced, since gets none."""
        version = self._version
        network = 0
        if fence.network is Network.NONE:
            network = (_TCP if version >= 4 else 0) | (_UDP if version >= 10 else 0)
        scoped = _SCOPES if version >= 6 else 0
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        ruleset = kernel.create_ruleset(handled_file_rights(fence, version), network, scoped, size)
        try:
            for path, rights, device, inode in places:
                try:
                    descriptor = _open_real(path)
                except OSError:
                    continue
                try:
                    found = os.fstat(descriptor)
                    if (found.st_dev, found.st_ino) == (device, inode):
                        kernel.add_path_rule(ruleset, descriptor, rights)
                finally:
                    os.close(descriptor)
        except BaseException:
            os.close(ruleset)
            raise
        return ruleset


def _open_real(path: str) -> int:
    """Open a path that must not contain a symbolic link, or raise OSError.

    A command may have put a link in the place of a folder above a writable root, to have the next command
    write where the link leads.
    """
    descriptor = os.open("/", os.O_PATH)
    for name in path.split("/"):
        if not name:
            continue
        above = descriptor
        try:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return descriptor
