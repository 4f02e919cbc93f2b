"""Everything that holds one command back, prepared beforehand and applied by a thread to itself."""

from __future__ import annotations

import os

from codex_host.errors import SandboxError
from codex_host.permissions import Fence, Network
from codex_lib_linux_confinement import capabilities, kernel, landlock, seccomp
from codex_lib_linux_confinement.rules import confines_writing

__all__ = ["Restriction", "Restrictions", "unavailable"]

_PR_SET_NO_NEW_PRIVS = 38

_FIRST_ABI_WITH_TRUNCATE = 3
_FIRST_ABI_WITH_RESOLVE_UNIX = 9


def unavailable() -> str | None:
    """Why commands cannot be confined here, for a person, or None."""
    return landlock.unavailable() or seccomp.unavailable()


class Restriction:
    """What one thread is about to give up: new privileges, capabilities, files, system calls.

    Owns the ruleset's descriptor until `close`, which is safe to call twice.
    """

    __slots__ = ("_lower_bounds", "_programs", "_ruleset")

    def __init__(self, ruleset: int, programs: tuple[seccomp.Program, ...]) -> None:
        self._ruleset = ruleset
        self._programs = programs
        self._lower_bounds = capabilities.may_lower_bounds()

    def apply(self) -> None:
        """Restrict the calling thread for ever, and with it all that it starts.

        Call it in a thread made for one command, and start nothing if it raises SandboxError: the thread may
        be restricted by halves then. It makes system calls and nothing else.
        """
        try:
            kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
            capabilities.drop_all(self._lower_bounds)  # before seccomp, and while root still may
            kernel.restrict_self(self._ruleset)
            for program in self._programs:
                program.load()
        except OSError as error:
            raise SandboxError(f"the command was not run: {error.filename} failed: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the ruleset; a thread that has applied it stays restricted."""
        if self._ruleset >= 0:
            os.close(self._ruleset)
            self._ruleset = -1


class Restrictions:
    """Makes the restrictions of one session's commands. `close` when the session ends."""

    def __init__(self, abi: int | None = None) -> None:
        """`abi` is the version of landlock's interface to use, the kernel's if None; lower ones for tests."""
        self._abi = abi
        self._rulesets: landlock.Rulesets | None = None

    def prepare(self, fence: Fence) -> Restriction:
        """The restriction that holds a command to this fence. Raises SandboxError if landlock cannot."""
        try:
            if self._abi is None:
                self._abi = landlock.abi()
            if self._rulesets is None:
                self._rulesets = landlock.Rulesets(self._abi)
            return Restriction(self._rulesets.descriptor(fence), _programs(fence, self._abi))
        except OSError as error:
            raise SandboxError(f"the sandbox cannot be made: {error.filename}: {error.strerror}") from error

    def close(self) -> None:
        """Close the descriptors that are kept; safe to call twice."""
        if self._rulesets is not None:
            self._rulesets.close()


def _programs(fence: Fence, abi: int) -> tuple[seccomp.Program, ...]:
    """The seccomp programs for a fence: one for its network, others for what this landlock does not guard.

    Whoever reaches a unix socket of the host has another program write for it: docker, `systemd-run --user`.
    """
    programs: tuple[seccomp.Program, ...] = (seccomp.program(fence.network),)
    if abi < _FIRST_ABI_WITH_TRUNCATE and confines_writing(fence):
        programs += (seccomp.truncate_program(),)
    if abi < _FIRST_ABI_WITH_RESOLVE_UNIX and fence.writable is not None and fence.network is not Network.NONE:
        programs += (seccomp.unix_program(),)
    return programs
