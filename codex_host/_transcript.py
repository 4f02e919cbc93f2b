"""What was said in a session, and how much of it the next request repeats: a fold over the session's records."""

from __future__ import annotations

from collections.abc import Sequence

from codex_host.items import Item, ToolCall, ToolOutput, Usage
from codex_host.records import ItemAdded, Record, ReplyCompleted

__all__ = ["Transcript"]


class Transcript:
    """The conversation so far. It changes only by `apply`, so that a log read again gives the same."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.usage = Usage()
        self._previous: str | None = None
        self._told = 0
        self._open: dict[str, ToolCall] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Take in what the log now holds."""
        for record in records:
            match record:
                case ItemAdded(item):
                    self.items.append(item)
                    self._note(item)
                case ReplyCompleted(response_id, usage):
                    self.usage = self.usage + usage
                    self._previous, self._told = response_id, len(self.items)
                case _:
                    pass

    def _note(self, item: Item) -> None:
        match item:
            case ToolCall(call_id):
                self._open[call_id] = item
            case ToolOutput(call_id):
                self._open.pop(call_id, None)
            case _:
                pass

    def open_calls(self) -> tuple[ToolCall, ...]:
        """The calls without an output; a server rejects a request that leaves one open."""
        return tuple(self._open.values())

    def to_send(self, *, remembered: bool) -> tuple[tuple[Item, ...], str | None]:
        """The items of the next request, and the reply that they continue.

        With `remembered` (the server keeps the conversation) that is what came after the last complete reply, if it
        had a name; else everything, continuing nothing.
        """
        if remembered and self._previous is not None:
            return tuple(self.items[self._told :]), self._previous
        return tuple(self.items), None
