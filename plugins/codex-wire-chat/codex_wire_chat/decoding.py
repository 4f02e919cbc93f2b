"""The chunks of a Chat Completions stream (API reference, "Streaming")."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codex_host.errors import ModelError
from codex_host.items import (
    AssistantMessage,
    Completed,
    ItemDone,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    Usage,
)
from codex_host.parts import Decoder
from codex_host.server_errors import from_stream
from codex_wire_chat.held_text import HeldText
from codex_wire_chat.tool_calls import ToolCalls
from codex_wire_chat.written_calls import written_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codex_host.items import ModelEvent, Request
    from codex_host.parts import ServerEvent

__all__ = ["ChatDecoder"]


_raw_decode = json.JSONDecoder().raw_decode  # without the search for blanks around, which costs as much again


class ChatDecoder(Decoder):
    """Decodes one reply. Its items come at its end, which is the only sign that the last one is whole.

    With the `request`, calls of its tools that come as text are told from text.
    """

    def __init__(self, request: Request | None = None) -> None:
        self._tools = {tool.name: tool for tool in request.tools} if request else {}
        self._reply_id = ""
        self._text: list[str] = []
        self._held = HeldText(self._tools)
        self._thought: list[str] = []
        items = request.items if request else ()
        self._calls = ToolCalls(frozenset(item.call_id for item in items if isinstance(item, ToolCall)))
        self._finish: str | None = None
        self._usage = Usage()

    def feed(self, event: ServerEvent) -> list[ModelEvent]:
        """What a chunk says; `[DONE]` ends the reply."""
        if event.data.startswith("[") and event.data.strip() == "[DONE]":
            return self._complete()
        data = _parsed(event.data)
        if self._reply_id and (text := _text_alone(data)):
            return self._texts(text)  # nearly every chunk, so that this is done first
        _raise_error(event.event, data)
        if usage := data.get("usage"):
            self._usage = _counted(_object(usage))
        choices = data.get("choices")
        if identity := data.get("id"):
            self._reply_id = str(identity)
        if not isinstance(choices, list) or not choices:
            return []
        choice = _object(choices[0])
        if finish := choice.get("finish_reason"):
            self._finish = str(finish)
        return self._delta(_object(choice.get("delta", choice.get("message"))))

    def end(self) -> list[ModelEvent]:
        """Not every server sends `[DONE]`; one that gave a finish reason has said everything."""
        if self._finish is None:
            raise ModelError("the stream ended before the reply was complete", kind="stream")
        return self._complete()

    def _delta(self, delta: Mapping[str, Any]) -> list[ModelEvent]:
        text, thought = _said(delta.get("content") or delta.get("refusal"))
        thought += _said(delta.get("reasoning_content") or delta.get("reasoning"))[0]
        events: list[ModelEvent] = []
        if thought:
            self._thought.append(thought)
            events.append(ReasoningDelta(thought))
        if text:
            events += self._texts(text)
        fragments = delta.get("tool_calls")
        for fragment in fragments if isinstance(fragments, list) else ():
            self._calls.feed(_object(fragment))
        return events

    def _texts(self, text: str) -> list[ModelEvent]:
        self._text.append(text)
        shown = self._held.feed(text)
        return [TextDelta(shown)] if shown else []

    def _complete(self) -> list[ModelEvent]:
        if self._finish == "content_filter":
            raise ModelError("the provider's content filter stopped the reply", kind="request")
        if self._finish == "error":
            raise from_stream({"message": "it gave up without saying why"})
        events: list[ModelEvent] = []
        if self._thought:
            events.append(ItemDone(Reasoning(("".join(self._thought),))))
        events += self._message()
        events += [ItemDone(call) for call in self._calls.finished(self._reply_id)]
        return [*events, Completed(None, self._usage, cut=self._finish == "length")]

    def _message(self) -> list[ModelEvent]:
        """What the text says, without the calls in it, and what of it has not been shown yet."""
        text, held = "".join(self._text), self._held.rest
        before = text.removesuffix(held)
        written = written_calls(before, held, self._tools) if held and not self._calls else None
        if written is not None:
            held = written.prose
            text = before + held if (before + held).strip() else ""
            for number, (name, arguments) in enumerate(written.calls):
                self._calls.feed({"index": number, "function": {"name": name, "arguments": arguments}})
        events: list[ModelEvent] = [TextDelta(held)] if held and text else []
        return [*events, ItemDone(AssistantMessage(text))] if text else events


def _parsed(data: str) -> Mapping[str, Any]:
    """The chunk; empty for what is no JSON object.

    Raises ModelError for an object that is broken: what it said would be missing in the middle of the reply.
    """
    try:
        value, end = _raw_decode(data)
        return _object(value if end == len(data) else json.loads(data))
    except (ValueError, RecursionError):
        if data.lstrip().startswith("{"):
            raise ModelError(f"the stream is damaged: {data[:100]}", kind="stream") from None
        return {}


def _text_alone(data: Mapping[str, Any]) -> str | None:
    """The text of a chunk that says nothing else; None for every other chunk."""
    try:
        choice = data["choices"][0]
        delta = choice["delta"]
        text = delta["content"]
    except (KeyError, IndexError, TypeError):
        return None
    if len(delta) > 1 or type(text) is not str or choice.get("finish_reason") or "error" in data or data.get("usage"):
        return None
    return text


def _raise_error(event: str, data: Mapping[str, Any]) -> None:
    """Raise ModelError for a chunk that reports a failure: `error` beside or in place of the choices."""
    error = data.get("error") or (data if event == "error" or data.get("object") == "error" else None)
    if error:
        raise from_stream(_object(error) or {"message": str(error)})


def _said(content: object) -> tuple[str, str]:
    """The text and the reasoning in a `content`.

    It is a text, null, or a list of parts, among which Mistral has `thinking`.
    """
    if isinstance(content, str):
        return content, ""
    parts = [_object(part) for part in content] if isinstance(content, list) else []
    texts = (part.get("text") for part in parts)
    thoughts = (_said(part["thinking"])[0] for part in parts if "thinking" in part)
    return "".join(_strings(texts)), "".join(thoughts)


def _strings(values: Iterator[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _counted(usage: Mapping[str, Any]) -> Usage:
    cached = _object(usage.get("prompt_tokens_details")).get("cached_tokens")
    reasoning = _object(usage.get("completion_tokens_details")).get("reasoning_tokens")
    counts = (usage.get("prompt_tokens"), cached, usage.get("completion_tokens"), reasoning)
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}
