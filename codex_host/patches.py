"""Applying a patch outside a session, as the user's own program does: no review, no fence but the user's own rights.

Not for what the model asks for in a session: that goes through `Workbench.perform`.
"""

from __future__ import annotations

from pathlib import Path

from codex_host import _files
from codex_host.actions import Patch, Patched
from codex_host.errors import PatchError
from codex_host.permissions import Fence, Network

__all__ = ["apply"]

_OPEN = Fence(readable=None, writable=None, network=Network.ALL)


def apply(patch: Patch, cwd: Path) -> Patched:
    """Change the files, all of them or none; blocking. `cwd` only serves to word a refusal.

    Files are matched and written as in a session. Only a process that is killed in the middle leaves a half-done patch,
    beside what it takes to undo it by hand: a session's journal is the session's. Raises PatchError.
    """
    import tempfile  # not needed for a patch that does not fit

    plan = _files.plan(patch, _OPEN)
    try:
        with tempfile.TemporaryDirectory(prefix="codex-patch-") as journal:
            _files.carry_out(plan, _OPEN, Path(journal), cwd)
    except OSError as error:
        raise PatchError(f"the patch was not applied, for want of a temporary folder: {error}") from error
    return Patched(plan.files)
