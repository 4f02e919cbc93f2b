"""Giving up root's special powers, for one thread.

A command of root's that keeps its capabilities is hardly confined: with CAP_PERFMON or CAP_SYS_ADMIN it still
reads the environment, and with it the keys, of every process in /proc. capabilities(7).
"""

from __future__ import annotations

import errno

from codex_lib_linux_confinement import kernel

__all__ = ["drop_all", "may_lower_bounds"]

_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAP_SETPCAP = 8
_MOST_CAPABILITIES = 64  # two words of 32 bits; the kernel says EINVAL after its last one

# NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE on, KEEP_CAPS off, each with its lock:
# include/uapi/linux/securebits.h
_SECURE_BITS = 0b1110_1111


def may_lower_bounds() -> bool:
    """Whether this thread may take capabilities from its bounding set, as root may and a user may not."""
    return bool(kernel.capget() >> _CAP_SETPCAP & 1)


def drop_all(lower_bounds: bool) -> None:
    """Take all capabilities from the calling thread; what it executes gets none back. Raises OSError.

    `lower_bounds` is `may_lower_bounds()`. Without that right an ordinary user has nothing to drop but what
    no_new_privs keeps from coming back.
    """
    if lower_bounds:
        try:
            for capability in range(_MOST_CAPABILITIES):
                kernel.prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        kernel.prctl(_PR_SET_SECUREBITS, _SECURE_BITS)
    kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    kernel.capset()
