"""Ending a process with all that came of it.

On Linux and other POSIX systems a command is started as the leader of a session of its own. Most of its
descendants stay in its process group; the rest is found by their session or by a marker in their environment,
which only a process that empties its environment *and* leaves the session escapes (a sandbox with a process
namespace closes that too).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator

__all__ = ["MARKER", "USERS_OWN", "become_subreaper", "end_orphans", "end_tree", "signal_tree", "tree_lives"]

MARKER = "CODEX_COMMAND_ID"
"""The environment variable by which a command's descendants are known; its value differs for each command."""

USERS_OWN = "CODEX_USERS_PROGRAM"
"""The environment variable by which programs of the user's own are known, which may go on when this process ends."""

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_ROUNDS = 10
_subreaper = False


def become_subreaper() -> None:
    """Let orphans of commands become children of this process, so that they are found without searching.

    For a process that is ours alone (the command line), never for a library in somebody else's. Linux only; elsewhere
    it does nothing.
    """
    global _subreaper  # noqa: PLW0603  as the kernel's flag, it is the whole process's
    if sys.platform == "linux":
        _subreaper = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def signal_tree(leader: int, marker: str, number: int) -> None:
    """Send a signal to everything that came of a command; `leader` must not have been waited for yet."""
    outside_group = [process for process in _descendants(leader, marker) if _group(process) != leader]
    _signal_group(leader, number)
    for process in outside_group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def tree_lives(leader: int, marker: str) -> bool:
    """Whether something other than its leader is left of a command; False where that cannot be looked up."""
    return any(_status(process)[0] not in (b"Z", b"") for process in _descendants(leader, marker))


def _signal_group(leader: int, number: int) -> None:
    """Send a signal to the process group of a command; nothing if it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _group(process: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process)
    return None


def end_tree(leader: int, marker: str, *, search: bool) -> None:
    """Kill whatever is left of a command, its leader included.

    `leader` must not have been waited for yet, so that its number still means it. Without `search` only the process
    group and (for a subreaper) adopted orphans are looked at, which costs next to nothing; with it all processes of the
    machine are.
    """
    _signal_group(leader, signal.SIGKILL)
    if sys.platform != "linux":
        return
    for _ in range(_ROUNDS):
        left = _descendants(leader, marker, None if search else _adopted())
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
                _reap(process)


def end_orphans() -> None:
    """Kill what commands have left behind by leaving their session with an empty environment.

    For the end of a process that is ours alone: as a subreaper it has adopted them, and what else it has adopted came
    of the user's own programs, which are marked (`codex_host.programs`). Nothing unless `become_subreaper` was called.
    """
    for _ in range(_ROUNDS):
        left = [process for process in _adopted() if _status(process)[0] != b"Z" and not _users_own(process)]
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
                _reap(process)


def _users_own(process: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
        return USERS_OWN.encode() + b"=1" in file.read().split(b"\0")
    return False


def _descendants(leader: int, marker: str, candidates: Iterable[int] | None = None) -> list[int]:
    """Those of the candidates (None: all processes of the machine) that came of a command, without its leader."""
    if candidates is None:
        candidates = _all_processes() if sys.platform == "linux" else ()
    return [process for process in candidates if process != leader and _belongs(process, leader, marker)]


def _all_processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _adopted() -> list[int]:
    """This process's children (proc(5), `task/TID/children`), among them the orphans that a subreaper adopts."""
    children: list[int] = []
    if _subreaper:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    return children


def _belongs(process: int, leader: int, marker: str) -> bool:
    """Whether a process that is alive came of the command: by its session, else by the marker it inherited."""
    state, session = _status(process)
    if session == leader:
        return state != b"Z" or _subreaper
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            return f"{MARKER}={marker}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def _status(process: int) -> tuple[bytes, int]:
    """The state ("Z": ended, and waits to be reaped) and the session of a process; empty and 0 if there is none."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            state, _parent, _group, session = file.read().rpartition(b")")[2].split()[:4]
        return state, int(session)
    except (OSError, ValueError):
        return b"", 0


def _reap(process: int) -> None:
    """Wait for an adopted orphan that was killed; a process that is not our child is its own parent's affair."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0 if _subreaper else os.WNOHANG)
