"""Keeping what a command writes: its beginning and its end, in little memory, and telling it on as text."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from codex_host.actions import Output

__all__ = ["KEPT", "MOST", "OutputKeeper"]

KEPT = 64 * 1024
"""Bytes that are kept of the beginning, and as many of the end."""
MOST = 1 << 30
"""Bytes after which a command is ended: nobody will read them all."""


class OutputKeeper:
    """Takes the bytes of one command's output as they come.

    `show` gets them as text, a character never cut in two; `flooded` is called once when there are more than MOST.
    """

    def __init__(self, show: Callable[[str], None], flooded: Callable[[], object]) -> None:
        self._show = show
        self._flooded = flooded
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Take in a further piece."""
        if self._total <= MOST < self._total + len(data):
            self._flooded()
        self._total += len(data)
        room = KEPT - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * KEPT:
            del self._tail[:-KEPT]
        if text := self._decoder.decode(data):
            self._show(text)

    def close(self) -> None:
        """Nothing more comes; a character that is incomplete is shown as a replacement character."""
        if text := self._decoder.decode(b"", final=True):
            self._show(text)

    def output(self) -> Output:
        """What is kept, cut at character borders."""
        tail = bytes(self._tail[-KEPT:])
        left_out = self._total - len(self._head) - len(tail)
        if not left_out:
            return Output((bytes(self._head) + tail).decode("utf-8", "replace"), "", self._total)
        head = bytes(self._head).decode("utf-8", "ignore")
        end = tail.lstrip(bytes(range(0x80, 0xC0))).decode("utf-8", "replace")
        if self._total > MOST:
            end += f"\n[ended, since it wrote more than {MOST >> 20} MiB]\n"
        return Output(head, end, self._total, left_out)
