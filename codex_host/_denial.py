"""Recognising that a sandbox stopped a command, from what the command printed about it.

The kernel's refusals look like ordinary errors, so a failure counts as a denial only if its text names a path that the
fence really closes, or speaks of the network while that is closed. A failing test run is no denial.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from codex_host.actions import Denial, Exec, Ran
from codex_host.permissions import Fence, Network, permission_for

__all__ = ["denial"]

_REFUSED = re.compile(r"permission denied|operation not permitted|read-only file system|invalid cross-device link", re.IGNORECASE)
_PATH = re.compile(r"""['"‘“`]([^'"’”`\n]+)['"’”`]|([^\s'":,;()\[\]]*/[^\s'":,;()\[\]]*)|([\w.@+-]+)(?=:)""")
_NETWORK = re.compile(
    r"could not resolve host|temporary failure in name resolution|network is unreachable|name or service not known"
    r"|(?:socket|connect|bind|getaddrinfo|connection|urlopen|network).*(?:operation not permitted|permission denied)",
    re.IGNORECASE,
)
_LINES = 200
"""How many lines are looked at, from the end: what stopped a command stands where it ended."""


def denial(command: Exec, fence: Fence, outcome: Ran) -> Denial | None:
    """What the sandbox stopped in a command that failed, or None if nothing shows that it did."""
    if outcome.exit_code == 0 or outcome.timed_out:
        return None
    for line in reversed(outcome.output.text.splitlines()[-_LINES:]):
        if fence.network is Network.NONE and _NETWORK.search(line):
            return Denial("the network", "the network is closed", "network-full-access")
        if _REFUSED.search(line):
            for quoted, plain, word in _PATH.findall(line):
                if found := _closed(Path(os.path.normpath(command.cwd / (quoted or plain or word))), command.cwd, fence):
                    return found
    return None


def _closed(path: Path, cwd: Path, fence: Fence) -> Denial | None:
    """The rule that closes this path, if one does and the file system itself would not."""
    real = Path(os.path.realpath(path))
    if not fence.allows_read(real):
        return Denial(str(path), "it may not be read", None if real in fence.hidden else "disk-full-read-access")
    above = next(folder for folder in (real, *real.parents) if folder.exists())
    if not fence.allows_write(real) and os.access(above, os.W_OK) and not (real.exists() and real == cwd):
        return Denial(str(path), "it may not be written", permission_for(real, cwd, fence))
    return None
