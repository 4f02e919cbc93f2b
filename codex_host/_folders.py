"""Changing files in a folder that is held open, so that no link put in its path afterwards can lead
elsewhere.

A folder is reached from the root component by component, none of which may be a symbolic link, and everything
in it is done relative to its descriptor. Where the platform has no such calls (Windows), paths are used, with
a check that they lead where they say.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Folder", "opened"]

_BY_DESCRIPTOR = {os.open, os.stat, os.link, os.rename, os.unlink, os.mkdir, os.rmdir} <= os.supports_dir_fd
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
# O_PATH needs no permission to list the folder, as a walk through /home must not.
_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0) | _BINARY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY


@contextmanager
def opened(path: Path, *, make: bool = False) -> Iterator[Folder]:
    """The folder at this absolute real path; `make` creates what is missing of it. Raises OSError."""
    if not _BY_DESCRIPTOR:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        if Path(os.path.realpath(path)) != path:
            raise OSError(errno.ELOOP, "its folder has become a symbolic link", str(path))
        yield Folder(path, None)
        return
    descriptor = _walk(path, make=make)
    try:
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def _walk(path: Path, *, make: bool) -> int:
    """A descriptor of the folder, reached without following any link."""
    descriptor = os.open(path.anchor, _SEARCH)
    for part in path.parts[1:]:
        above = descriptor
        try:
            descriptor = _open_or_make(part, above) if make else os.open(part, _SEARCH, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def _open_or_make(part: str, above: int) -> int:
    try:
        return os.open(part, _SEARCH, dir_fd=above)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=above)
        return os.open(part, _SEARCH, dir_fd=above)


class Folder:
    """An open folder; `name` is always the name of an entry in it, never a path. Every method may raise
    OSError.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    def stat(self, name: str) -> os.stat_result | None:
        """What stands under this name, a link itself and not its target; None for nothing."""
        try:
            return os.stat(self._at(name), follow_symlinks=False, **self._here())
        except FileNotFoundError:
            return None

    def read(self, name: str, limit: int) -> tuple[bytes, os.stat_result]:
        """A regular file's content, at most one byte more than `limit`; neither links nor devices."""
        descriptor = os.open(self._at(name), _READ, **self._here())
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "it is a folder", str(self._path / name))
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(self._path / name))
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(limit + 1), status
        finally:
            os.close(descriptor)

    def create(self, name: str, data: bytes, like: os.stat_result | None, mode: int | None) -> None:
        """Write a new file through to the disk, with this mode and if possible the owner of the file it is
        like.
        """
        descriptor = os.open(self._at(name), _CREATE, 0o666 if mode is None else 0o600, **self._here())
        with open(descriptor, "wb") as file:
            if like is not None and hasattr(os, "fchown"):
                with contextlib.suppress(PermissionError):  # only root gives files away
                    os.fchown(descriptor, like.st_uid, like.st_gid)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, which must be free."""
        if self._descriptor is None:
            os.link(self._at(source), self._at(target))
        else:
            here = self._descriptor
            os.link(source, target, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)

    def replace(self, source: str, target: str) -> None:
        """Rename a file in one step, over whatever file had the name."""
        if self._descriptor is None:
            os.replace(self._at(source), self._at(target))
        else:
            os.replace(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), **self._here())

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder; nothing if there is none."""
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self._at(name), **self._here())

    def writable(self, name: str) -> bool:
        """Whether the file's own mode lets us write it; replacing it would not ask."""
        return os.access(self._at(name), os.W_OK, **self._here())

    def sync(self) -> None:
        """Have the names in this folder survive a power cut, as far as the file system knows how."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a folder we may not list, or a file system without it
                descriptor = os.open(".", os.O_RDONLY, dir_fd=self._descriptor)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _here(self) -> dict[str, Any]:
        return {} if self._descriptor is None else {"dir_fd": self._descriptor}
