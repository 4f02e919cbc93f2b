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
        self._first = True

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that this piece completes."""
        self._pending.append(piece)
        if b"\n" not in piece and b"\r" not in piece and not self._ends_in_return(-2):
            return []  # a long line is put together once, not with each of its pieces
        block = b"".join(self._pending)
        held = b""
        if b"\r" in block:
            if block.endswith(b"\r"):  # its newline may be in the next piece
                block, held = block[:-1], b"\r"
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._first and len(block) >= 3:
            block, self._first = block.removeprefix(b"\xef\xbb\xbf"), False  # a byte order mark
        whole, blank_line, rest = block.rpartition(b"\n\n")
        self._pending = [rest + held]
        return _events(whole) if blank_line else []

    def end(self) -> list[ServerEvent]:
        """The event that the end of the stream completes: one whose last line is whole but for the blank line after.

        A line that breaks off is dropped with its event, as the standard says.
        """
        events = self.feed(b"\n") if self._ends_in_return(-1) else []  # that carriage return ended a line
        rest = b"".join(self._pending)
        return [*events, *_events(rest)] if rest.endswith(b"\n") else events

    def _ends_in_return(self, index: int) -> bool:
        return len(self._pending) >= -index and self._pending[index].endswith(b"\r")


def _events(block: bytes) -> list[ServerEvent]:
    """The events of some whole lines, which blank lines divide."""
    events = []
    for text in block.decode("utf-8", "replace").split("\n\n"):
        if text.startswith("data: ") and "\n" not in text:  # as most servers spell it
            events.append(ServerEvent("message", text[6:]))
        elif (event := _event(text)) is not None:
            events.append(event)
    return events


def _event(text: str) -> ServerEvent | None:
    """The event that the lines make; None if they hold no data."""
    head, found, line = text.partition("\ndata: ")
    if found and head.startswith("event: ") and "\n" not in head and "\n" not in line:  # as the others do
        return ServerEvent(head[7:] or "message", line)
    kind, data = "", []
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif name == "event":
            kind = value.removeprefix(" ")
    return ServerEvent(kind or "message", "\n".join(data)) if data else None
