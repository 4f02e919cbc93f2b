"""Taking a server-sent event stream apart (WHATWG HTML, "Server-sent events", 9.2.6).

Works on bytes as they come, in pieces of any size; a piece may end in the middle of a line ending or of a character.
"""

from __future__ import annotations

from codex_host.parts import ServerEvent

__all__ = ["ServerEventParser"]


class ServerEventParser:
    """Turns pieces of a stream into events. Feed it every piece in order, then call `end` once."""

    def __init__(self) -> None:
        self._pending = b""
        self._event = ""
        self._data: list[str] = []
        self._first = True

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that this piece completes."""
        block = self._pending + piece
        if b"\r" in block:
            if block.endswith(b"\r"):  # its newline may be in the next piece
                block, self._pending = block[:-1], b"\r"
            else:
                self._pending = b""
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            self._pending = b""
        *lines, rest = block.split(b"\n")
        self._pending = rest + self._pending
        events = []
        for line in lines:
            if self._first:
                line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False  # a byte order mark
            if line:
                self._field(line)
            elif event := self._dispatch():
                events.append(event)
        return events

    def end(self) -> list[ServerEvent]:
        """The event that the end of the stream completes: one whose last line is whole but for the blank line after.

        A line that breaks off is dropped, as the standard says.
        """
        events = self.feed(b"\n") if self._pending.endswith(b"\r") else []  # that carriage return ended a line
        event = None if self._pending else self._dispatch()
        return [*events, event] if event else events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")

    def _dispatch(self) -> ServerEvent | None:
        data, event = self._data, self._event
        self._data, self._event = [], ""
        return ServerEvent(event or "message", "\n".join(data)) if data else None
