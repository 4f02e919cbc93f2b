"""Text that comes in pieces, shown as it comes."""

from __future__ import annotations

from collections.abc import Callable

from codex_host.text import neutralise

__all__ = ["LiveText", "Pieces"]


class Pieces:
    """Neutralises a text that comes in pieces, with the same outcome as if it came whole.

    What a terminal would obey can be cut in two, so the last line waits from its first escape character on, and a
    carriage return for what follows it.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take in a piece; what may be shown by now."""
        text = self._held + piece
        escape = text.find("\x1b", text.rfind("\n") + 1)
        end = len(text) if escape < 0 else escape
        end -= text.endswith("\r", 0, end)
        self._held = text[end:]
        return neutralise(text[:end])

    def end(self) -> str:
        """What was held back, once nothing follows."""
        text, self._held = self._held, ""
        return neutralise(text)


class LiveText:
    """Messages that grow on the screen, one at a time, each under its label and each shown once.

    `write` puts text on the screen as it is.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._pieces = Pieces()
        self._label = ""
        self._line_begun = False
        self._shown: set[str] = set()

    def grow(self, label: str, painted: str, piece: str) -> None:
        """Show a further piece of the message under this label; `painted` is the label as it is printed."""
        if label != self._label:
            self.close()
            self._label = label
            self._shown.add(label)
            self._put(f"{painted}: ")
            piece = piece.lstrip("\n")
        self._say(self._pieces.feed(piece))

    def finish(self, label: str) -> bool:
        """The message under this label is complete; whether it has been shown, so that it need not be repeated."""
        if label == self._label:
            self.close()
        was_shown = label in self._shown
        self._shown.discard(label)
        return was_shown

    def discard(self) -> bool:
        """What has not been finished is void; whether that is anything."""
        self.close()
        was_shown = bool(self._shown)
        self._shown.clear()
        return was_shown

    def close(self) -> None:
        """End the line, since something else is to be shown."""
        if self._label:
            self._label = ""
            self._say(self._pieces.end())
            if self._line_begun:
                self._put("\n")

    def _say(self, text: str) -> None:
        """Put a piece on the screen, each further line indented, so that it cannot pass for one of ours."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self._put("\n")
            if line:
                self._put(line if self._line_begun else f"  {line}")

    def _put(self, text: str) -> None:
        if text:
            self._write(text)
            self._line_begun = not text.endswith("\n")
