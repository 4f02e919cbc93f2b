"""What commands and patches may touch.

`Permissions` is what the user grants: the config's `sandbox_permissions` list, or a preset. `Fence` is that grant
resolved for this session's folders: pure data with real absolute paths, the only thing that a sandbox backend or a
patch is held to. The difference matters: a backend never sees a word such as `disk-write-cwd`, so no two backends can
read it in two ways.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from codex_host.errors import SandboxError

__all__ = [
    "DANGER_FULL_ACCESS",
    "FULL_AUTO",
    "PRESETS",
    "READ_ONLY",
    "WORKSPACE_WRITE",
    "Fence",
    "Guarantee",
    "Network",
    "Permissions",
    "permission_for",
    "resolve",
    "system_folders",
    "without_exposing",
]


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the user grants, word by word; `Permissions()` grants nothing at all.

    `write_folders` are absolute; a relative one was joined, when it was read, to the folder of its config file or to
    the working directory of its flag.
    """

    full_read: bool = False
    full_write: bool = False
    full_network: bool = False
    write_cwd: bool = False
    write_user_temp: bool = False
    write_global_temp: bool = False
    write_folders: tuple[Path, ...] = ()

    @classmethod
    def parse(cls, words: Iterable[str], base: Path) -> Permissions:
        """Read the config's words; `base` is what a relative folder is relative to.

        Raises ValueError with a text that names the word and the words there are.
        """
        granted: dict[str, bool] = {}
        folders: list[Path] = []
        for word in words:
            name, equals, folder = word.partition("=")
            if name == "disk-write-folder":
                expanded = os.path.expanduser(folder)
                if not folder.strip() or expanded.startswith("~"):
                    raise ValueError(f"{word!r} names no folder; write disk-write-folder=/some/folder")
                folders.append(base / expanded)
            elif name in _FIELD_OF_WORD and not equals:
                granted[_FIELD_OF_WORD[name]] = True
            else:
                known = ", ".join([*_FIELD_OF_WORD, "disk-write-folder=FOLDER"])
                raise ValueError(f"no permission is called {word!r}; there are: {known}")
        return cls(**granted, write_folders=tuple(folders))

    def words(self) -> tuple[str, ...]:
        """The same grant as the config would spell it."""
        plain = [word for word, field in _FIELD_OF_WORD.items() if getattr(self, field)]
        return (*plain, *(f"disk-write-folder={folder}" for folder in self.write_folders))

    def __or__(self, other: Permissions) -> Permissions:
        granted = {field: getattr(self, field) or getattr(other, field) for field in _FIELD_OF_WORD.values()}
        folders = tuple(dict.fromkeys(self.write_folders + other.write_folders))
        return Permissions(**granted, write_folders=folders)

    @property
    def unrestricted(self) -> bool:
        """Whether a sandbox would have nothing to hold back."""
        return self.full_read and self.full_write and self.full_network


_FIELD_OF_WORD = {
    "disk-full-read-access": "full_read",
    "disk-full-write-access": "full_write",
    "disk-write-cwd": "write_cwd",
    "disk-write-platform-user-temp-folder": "write_user_temp",
    "disk-write-platform-global-temp-folder": "write_global_temp",
    "network-full-access": "full_network",
}

READ_ONLY = Permissions(full_read=True)
FULL_AUTO = Permissions(full_read=True, write_user_temp=True, write_cwd=True)
WORKSPACE_WRITE = Permissions(full_read=True, write_user_temp=True, write_global_temp=True, write_cwd=True)
DANGER_FULL_ACCESS = Permissions(full_read=True, full_write=True, full_network=True)

PRESETS = {"read-only": READ_ONLY, "workspace-write": WORKSPACE_WRITE, "danger-full-access": DANGER_FULL_ACCESS}
"""The values of `--sandbox` and `sandbox_mode`; `--full-auto` stands for FULL_AUTO."""


class Network(Enum):
    """How far a command's network reaches. A backend that does not know a value closes the network."""

    NONE = "none"
    ALL = "all"


