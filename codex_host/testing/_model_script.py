"""What a scripted model server is told to answer, and how a JSON file says it.

Everything here is data. `model_server` makes these names public and documents the JSON form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from codex_host.items import Usage


@dataclass(frozen=True, slots=True)
class Say:
    """Assistant text, sent in `deltas` pieces of about equal length (at most one per character)."""

    text: str
    deltas: int = 3


@dataclass(frozen=True, slots=True)
class Think:
    """A reasoning summary; `encrypted` goes along as `encrypted_content`, on the Responses wire only."""

    summary: str
    deltas: int = 2
    encrypted: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """The model asks for a tool; a string as `arguments` is sent as it is, even if it is not JSON.

    `call_id` None makes an id that no other call has.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The server gives up and says so, as the last event: `response.failed`, or a chunk with `error`."""

    code: str
    message: str = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True)
class Garbage:
    """A `data:` line that is no JSON. It comes where it stands, or after that many events of the stream."""

    text: str = "{this is not JSON"
    after_events: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream breaks off where this stands, or after that many events.

    The connection is closed in the middle of the body; with `clean` the body ends as HTTP demands and only
    the wire's own end is missing. The part before it is sent whole: a break inside an item takes a count.
    Alone in a script: the connection is closed without any answer.
    """

    after_events: int | None = None
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence from where this stands, or after that many events, until either side hangs up.

    Alone in a script: not even a status line is sent.
    """

    after_events: int | None = None


Fault = Garbage | Cut | Stall
Part = Say | Think | Call | Fail | Fault


@dataclass(frozen=True, init=False, slots=True)
class Reply:
    """One streamed answer: its parts in order.

    `usage` None means that the server counts no tokens. `finish` is chat's `finish_reason`; None is
    "tool_calls" if there is a call, else "stop". On the Responses wire "length" and "content_filter" make
    the response incomplete.
    """

    parts: tuple[Part, ...]
    usage: Usage | None
    finish: str | None

    def __init__(
        self, *parts: Part, usage: Usage | None = Usage(input=100, output=20), finish: str | None = None
    ) -> None:
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "usage", usage)
        object.__setattr__(self, "finish", finish)


@dataclass(frozen=True, slots=True)
class Status:
    """An answer without a stream; `body` None is an error as OpenAI words it, a mapping is sent as JSON."""

    code: int
    body: Mapping[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """Exactly this body, to play what a real server once sent; lines in a sequence get their ends here."""

    body: bytes | str | Sequence[str]
    content_type: str = "text/event-stream"
    code: int = 200


@dataclass(frozen=True, slots=True)
class Framing:
    """How real servers differ in spelling the same reply.

    `done`: chat ends with `[DONE]`. `event_lines`: None as OpenAI does it, on the Responses wire only.
    `fragments`: how many pieces a call's arguments come in, 1 for the whole call at once. `usage`: chat's
    token counts when the request asks for them, always, never, or inside the chunk with the finish reason.
    `reasoning_field`: where chat puts reasoning, "reasoning_content" or "reasoning". `line_end`: of every
    line.
    """

    done: bool = True
    event_lines: bool | None = None
    fragments: int = 3
    usage: Literal["asked", "always", "never", "with-finish"] = "asked"
    reasoning_field: str = "reasoning_content"
    line_end: str = "\n"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: `headers` by lower-case names, `body` the parsed JSON, None if there was none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    def _items(self) -> list[Mapping[str, Any]]:
        """The conversation in the request, in whichever wire's form."""
        body = self.body if isinstance(self.body, dict) else {}
        items = body.get("messages") or body.get("input") or ()
        if isinstance(items, str):
            return [{"role": "user", "content": items}]
        return [item for item in items if isinstance(item, dict)]

    @property
    def user_texts(self) -> list[str]:
        """What the user said in this request, on either wire."""
        return [_text(item.get("content")) for item in self._items() if item.get("role") == "user"]

    @property
    def tool_outputs(self) -> dict[str, str]:
        """What the tools answered in this request, by the call's id, on either wire."""
        outputs = {}
        for item in self._items():
            if item.get("type") == "function_call_output":
                outputs[str(item.get("call_id"))] = _text(item.get("output"))
            elif item.get("role") == "tool":
                outputs[str(item.get("tool_call_id"))] = _text(item.get("content"))
        return outputs

    @property
    def tool_names(self) -> list[str]:
        """The tools that this request offers, on either wire."""
        tools = (self.body.get("tools") or ()) if isinstance(self.body, dict) else ()
        return [str(tool.get("function", tool).get("name")) for tool in tools]


def _text(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part.get("text", "") for part in parts if isinstance(part, dict))


Answer = Reply | Status | Raw | Cut | Stall
Step = Answer | Callable[[Received], Answer]
"""One entry of a script: an answer, or what makes one out of the request."""

_PARTS: Mapping[str, Callable[..., Part]] = {
    "say": Say, "think": Think, "call": Call, "fail": Fail, "garbage": Garbage, "cut": Cut, "stall": Stall,
}  # fmt: skip


def part_from_json(value: Mapping[str, Any]) -> Part:
    """Read one part of a reply; ValueError says what is wrong with it."""
    part: Part = _build(_PARTS, value)
    return part


def answer_from_json(value: Mapping[str, Any]) -> Answer:
    """Read one entry of a script; ValueError says what is wrong with it."""
    answer: Answer = _build(_ANSWERS, value)
    return answer


def _reply_from_json(parts: Sequence[Mapping[str, Any]], **fields: Any) -> Reply:
    """Read a reply's parts and tokens, which are objects themselves."""
    if fields.get("usage"):
        fields["usage"] = Usage(**fields["usage"])
    return Reply(*map(part_from_json, parts), **fields)


def _build(kinds: Mapping[str, Callable[..., Any]], value: Mapping[str, Any]) -> Any:
    """Make the object that `value` names; the naming key holds the first field, further keys the others."""
    kind = next((key for key in value if key in kinds), None)
    if kind is None:
        raise ValueError(f"{dict(value)} names none of {', '.join(kinds)}")
    rest = {key: content for key, content in value.items() if key != kind}
    first = value[kind]
    if isinstance(first, str):
        first *= rest.pop("times", 1)
    try:
        return kinds[kind](*() if first is None else (first,), **rest)
    except TypeError as error:
        raise ValueError(f"{dict(value)}: {error}") from None


_ANSWERS: Mapping[str, Callable[..., Answer]] = {
    "reply": _reply_from_json, "status": Status, "raw": Raw, "cut": Cut, "stall": Stall,
}  # fmt: skip
