"""What you and your project tell the model: `instructions.md` in CODEX_HOME, and AGENTS.md files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from codex_host.config import Config
from codex_host.hookspecs import hookimpl
from codex_host.parts import Instructions

__all__ = ["AgentsMd"]

_SEPARATOR = "\n\n--- project-doc ---\n\n"
_NAME = "AGENTS.md"
_BYTES_OF_A_CHARACTER = 4  # so much more is read as tells whether there is more, behind a byte order mark too
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class AgentsMd(Instructions):
    """The user's text, then the project's, separated by a line that says so.

    The project's text is the AGENTS.md of each folder from the root of the git work tree down to the working
    directory, in this order; outside a work tree only that of the working directory. A link counts if it leads to
    another file of the project: nothing else that the user may read is sent to a provider because a project says so.
    """

    rank = Instructions.PROJECT

    def __init__(self, home: Path) -> None:
        self._home = home

    def text(self, cwd: Path, budget: int) -> str | None:
        """Both texts, or the one there is. `budget` is for the project's; the user's own is sent whole.

        What cannot be read counts as missing: a session starts anyway.
        """
        user = (_read(_real(self._home / "instructions.md")) or "").strip()
        project = self._project_text(_folders(cwd), budget)
        return _SEPARATOR.join(filter(None, [user, project])) or None

    def _project_text(self, folders: list[Path], budget: int) -> str:
        """The texts of all folders; the nearest, which knows most of the work, claims its budget first."""
        if budget <= 0:
            return ""
        texts = []
        for folder in reversed(folders):
            text = self._of_project(folder / _NAME, folders[0], budget + _BYTES_OF_A_CHARACTER) or ""
            if not text.strip():
                continue
            kept = text.encode()[:budget].decode("utf-8", "ignore")
            budget -= len(kept.encode())
            said = kept.strip()
            if kept != text:
                said += f"\n[cut here for want of room (project_doc_max_bytes); all of it is in {folder / _NAME}]"
            texts.append(said.lstrip())
        return "\n\n".join(reversed(texts))

    def _of_project(self, path: Path, root: Path, limit: int) -> str | None:
        """The text of a file that really lies below the root, and not in CODEX_HOME, where the keys are."""
        real = _real(path)
        if not real.is_relative_to(_real(root)) or real.is_relative_to(_real(self._home)):
            return None
        return _read(real, limit)


@hookimpl
def codex_instructions(name: str, config: Config) -> Instructions | None:
    """The instructions `agents-md`."""
    return AgentsMd(config.home) if name == "agents-md" else None


def _folders(cwd: Path) -> list[Path]:
    """The folders that speak for `cwd`, the root of its git work tree first."""
    line = [cwd, *cwd.parents]
    for position, folder in enumerate(line):
        if os.path.lexists(folder / ".git"):
            return line[position::-1]
    return [cwd]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _read(real: Path, limit: int = -1) -> str | None:
    """The text of the regular file at this real path, at most `limit` bytes of it, with what is no UTF-8 replaced;
    None if there is none.
    """
    try:
        descriptor = os.open(real, _OPEN)  # a link put there since is not followed, a pipe not waited for
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit).decode("utf-8-sig", "replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
