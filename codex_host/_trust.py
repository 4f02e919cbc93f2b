"""Projects whose own `.codex/config.toml` is read, since the user said so, and finding that file.

A project is the git work tree around a folder, or the folder itself outside of one. What is trusted is state and not
configuration, so it stands in a file of its own in CODEX_HOME, as real paths.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from codex_host.errors import ConfigError

__all__ = ["is_trusted", "project_file", "project_root", "set_trusted", "trusted"]

_FILE = "trusted-projects.json"


def project_root(folder: Path) -> Path:
    """The project that a folder belongs to, a real path; the folder may be missing."""
    return _line(folder)[-1]


def project_file(folder: Path, home: Path) -> Path | None:
    """The nearest `.codex/config.toml` from a folder up to its project's root; CODEX_HOME's own is none."""
    for place in _line(folder):
        file = place / ".codex" / "config.toml"
        if file.is_file() and file.parent.resolve() != home.resolve():
            return file
    return None


def _line(folder: Path) -> list[Path]:
    """The folders from this one up to the root of its git work tree, which may be a file `.git` too."""
    try:
        real = folder.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return [folder]
    line = [real, *real.parents]
    for position, place in enumerate(line):
        if os.path.lexists(place / ".git"):
            return line[: position + 1]
    return [real]


def is_trusted(home: Path, root: Path) -> bool:
    """Whether the user trusts this project. Raises ConfigError if the list cannot be read."""
    return str(root) in trusted(home)


def trusted(home: Path) -> tuple[str, ...]:
    """All trusted projects, sorted. Raises ConfigError."""
    file = home / _FILE
    import json  # only beside a project's own file

    try:
        data = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; remove it, and trust your projects again") from None
    paths = data.get("trusted") if isinstance(data, dict) else None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ConfigError(f'{file} is not {{"trusted": [PATHS]}}; remove it, and trust your projects again')
    return tuple(sorted(paths))


def set_trusted(home: Path, root: Path, wanted: bool) -> bool:
    """Trust a project, or do so no longer; whether that is news. Raises ConfigError."""
    import json

    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(home / f"{_FILE}.lock"):
            before = set(trusted(home))
            after = before | {str(root)} if wanted else before - {str(root)}
            if after != before:
                _replace(home / _FILE, json.dumps({"trusted": sorted(after)}, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"{home / _FILE} cannot be written: {error}") from None
    return after != before


def _replace(file: Path, text: str) -> None:
    """Write the whole file or nothing, for the user's eyes only."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Wait until no other process is between reading and writing; not on Windows, where the last writer wins."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            import fcntl

            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
