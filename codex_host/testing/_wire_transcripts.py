"""Recorded replies and what a decoder makes of them; authors import them from `wire_api`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codex_host._server_events import ServerEventParser
from codex_host.items import Completed, Item, ItemDone, ModelEvent, Request, Text, ToolSpec, UserMessage
from codex_host.parts import Decoder, ServerEvent


@dataclass(frozen=True, slots=True)
class WireTranscript:
    """A recorded reply: `stream` as the server sent it, and what must come out of it.

    `name` is the test case's. `completed` has the response's id and the usage. `tools` are those that the request
    offered, for wires whose decoder asks for them.
    """

    name: str
    stream: bytes
    items: tuple[Item, ...]
    completed: Completed
    tools: tuple[ToolSpec, ...] = ()

    @property
    def request(self) -> Request:
        """The request that this was the reply to."""
        return Request("a-model", "", (UserMessage((Text("What is in a.txt?"),)),), self.tools)


def server_events(stream: bytes) -> list[ServerEvent]:
    """The events of a whole stream, taken apart as the host does it."""
    parser = ServerEventParser()
    return [*parser.feed(stream), *parser.end()]


def decoded(decoder: Decoder, events: Sequence[ServerEvent]) -> list[ModelEvent]:
    """What a decoder makes of a reply that ends after these events; it is asked as the host asks it."""
    said: list[ModelEvent] = []
    for event in events:
        said.extend(decoder.feed(event))
        if any(isinstance(each, Completed) for each in said):
            return said
    return [*said, *decoder.end()]


def finished_items(said: Sequence[ModelEvent]) -> list[Item]:
    """The items that are complete, in order."""
    return [event.item for event in said if isinstance(event, ItemDone)]


def objects_in(value: Any) -> Iterator[Any]:
    """The value and all that is in it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for each in inside:
        yield from objects_in(each)


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a JSON value, keys left out."""
    return (each for each in objects_in(value) if isinstance(each, str))
