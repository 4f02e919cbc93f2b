"""What a notifier must keep to: subclass `NotifierContract` in a pytest module.

Give it settings with which it really tells somebody, by overriding `configure`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from codex_host.events import Ending, EndingKind, TaskEnded
from codex_host.parts import Notifier
from codex_host.testing.contract import Contract

__all__ = ["NotifierContract"]

_TEXTS = {
    "plain": "Rename `foo` to `bar`.",
    "empty": "",
    "control": "a\x1b[31m\0\r\nb",
    "foreign": "日本語 \U0001f600 \u2028",
    "half": "half a character: \ud83d",
    "long": "word " * 200_000,
}


class NotifierContract(Contract):
    """The promises of a `codex_host.parts.Notifier`."""

    kind = "notifier"
    base: ClassVar[type] = Notifier

    @pytest.mark.parametrize("kind", EndingKind)
    def test_takes_every_ending(self, kind: EndingKind) -> None:
        """Whatever way a task ended, telling it (or choosing not to) is no error."""
        exit_code = 0 if kind is EndingKind.ANSWERED else 1
        self._notify(TaskEnded("task", ("do it",), Ending(kind, "done", exit_code)))

    @pytest.mark.parametrize("text", _TEXTS.values(), ids=_TEXTS)
    def test_takes_every_text(self, text: str) -> None:
        """Messages are what people and models write: long, foreign, broken."""
        self._notify(TaskEnded("task", (text, text), Ending(EndingKind.ANSWERED, text, 0)))

    def _notify(self, event: TaskEnded) -> None:
        """Call it as the host does, from a thread of its own."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(self.make().notify, event).result()
