"""Seccomp programs: which system calls a confined command may not make. seccomp(2)

The programs are shipped as bytes, one file per machine and purpose, made by `make_programs.py`, which says
what they refuse and why; so nobody needs libseccomp, and nothing is computed when a command starts.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

from codex_host.permissions import Network
from codex_lib_linux_confinement import kernel

__all__ = ["MACHINES", "Program", "program", "truncate_program", "unavailable", "unix_program"]

MACHINES = ("x86_64", "aarch64")

_PR_GET_SECCOMP = 21
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION_SIZE = 8


class _SocketFilterProgram(ctypes.Structure):
    """struct sock_fprog: include/uapi/linux/filter.h"""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class Program:
    """A seccomp program in memory, ready to be loaded any number of times."""

    def __init__(self, instructions: bytes) -> None:
        self._bytes = ctypes.create_string_buffer(instructions, len(instructions))
        length = len(instructions) // _INSTRUCTION_SIZE
        self._program = _SocketFilterProgram(length, ctypes.addressof(self._bytes))
        self._address = ctypes.addressof(self._program)

    def load(self) -> None:
        """Hold the calling thread, and all that it starts, to this program for ever; needs no_new_privs.

        Raises OSError. Never with SECCOMP_FILTER_FLAG_TSYNC: that would bind the whole process.
        """
        kernel.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._address)


def program(network: Network) -> Program:
    """The program that goes with landlock for this reach of the network, on this machine."""
    return _shipped(f"{os.uname().machine}-network-{network.value}.bpf")


def truncate_program() -> Program:
    """The program to add where landlock does not guard truncation (before its version 3), on this machine."""
    return _shipped(f"{os.uname().machine}-no-truncate.bpf")


def unix_program() -> Program:
    """The program to add where landlock does not guard unix sockets (before its version 9), on this machine."""
    return _shipped(f"{os.uname().machine}-no-unix.bpf")


@functools.cache
def _shipped(name: str) -> Program:
    with open(os.path.join(os.path.dirname(__file__), "programs", name), "rb") as file:
        return Program(file.read())


def unavailable() -> str | None:
    """Why the programs do not work here, for a person, or None."""
    if sys.platform != "linux":
        return f"seccomp is a part of Linux; this is {sys.platform}"
    machine = os.uname().machine
    if machine not in MACHINES:
        return f"there is no seccomp program for {machine}, only for {' and '.join(MACHINES)}"
    if sys.maxsize < 2**32:
        return f"this is a 32-bit Python on {machine}; the seccomp programs are for 64-bit ones"
    try:
        kernel.prctl(_PR_GET_SECCOMP)
    except OSError:
        return "this kernel was built without seccomp"
    return None
