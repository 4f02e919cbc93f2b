"""Where the files of sessions are."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from codex_host.errors import StoreError

__all__ = ["find", "latest_first", "new_path", "second_of", "session_id_of"]

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_PREFIX = "rollout-"
_SUFFIX = ".jsonl"
_TIME = "%Y-%m-%dT%H-%M-%S"
_ID_BEGINS = len("rollout-2025-05-15T10-20-30-")


def new_path(folder: Path, session_id: str) -> Path:
    """The file of a session that begins now. Raises StoreError if the id cannot be part of a file's name."""
    _check(session_id)
    began = _time_in(session_id)
    return _path(folder, session_id, time.time() if began is None else began)


def find(folder: Path, session_id: str) -> Path | None:
    """The file of a session, None if there is none.

    An id that holds the session's time (a UUID of version 7) says where its file is; for others all folders
    are listed, the latest first.
    """
    _check(session_id)
    began = _time_in(session_id)
    if began is not None:
        path = _path(folder, session_id, began)
        return path if path.exists() else None
    return next((path for path in latest_first(folder) if session_id_of(path) == session_id), None)


def latest_first(folder: Path) -> Iterator[Path]:
    """The files of all sessions by the time in their names, listing one folder after the other."""
    for year in _entries(folder, r"\d{4}"):
        for month in _entries(year, r"\d\d"):
            for day in _entries(month, r"\d\d"):
                yield from _entries(day, rf"{_PREFIX}\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\d-.+{re.escape(_SUFFIX)}")


def second_of(path: Path) -> str:
    """The part of a file's name that is the time, for grouping."""
    return path.name[:_ID_BEGINS]


def session_id_of(path: Path) -> str:
    """The id in a file's name."""
    return path.name[_ID_BEGINS : -len(_SUFFIX)]


def _entries(folder: Path, pattern: str) -> list[Path]:
    """What matches in a folder, in falling order; nothing if there is no such folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in sorted(names, reverse=True) if re.fullmatch(pattern, name)]


def _path(folder: Path, session_id: str, began: float) -> Path:
    moment = time.gmtime(began)
    name = f"{_PREFIX}{time.strftime(_TIME, moment)}-{session_id}{_SUFFIX}"
    return folder / time.strftime("%Y/%m/%d", moment) / name


def _time_in(session_id: str) -> float | None:
    """The seconds since 1970 in a UUID of version 7 (RFC 9562: its first 48 bits are milliseconds), else
    None.
    """
    try:
        identifier = uuid.UUID(session_id)
    except ValueError:
        return None
    return (identifier.int >> 80) / 1000 if identifier.version == 7 else None


def _check(session_id: str) -> None:
    if not _SESSION_ID.fullmatch(session_id):
        raise StoreError(f"{session_id!r} is no name of a session; letters, digits and `-_.` make one")
