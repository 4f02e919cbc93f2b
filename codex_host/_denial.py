"""Recognising that a sandbox stopped a command, from what the command printed about it.

The kernel's refusals look like ordinary errors, so a failure counts as a denial only if its text names a path that the
fence really closes, or speaks of the network while that is closed. A failing test run is no denial.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from codex_host.actions import Denial, Exec, Ran
from codex_host.permissions import Fence, Network, permission_for

__all__ = ["denial"]

_LINES = 200
_LONGEST_LINE = 500
"""How many lines, and how many characters of each, are looked at, from the end: what stopped a command stands there."""
_TRACEBACK = 12
"""How many lines above a refusal may name the call that was refused, as Python's tracebacks do."""
_CANNOT_EXECUTE = 126
"""A shell's exit code for a program that lacks the permission to be executed, which no sandbox takes from it."""


def denial(command: Exec, fence: Fence, outcome: Ran) -> Denial | None:
    """What the sandbox stopped in a command that failed, or None if nothing shows that it did.

    Of a command that ran out of time only the network is told: without it programs try again and again.
    """
    if outcome.exit_code == 0:
        return None
    lines = [line[-_LONGEST_LINE:] for line in outcome.output.text.splitlines()[-_LINES:]]
    closed = fence.network is Network.NONE
    if closed and _silent_curl(command, outcome.exit_code, lines):
        return _no_network([" ".join(command.argv)])
    for number, line in reversed(list(enumerate(lines))):
        if _ASIDE.search(line) or "\0" in line:
            continue
        above = lines[max(number - _TRACEBACK, 0) : number]
        if closed and _speaks_of_network(above, line):
            return _no_network([line, *reversed(above), " ".join(command.argv)])
        if not outcome.timed_out and (found := _closed_path(command, fence, outcome.exit_code, lines, number)):
            return found
    return None


# What a test prints about an error that it did not get, or got and did not expect; and what version managers print when
# a login shell starts and they cannot refresh their shims, which stops nothing.
_ASIDE = re.compile(r"\bassert\b|AssertionError|\b[Ee]xpected[ :]|\btoThrow\b|/shims/")


# --- the network

_NETWORK = re.compile(
    r"could not resolve host|temporary failure in name resolution|network is unreachable|name or service not known"
    r"|(?:socket|connect|bind|listen|getaddrinfo|urlopen|network).*(?:operation not permitted|permission denied)"
    r"|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)|\b(?:connect|listen|bind|send) (?:EPERM|EACCES)\b"
    r"|syscall: '(?:connect|listen|bind|getaddrinfo)'|/dev/(?:tcp|udp)/.*operation not permitted"
    r"|curl: \([67]\) ",
    re.IGNORECASE,
)
_NETWORK_CALL = re.compile(r"\b(?:socket|connect|create_connection|bind|getaddrinfo|urlopen|sendto)\b")
_HOST = re.compile(
    r"(?:resolve host(?:name)?:? |\w+://(?:\w+@)?|(?:getaddrinfo|connect) E\w+ |[Cc]onnect(?:ing)? to |host=)['\"‘“]?"
    r"([\w-]+(?:\.[\w-]+)+|localhost)"
)


def _speaks_of_network(above: Sequence[str], line: str) -> bool:
    """Whether a line tells of a refused network, or refuses without a path what the lines above it called."""
    if _NETWORK.search(line):
        return True
    bare = line.rstrip().lower().endswith("] operation not permitted")
    return bare and any(_NETWORK_CALL.search(other) for other in above)


def _silent_curl(command: Exec, exit_code: int, lines: Sequence[str]) -> bool:
    """Whether this is `curl -s`, which says by its exit code only that there is no way to the host."""
    return exit_code in {6, 7} and not lines and re.search(r"\bcurl\b", " ".join(command.argv)) is not None


def _no_network(texts: Sequence[str]) -> Denial:
    """The denial, with the host that the first of these texts names."""
    host = next((found[1] for text in texts if (found := _HOST.search(text[:_LONGEST_LINE]))), "the network")
    return Denial(host, "the network is closed", "network-full-access")


