"""The few system calls that Python has no function for.

Each function makes one call and raises OSError, with the call's name as its file name, if the kernel refuses.
They are used between the restriction of a thread and the start of its child, so they allocate next to
nothing. libc is the process's own (`CDLL(None)`): looking for it by name would run another program.
"""

from __future__ import annotations

import ctypes
import functools
import os

__all__ = [
    "add_path_rule",
    "capget",
    "capset",
    "create_ruleset",
    "landlock_version",
    "prctl",
    "restrict_self",
]

# The same numbers on every architecture: asm-generic/unistd.h.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what _pack_ implies; Python 3.14 wants it said
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # prctl(2) and syscall(2) are variadic: say that each argument is a whole register.
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    libc.capget.argtypes = libc.capset.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return libc


def _failed(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)


def prctl(option: int, second: int = 0, third: int = 0, fourth: int = 0, fifth: int = 0) -> int:
    """Change or ask something about the calling thread; what, says `option`. Its manual page lists them."""
    result: int = _libc().prctl(option, second, third, fourth, fifth)
    if result < 0:
        raise _failed("prctl")
    return result


def capget() -> int:
    """The calling thread's effective capabilities, as bits: 1 << number. capabilities(7)"""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    if _libc().capget(ctypes.byref(header), data) < 0:
        raise _failed("capget")
    return int(data[0].effective) | int(data[1].effective) << 32


def capset() -> None:
    """Give up all capabilities of the calling thread. capabilities(7)"""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    if _libc().capset(ctypes.byref(header), (_CapabilityData * 2)()) < 0:
        raise _failed("capset")


def landlock_version() -> int:
    """The version of landlock's interface. Raises OSError if there is none. landlock_create_ruleset(2)."""
    version: int = _libc().syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET),
        ctypes.c_void_p(None),
        ctypes.c_size_t(0),
        ctypes.c_ulong(_CREATE_RULESET_VERSION),
    )
    if version < 0:
        raise _failed("landlock_create_ruleset")
    return version


def create_ruleset(files: int, network: int, scoped: int, size: int) -> int:
    """A descriptor of a new ruleset that forbids these rights; `size` is that of the structure as the kernel
    knows it.

    landlock_create_ruleset(2). The kernel marks the descriptor close-on-exec.
    """
    attributes = _RulesetAttributes(files, network, scoped)
    descriptor: int = _libc().syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET),
        ctypes.byref(attributes),
        ctypes.c_size_t(size),
        ctypes.c_ulong(0),
    )
    if descriptor < 0:
        raise _failed("landlock_create_ruleset")
    return descriptor


def add_path_rule(ruleset: int, path: int, rights: int) -> None:
    """Allow `rights` at the file or folder that the descriptor `path` stands for. landlock_add_rule(2)."""
    beneath = _PathBeneath(rights, path)
    result = _libc().syscall(
        ctypes.c_long(_LANDLOCK_ADD_RULE),
        ctypes.c_long(ruleset),
        ctypes.c_long(_RULE_PATH_BENEATH),
        ctypes.byref(beneath),
        ctypes.c_ulong(0),
    )
    if result < 0:
        raise _failed("landlock_add_rule")


def restrict_self(ruleset: int) -> None:
    """Hold the calling thread, and all that it starts, to a ruleset for ever. landlock_restrict_self(2).

    Never with LANDLOCK_RESTRICT_SELF_TSYNC: that would bind the whole process.
    """
    number = ctypes.c_long(_LANDLOCK_RESTRICT_SELF)
    result = _libc().syscall(number, ctypes.c_long(ruleset), ctypes.c_ulong(0))
    if result < 0:
        raise _failed("landlock_restrict_self")