class Guarantee(Enum):
    """Something that a fence can demand and a sandbox backend can promise to enforce."""

    WRITES = "writes"
    """Nothing outside `Fence.writable` is created, changed or removed."""
    READS = "reads"
    """Nothing outside `Fence.readable` is read."""
    HIDDEN = "hidden"
    """Nothing in `Fence.hidden` is read, whatever else is readable."""
    NETWORK = "network"
    """No packet leaves, and no socket of the host is reached, where the fence says `Network.NONE`."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What one command or patch is held to; every path is absolute, real (no symlink in it) and exists.

    `readable` and `writable` are roots (a folder stands for all below it); None means everything. `hidden` is not
    even readable. `temp` is where the command's TMPDIR points, None to leave the variable alone; if it is writable it
    is among the writable roots.
    """

    readable: tuple[Path, ...] | None
    writable: tuple[Path, ...] | None
    hidden: tuple[Path, ...] = ()
    network: Network = Network.NONE
    temp: Path | None = None

    @property
    def open(self) -> bool:
        """Whether there is nothing to enforce, so that no sandbox is needed."""
        return self.readable is None and self.writable is None and self.network is Network.ALL

    def demands(self) -> frozenset[Guarantee]:
        """What a backend must promise to be allowed to hold this fence."""
        demanded = {
            Guarantee.WRITES: self.writable is not None,
            Guarantee.READS: self.readable is not None,
            Guarantee.HIDDEN: bool(self.hidden) and not self.open,
            Guarantee.NETWORK: self.network is not Network.ALL,
        }
        return frozenset(guarantee for guarantee, wanted in demanded.items() if wanted)

    def check(self) -> None:
        """Make sure that no root has become a link since it was resolved. Raises SandboxError."""
        for root in (*(self.writable or ()), *(self.readable or ())):
            if os.path.realpath(root) != str(root):
                raise SandboxError(f"{root} was replaced by a link to somewhere else, so nothing may be done in it")

    def allows_read(self, path: Path) -> bool:
        """Whether reading this absolute path is allowed; `path` is taken as real, so resolve it before."""
        return not _below(path, self.hidden) and (self.readable is None or _below(path, self.readable))

    def allows_write(self, path: Path) -> bool:
        """Whether a write to this absolute path is allowed; `path` is taken as real, so resolve it before."""
        return not _below(path, self.hidden) and (self.writable is None or _below(path, self.writable))


def permission_for(path: Path, cwd: Path, fence: Fence) -> str | None:
    """The least `sandbox_permissions` word that would let this real path be written in a session in `cwd`.

    None if the path is hidden: no word changes that.
    """
    if _below(path, fence.hidden):
        return None
    folder = path if path.is_dir() else next(parent for parent in path.parents if parent.is_dir())
    if path.is_relative_to(cwd):
        return "disk-write-cwd"
    if folder == Path("/tmp"):
        return "disk-write-platform-global-temp-folder"
    if folder == Path(folder.anchor):
        return "disk-full-write-access"
    return f"disk-write-folder={folder}"


def _below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def resolve(permissions: Permissions, cwd: Path, temp: Path, hidden: Iterable[Path] = ()) -> Fence:
    """The fence that a grant means for a session in `cwd`.

    `temp` is the session's own temporary folder, granted by `disk-write-platform-user-temp-folder`; `hidden`
    are absolute files and folders that no command may read, those that do not exist are left out. Without
    `disk-full-read-access` the platform's programs and libraries stay readable, beside cwd and the writable
    roots: nothing would start else. Raises SandboxError for a root that does not exist, is relative, or is
    `/`, which `disk-full-write-access` would have to say.
    """
    if permissions.unrestricted:
        return Fence(readable=None, writable=None, network=Network.ALL, temp=None)
    roots: list[Path] = []
    if permissions.write_cwd:
        roots.append(_root(cwd, "the working directory"))
    if permissions.write_user_temp or permissions.full_write:
        roots.append(_root(temp, "the temporary folder"))
    if permissions.write_global_temp:
        roots.append(_root(Path("/tmp"), "disk-write-platform-global-temp-folder"))
    roots += [_root(folder, f"disk-write-folder={folder}") for folder in permissions.write_folders]
    readable = None
    if not permissions.full_read:
        readable = tuple(dict.fromkeys([_root(cwd, "the working directory"), *system_folders(), *roots]))
    return Fence(
        readable=readable,
        writable=None if permissions.full_write else tuple(dict.fromkeys(roots)),
        hidden=tuple(path.resolve() for path in hidden if path.exists()),
        network=Network.ALL if permissions.full_network else Network.NONE,
        temp=temp.resolve() if permissions.write_user_temp or permissions.full_write else None,
    )


def without_exposing(permissions: Permissions, home: Path) -> Permissions:
    """The grant without the global temporary folder if CODEX_HOME lies in it.

    Not every sandbox can hide what lies below a writable folder, and whoever writes there would write the settings.
    """
    if permissions.write_global_temp and not permissions.full_write and home.resolve().is_relative_to("/tmp"):
        return replace(permissions, write_global_temp=False)
    return permissions


_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
_SYSTEM = ("/etc", "/run/systemd/resolve", "/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup")
_MACOS = ("/System", "/Library", "/private/etc", "/private/var/db/timezone")


@functools.cache
def system_folders() -> tuple[Path, ...]:
    """What programs need to start at all, readable even without `disk-full-read-access`; this Python among it.

    Resolved once, before any command can change it.
    """
    folders = (*_PROGRAMS, *_SYSTEM, *_MACOS, sys.prefix, sys.base_prefix)
    real = (Path(folder).resolve() for folder in folders if os.path.isdir(folder))
    return tuple(dict.fromkeys(folder for folder in real if folder != Path(folder.anchor)))


def _root(folder: Path, source: str) -> Path:
    """The real path of a root, or a SandboxError that names where the root was asked for."""
    if not folder.is_absolute():
        raise SandboxError(f"{source}: {folder} is relative; give an absolute folder")
    try:
        real = folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise SandboxError(f"{source}: {folder} cannot be opened ({reason}); create it or leave it out") from None
    if real == Path(real.anchor):
        raise SandboxError(f"{source}: {folder} is the root of all files; say disk-full-write-access if you mean it")
    return real
