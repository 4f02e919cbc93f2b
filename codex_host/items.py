"""What goes to the model and what comes back.

A conversation is a sequence of items: what the user said, what the model said, thought and asked for, and
what its tools answered. Later versions may add kinds of items, which a wire that does not know them leaves
out. A wire API turns items into a request and a stream of server events into model events; nothing else in
the host knows how a provider spells them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from codex_host.errors import ToolError

__all__ = [
    "AssistantMessage",
    "Completed",
    "Content",
    "Effects",
    "Image",
    "Item",
    "ItemDone",
    "Json",
    "ModelEvent",
    "Opaque",
    "Reasoning",
    "ReasoningDelta",
    "Request",
    "Text",
    "TextDelta",
    "ToolCall",
    "ToolOutput",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "UserMessage",
]

Json = Mapping[str, Any]
"""A JSON object on its way to or from a wire; it crosses no other border."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message or a tool's answer; `url` is a `data:` URL, so that it needs no second look-up."""

    url: str


Content = Text | Image


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the user sent, in order; at least one piece."""

    content: tuple[Content, ...]

    @property
    def text(self) -> str:
        """The message's text alone, its pieces joined by newlines."""
        return "\n".join(piece.text for piece in self.content if isinstance(piece, Text))


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the model said to the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model showed of its thinking.

    `id` and `encrypted` go back unchanged to a server that keeps no conversation, if it gave them; None otherwise.
    """

    summary: tuple[str, ...]
    id: str | None = None
    encrypted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; `arguments` is the text it wrote, which may not be valid JSON."""

    call_id: str
    name: str
    arguments: str

    def decoded(self) -> Json:
        """The arguments as a JSON object. Raises ToolError, worded for the model, if they are none."""
        try:
            data = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise ToolError(f"the arguments of {self.name} are not valid JSON: {error}") from None
        if not isinstance(data, dict):
            raise ToolError(f"the arguments of {self.name} must be a JSON object, not {type(data).__name__}")
        return data


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answers; `success` is for watchers and wires that can say it, the model reads the text."""

    text: str
    success: bool = True
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The answer to one call. Every call gets exactly one, else the server rejects the next request."""

    call_id: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Opaque:
    """An item of the reply that the host knows nothing of, which goes back to the server as it came.

    `wire` names the wire API that can spell it, all others leave it out; `data` is its JSON text.
    """

    wire: str
    data: str


Item = UserMessage | AssistantMessage | Reasoning | ToolCall | ToolOutput | Opaque


class Effects(Enum):
    """What a tool touches, which decides how the host watches over it."""

    NONE = "none"
    """Nothing outside the conversation (a plan, a question to the user): it runs as it is."""
    ACTIONS = "actions"
    """Only what it does through `Workbench.perform`, where each action is reviewed by itself."""
    OUTSIDE = "outside"
    """Something the host cannot see (a server, a network): the whole call is reviewed before it runs."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What the model is told of a tool, and what the host must know to run it.

    `parameters` is a JSON Schema of an object and is sent unchanged. `concurrent` says that calls of this tool may
    run beside each other; actions run one at a time all the same.
    """

    name: str
    description: str
    parameters: Json
    effects: Effects = Effects.OUTSIDE
    concurrent: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, or a sum of several. `cached_input` is part of `input`, `reasoning` part of `output`."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.cached_input + other.cached_input,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.input - other.input,
            self.cached_input - other.cached_input,
            self.output - other.output,
            self.reasoning - other.reasoning,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the model, before a wire API spells it.

    `items` is what this request has to repeat: the whole conversation, or only what is new since the reply
    `previous`, if the server keeps the conversation (`WireApi.remembers` and `store`). `reasoning_effort` and
    `reasoning_summary` are what the user configured; None leaves it to the wire, which knows the models that take
    them, and the summary "none" asks for none.
    """

    model: str
    instructions: str
    items: tuple[Item, ...]
    tools: tuple[ToolSpec, ...] = ()
    previous: str | None = None
    store: bool = False
    reasoning_effort: str | None = None
    reasoning_summary: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of the message that the model is writing."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A further piece of the reasoning summary."""

    text: str


@dataclass(frozen=True, slots=True)
class ItemDone:
    """An item of the reply is complete; the deltas before it were its parts and need not be added up."""

    item: AssistantMessage | Reasoning | ToolCall | Opaque


@dataclass(frozen=True, slots=True)
class Completed:
    """The reply is whole. `response_id` names it at a server that keeps conversations, else None.

    `cut` says that the model stopped because it ran out of room, so its last item may end in mid-sentence.
    """

    response_id: str | None = None
    usage: Usage = Usage()
    cut: bool = False


ModelEvent = TextDelta | ReasoningDelta | ItemDone | Completed
