"""Keeps the prompts that you typed in `history.jsonl`, for every session and frontend."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from pathlib import Path

from codex_host.config import Config
from codex_host.errors import CodexError
from codex_host.events import Event, SessionStarted, TaskStarted
from codex_host.hookspecs import hookimpl
from codex_host.parts import Recorder

__all__ = ["HistoryRecorder"]

_TRIES = 10
_PAUSE = 0.1  # seconds


class HistoryRecorder(Recorder):
    """Appends one line for each prompt: `{"session_id": ..., "ts": ..., "text": ...}`.

    Sessions that run at the same time share the file: each line is written at once, under a lock. Only its
    owner may read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session_id = ""

    def record(self, event: Event) -> None:
        """Write down a prompt that is not blank. Raises CodexError if the file cannot be written."""
        if isinstance(event, SessionStarted):
            self._session_id = event.session_id
        elif isinstance(event, TaskStarted) and event.prompt.strip():
            entry = {"session_id": self._session_id, "ts": int(time.time()), "text": event.prompt}
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            try:
                _append(self._path, line.encode("utf-8", "replace"))
            except OSError as error:
                cause = error.strerror or error
                raise CodexError(f"the prompt was not written to {self._path}: {cause}") from error


@hookimpl
def codex_recorder(name: str, config: Config) -> Recorder | None:
    """The recorder `history`, unless the config's `history.persistence` is "none"."""
    if name != "history" or config.history_persistence == "none":
        return None
    return HistoryRecorder(config.home / "history.jsonl")


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "ab+", buffering=0, opener=_private) as file:
        _make_private(file.fileno())
        _lock(file.fileno())
        size = file.seek(0, os.SEEK_END)
        if size and not _ends_in_newline(file.fileno(), size):
            line = b"\n" + line  # somebody's write was cut short; keep it from spoiling this one
        if file.write(line) != len(line):
            raise OSError("only a part of it could be written; is the disk full?")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_private(descriptor: int) -> None:
    """Take everybody else's rights away; the file may come from a time or a program that granted them."""
    if sys.platform != "win32" and stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
        os.fchmod(descriptor, 0o600)


def _ends_in_newline(descriptor: int, size: int) -> bool:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) == b"\n"


def _lock(descriptor: int) -> None:
    """Wait a second at most until nobody else writes. Windows has no such lock; there one write has to be
    enough.
    """
    if sys.platform == "win32":
        return
    import fcntl

    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_PAUSE)
    raise OSError("another program has locked it")
