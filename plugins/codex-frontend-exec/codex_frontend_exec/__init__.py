"""The frontend `codex exec`: one prompt, no questions, an exit code."""

from __future__ import annotations

from codex_host.hookspecs import hookimpl
from codex_host.parts import Frontend


@hookimpl
def codex_frontend(name: str) -> Frontend | None:
    """Make the frontend "exec"."""
    if name != "exec":
        return None
    from codex_frontend_exec._exec import Exec

    return Exec()