# --- files

_REFUSED = re.compile(
    r"permission denied|operation not permitted|read-only file system|invalid cross-device link", re.IGNORECASE
)
# Each word is tried from its beginning only, since a long one would else be gone through once for each of its letters.
_PATH = re.compile(
    r"""['"‘“`]([^'"‘“’”`\n]+)['"’”`]"""
    r"""|(?<![^\s'":,;()\[\]])([^\s'":,;()\[\]/]*/[^\s'":,;()\[\]]*)"""
    r"""|(?<=[ :])(?!\d+:)([\w.@+-]+)(?=:)"""  # not at the beginning: that is the program; a number is a line's
)
_NO_FILE = re.compile(r"/dev/(?:tcp|udp)/")
_NEIGHBOURS = re.compile(r"^\s*(?:permission denied|operation not permitted) \(os error|I/O error: perm", re.IGNORECASE)
"""Refusals that name the path in a line nearby: of programs written in Rust, above; of zip, below."""
_DATABASE = re.compile(r"unable to open database|attempt to write a readonly database", re.IGNORECASE)
_DATABASE_FILE = re.compile(r"(?<![^\s'\"])[^\s'\"]+\.(?:db|sqlite3?)(?![\w.])")
_TAKES_AWAY = re.compile(r"\b(?:remove|rmdir|unlink|delete|rename|move)\b", re.IGNORECASE)


def _closed_path(command: Exec, fence: Fence, exit_code: int, lines: Sequence[str], number: int) -> Denial | None:
    """The rule that closes a path which the line of this number tells was refused."""
    line = lines[number]
    for name in _refused_names(command, lines, number):
        path = Path(os.path.normpath(command.cwd / name))
        executed = exit_code == _CANNOT_EXECUTE or any("_execute_child" in other for other in lines[-_TRACEBACK:])
        if found := _closed(path, command.cwd, fence, executed, bool(_TAKES_AWAY.search(line))):
            return found
    if _DATABASE.search(line) and not fence.allows_write(command.cwd):
        return Denial(str(command.cwd), "it may not be written", permission_for(command.cwd, command.cwd, fence))
    return None


def _refused_names(command: Exec, lines: Sequence[str], number: int) -> Iterator[str]:
    """What may be the path that a line refuses, the likeliest first."""
    line = lines[number]
    if _NEIGHBOURS.search(line):
        texts = [*reversed(lines[max(number - 6, 0) : number]), *lines[number + 1 : number + 2]]
    elif _DATABASE.search(line):
        yield from _DATABASE_FILE.findall(f"{line} {' '.join(command.argv)[:_LONGEST_LINE]}")
        return
    else:
        texts = [line] if _REFUSED.search(line) else []
    for text in texts:
        names = ["".join(found) for found in _PATH.findall(text)]
        yield from (name for name in reversed(names) if not _NO_FILE.match(name))  # what is refused stands last


def _closed(path: Path, cwd: Path, fence: Fence, executed: bool, taken_away: bool) -> Denial | None:
    """The rule that closes this path, if one does and the file system itself would not.

    `executed` says that it may have been a program to run, which the fence forbids nobody; `taken_away` that it
    was to be removed from its folder.
    """
    real = Path(os.path.realpath(path))
    if not fence.allows_read(real):
        hidden = any(real.is_relative_to(root) for root in fence.hidden)
        return Denial(str(path), "it may not be read", None if hidden else "disk-full-read-access")
    if executed and real.is_file() and not os.access(real, os.X_OK):
        return None
    above = next(folder for folder in (real, *real.parents) if os.path.exists(folder))
    if not fence.allows_write(real) and os.access(above, os.W_OK) and not (real.exists() and real == cwd):
        return Denial(str(path), "it may not be written", permission_for(_needed(real, taken_away), cwd, fence))
    return None


def _needed(path: Path, taken_away: bool) -> Path:
    """What must be writable for this path to be changed: git needs all of its folder, a removal the folder above."""
    for folder in (path, *path.parents):
        if folder.name == ".git":
            return folder
    return path.parent if taken_away else path
