"""Taking a server-sent event stream apart (WHATWG HTML, "Server-sent events", 9.2.6).

Works on bytes as they come, in pieces of any size; a piece may end in the middle of a line ending or of a character.
"""

from __future__ import annotations

from codex_host.parts import ServerEvent

__all__ = ["ServerEventParser"]


class ServerEventParser:
    """Turns pieces of a stream into events. Feed it every piece in order, then call `end` once."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._event = ""
        self._data: list[str] = []
        self._first = True

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that this piece completes."""
        self._pending.append(piece)
        if b"\n" not in piece and b"\r" not in piece and not self._ends_in_return():
            return []  # a long line is put together once, not with each of its pieces
        block = b"".join(self._pending)
        held = b""
        if b"\r" in block:
            if block.endswith(b"\r"):  # its newline may be in the next piece
                block, held = block[:-1], b"\r"
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = block.split(b"\n")
        self._pending = [rest + held]
        if self._first and lines:
            lines[0], self._first = lines[0].removeprefix(b"\xef\xbb\xbf"), False  # a byte order mark
        events = []
        for line in lines:
            if line:
                self._field(line)
            elif event := self._dispatch():
                events.append(event)
        return events

    def _ends_in_return(self) -> bool:
        return len(self._pending) > 1 and self._pending[-2].endswith(b"\r")

    def end(self) -> list[ServerEvent]:
        """The event that the end of the stream completes: one whose last line is whole but for the blank line after.

        A line that breaks off is dropped, as the standard says.
        """
        ends_in_return = self._pending[-1:] and self._pending[-1].endswith(b"\r")
        events = self.feed(b"\n") if ends_in_return else []  # that carriage return ended a line
        event = None if any(self._pending) else self._dispatch()
        return [*events, event] if event else events

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data: "):  # as nearly all are
            self._data.append(line[6:].decode("utf-8", "replace"))
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")

    def _dispatch(self) -> ServerEvent | None:
        data, event = self._data, self._event
        self._data, self._event = [], ""
        return ServerEvent(event or "message", "\n".join(data)) if data else None
