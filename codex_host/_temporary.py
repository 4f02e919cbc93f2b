"""The session's temporary folder: the user's TMPDIR where that is safe to grant, else one of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["TemporaryFolder"]


class TemporaryFolder:
    """Made when it is first asked for, removed with the session if it was made here.

    The user's TMPDIR is taken only if a grant to write there opens nothing else: an absolute, existing folder that
    neither holds one of `kept_out` (the home folder, CODEX_HOME) nor is the root.
    """

    def __init__(self, environ: Mapping[str, str], kept_out: Sequence[Path]) -> None:
        self._environ = environ
        self._kept_out = tuple(kept_out)
        self._path: Path | None = None
        self._own = False

    def path(self) -> Path:
        """The folder, absolute and real."""
        if self._path is None:
            self._path = self._users() or self._made()
        return self._path

    def remove(self) -> None:
        """Remove the folder if it was made here; blocking."""
        if self._own and self._path is not None:
            import shutil  # it brings every kind of compression with it

            shutil.rmtree(self._path, ignore_errors=True)

    def _users(self) -> Path | None:
        named = self._environ.get("TMPDIR", "")
        if not os.path.isabs(named) or not os.path.isdir(named):
            return None
        real = Path(named).resolve()
        holds = any(folder.is_relative_to(real) for folder in self._kept_out)
        return None if holds or real == Path(real.anchor) else real

    def _made(self) -> Path:
        import tempfile

        self._own = True
        return Path(tempfile.mkdtemp(prefix="codex-")).resolve()
