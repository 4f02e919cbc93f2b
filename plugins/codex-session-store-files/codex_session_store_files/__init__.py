"""Keeps each session in a file of its own: `sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl` in CODEX_HOME.

A file holds one record per line, as JSON, and only ever grows. Folders and times are in UTC, so that the
order of names is the order of sessions. The modules: `_files` finds files, `_log` writes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from codex_host.errors import StoreError
from codex_host.hookspecs import hookimpl
from codex_host.parts import SessionLog, SessionStore, SessionSummary
from codex_host.records import FORMAT, Record, SessionBegan, from_json
from codex_session_store_files._files import find, latest_first, new_path, second_of, session_id_of
from codex_session_store_files._log import FileLog

if TYPE_CHECKING:
    from codex_host.config import Config

__all__ = ["FilesStore"]

_FIRST_LINE = 64 * 1024  # bytes; the first record holds no text of the conversation


class FilesStore(SessionStore):
    """All sessions below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, session_id: str) -> SessionLog:
        """The session's log, in a new file if there is none; closed to other writers."""
        return FileLog(find(self._folder, session_id) or new_path(self._folder, session_id))

    def sessions(self) -> Iterator[SessionSummary]:
        """All sessions of which a first record can be read; folders are listed as far as the caller asks."""
        for _, paths in groupby(latest_first(self._folder), key=second_of):
            readable = filter(None, map(_summary, paths))
            yield from sorted(readable, key=lambda session: session.time, reverse=True)

    def load(self, session_id: str) -> Iterator[Record]:
        """The records; a last line that was cut off when its writer died does not count.

        Raises StoreError at once if there is no such session; while reading, for a line in the middle that
        makes no sense, since a conversation with a hole must not go on.
        """
        path = find(self._folder, session_id)
        if path is None:
            raise StoreError(f"there is no session {session_id!r} in {self._folder}")
        return _records(path)


@hookimpl
def codex_session_store(name: str, config: Config) -> SessionStore | None:
    """The store `files`."""
    return FilesStore(config.home / "sessions") if name == "files" else None


def _summary(path: Path) -> SessionSummary | None:
    """What a list tells of a session, from its first line; None for a file that does not begin with one."""
    try:
        with path.open("rb") as file:
            record = from_json(json.loads(file.readline(_FIRST_LINE)))
    except (OSError, ValueError):
        return None
    if not isinstance(record, SessionBegan):
        return None
    return SessionSummary(session_id_of(path), record.time, record.cwd)


def _records(path: Path) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _record(line, f"{path}, line {number}")
    except OSError as error:
        raise StoreError(f"the session cannot be read: {path}: {error.strerror or error}") from error


def _record(line: bytes, place: str) -> Record:
    try:
        record: Record = from_json(json.loads(line))
    except ValueError as error:
        raise StoreError(f"the session is damaged: {place}: {error}") from None
    if isinstance(record, SessionBegan) and record.format > FORMAT:
        raise StoreError(f"a newer version kept the session, in a form unknown to this one: {place}")
    return record
