"""Runs a program of yours when a task has ended with an answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from codex_host import programs
from codex_host.config import Config
from codex_host.events import EndingKind, TaskEnded
from codex_host.hookspecs import hookimpl
from codex_host.parts import Notifier

__all__ = ["CommandNotifier", "notification"]

_WAIT = 2.0  # as long as the host waits at the end of a run

_LONGEST = 24_000 if sys.platform == "win32" else 120_000
"""Bytes of JSON. Linux takes 131,071 in one argument, Windows 32,767 characters in all, quoted."""


class CommandNotifier(Notifier):
    """Starts `notify` with the notification as one more argument."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def notify(self, event: TaskEnded) -> None:
        """Tell the program of an answer; of a failure, a refusal or an interrupt it is told nothing.

        Raises CodexError if the program cannot be started.
        """
        if event.ending.kind is EndingKind.ANSWERED:
            programs.run([*self._command, notification(event)], wait=_WAIT)


def notification(event: TaskEnded) -> str:
    """The JSON that the program gets: plain ASCII, so that no locale can spoil it.

    Texts that would not fit into a command line are cut, and end in `…` then.
    """
    limit = _LONGEST
    while len(text := _json(event, limit)) > _LONGEST and limit > 1:
        limit //= 2
    return text


def _json(event: TaskEnded, limit: int) -> str:
    return json.dumps(
        {
            "type": "agent-turn-complete",
            "turn-id": event.task_id,
            "input-messages": [_cut(message, limit) for message in event.messages],
            "last-assistant-message": _cut(event.ending.message, limit) or None,
        }
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


@hookimpl
def codex_notifier(name: str, config: Config) -> Notifier | None:
    """The notifier `command`, if the config's `notify` names a program."""
    return CommandNotifier(config.notify) if name == "command" and config.notify else None
