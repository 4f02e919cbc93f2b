"""The backend "landlock": the command's own thread gives up its rights before the command starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from codex_lib_linux_confinement import restriction

from codex_host.actions import Exec
from codex_host.parts import Launch, Sandbox
from codex_host.permissions import Fence, Guarantee

__all__ = ["LandlockSandbox"]


class LandlockSandbox(Sandbox):
    """Confines without namespaces or helper programs, so it works for every user and inside containers."""

    guarantees: ClassVar[frozenset[Guarantee]] = frozenset(
        {Guarantee.WRITES, Guarantee.READS, Guarantee.HIDDEN, Guarantee.NETWORK}
    )

    def __init__(self, abi: int | None = None) -> None:
        """`abi` is the version of landlock's interface to use, the kernel's if None; lower ones for tests."""
        self._restrictions = restriction.Restrictions(abi)

    async def __aexit__(self, *exception: object) -> None:
        self._restrictions.close()

    def unavailable(self) -> str | None:
        """See `Sandbox`."""
        return restriction.unavailable()

    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        """The command as it stands, started by a thread that has given up what the fence forbids."""
        prepared = self._restrictions.prepare(fence)
        return Launch(command.argv, env, command.cwd, restrict=prepared.apply, close=prepared.close)
