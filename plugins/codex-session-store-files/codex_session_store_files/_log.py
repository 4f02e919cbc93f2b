"""Writing one session's file.

What is appended is given to the operating system in one write and not synced to the disk: it then survives
the death of this process in any form, which is what a log for resuming is for, and every action waits for an
append. Syncing would cost each of them some milliseconds, on some disks a hundred, to be safe from the loss
of power too; and then the files that the actions changed are not synced either. After a loss of power a
session ends at its last whole line.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from codex_host.errors import StoreError
from codex_host.parts import SessionLog
from codex_host.records import Record, to_json

__all__ = ["FileLog"]

_BLOCK = 64 * 1024


class FileLog(SessionLog):
    """A session's file, open and locked; made with its folders if it is not there. Raises StoreError if it
    cannot be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        try:
            _make_folders(path.parent)
            self._file = _open(path)
        except OSError as error:
            raise self._trouble("opened", error) from error
        try:
            _lock(self._file.fileno())
            self._end = _end_of_last_line(self._file)
            self._cut_back()
        except BlockingIOError:
            self._file.close()
            raise StoreError(f"the session is in use by another process: {path}") from None
        except OSError as error:
            self._file.close()
            raise self._trouble("opened", error) from error

    def append(self, records: Sequence[Record]) -> None:
        """Write the records, all of them or none."""
        data = b"".join(map(_line, records))
        try:
            if self._torn:
                self._cut_back()
            self._torn = True
            if self._file.write(data) != len(data):
                raise OSError("only a part of it could be written; is the disk full?")
        except (OSError, ValueError) as error:  # ValueError: it is closed
            with contextlib.suppress(OSError, ValueError):
                self._cut_back()
            raise self._trouble("written", error) from error
        self._end += len(data)
        self._torn = False

    def close(self) -> None:
        """Close the file, and thereby give up the lock."""
        self._file.close()

    def _cut_back(self) -> None:
        """Remove what stands after the last whole append: the rest of a write that was cut short."""
        self._file.truncate(self._end)
        self._torn = False

    def _trouble(self, verb: str, error: Exception) -> StoreError:
        cause = getattr(error, "strerror", None) or error
        return StoreError(f"the session cannot be {verb}: {self._path}: {cause}")


def _line(record: Record) -> bytes:
    data = to_json(record)
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a character, or a file name that is no UTF-8: kept as an escape
        return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _make_folders(folder: Path) -> None:
    """Create what is missing of a path, each part for its owner alone."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)


def _open(path: Path) -> io.FileIO:
    return open(path, "ab+", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))


def _lock(descriptor: int) -> None:
    """Keep other writers out while the file is open. Raises BlockingIOError. Windows has no such lock."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _end_of_last_line(file: io.FileIO) -> int:
    """The position behind the last newline, found from the end."""
    position = file.seek(0, os.SEEK_END)
    while position:
        start = max(position - _BLOCK, 0)
        file.seek(start)
        newline = (file.read(position - start) or b"").rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0
