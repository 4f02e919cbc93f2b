"""Landlock and seccomp confine commands on Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_host.hookspecs import hookimpl

if TYPE_CHECKING:
    from codex_host.parts import Sandbox


@hookimpl
def codex_sandbox(name: str) -> Sandbox | None:
    """Make the backend called "landlock"."""
    if name != "landlock":
        return None
    from codex_sandbox_linux.landlock_sandbox import LandlockSandbox

    return LandlockSandbox()
