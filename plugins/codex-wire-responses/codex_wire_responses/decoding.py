"""The events of a Responses stream (API reference, "Streaming events")."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from codex_host.errors import ModelError
from codex_host.items import (
    AssistantMessage,
    Completed,
    ItemDone,
    Opaque,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    Usage,
)
from codex_host.parts import Decoder
from codex_host.server_errors import from_stream
from codex_wire_responses.encoding import OPAQUE

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from codex_host.items import ModelEvent, Request
    from codex_host.parts import ServerEvent

__all__ = ["ResponsesDecoder"]

_Item = AssistantMessage | Reasoning | ToolCall | Opaque
_TEXT = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


_raw_decode = json.JSONDecoder().raw_decode  # without the search for blanks around, which costs as much again


class ResponsesDecoder(Decoder):
    """Decodes one reply. The items count; the deltas are only shown, unless no item comes for them.

    With the `request`, a server that does not keep the conversation as it was told to is noticed.
    """

    def __init__(self, request: Request | None = None) -> None:
        self._previous = request.previous if request else None
        self._seen: Counter[Hashable] = Counter()
        self._call_ids: set[str] = set()
        self._named: set[Hashable] = set()
        self._text: list[str] = []

    def feed(self, event: ServerEvent) -> list[ModelEvent]:
        """What an event says; those of other types, and data that is no JSON object, say nothing."""
        try:
            data, end = _raw_decode(event.data)
            data = data if end == len(event.data) else json.loads(event.data)
        except (ValueError, RecursionError):
            return []
        if not isinstance(data, dict):
            return []
        # Some servers leave out the `event:` line, a few the `type` in the data.
        kind = data.get("type") or event.event
        if kind in _TEXT:
            return self._text_delta(data.get("delta"))
        if kind in _THOUGHT:
            return _reasoning_delta(data.get("delta"))
        return self._rarer(kind, data)

    def _rarer(self, kind: str, data: Mapping[str, Any]) -> list[ModelEvent]:
        """The events that come a few times in a reply."""
        match kind:
            case "response.created":
                return self._begin(_object(data.get("response")))
            case "response.reasoning_summary_part.added" if data.get("summary_index"):
                return [ReasoningDelta("\n\n")]
            case "response.output_item.done":
                return self._item(_object(data.get("item")))
            case "response.completed" | "response.incomplete" | "response.failed":
                return self._complete(kind, _object(data.get("response")))
            case "error":
                raise from_stream(_object(data.get("error")) or data)
            case "message" if data.get("error"):  # a gateway that gave up, in no type of its own
                raise from_stream(_object(data["error"]) or {"message": data["error"]})
            case _:
                return []

    def end(self) -> list[ModelEvent]:
        """A stream without its last event is not whole."""
        raise ModelError("the stream ended before the reply was complete", kind="stream")

    def _begin(self, response: Mapping[str, Any]) -> list[ModelEvent]:
        """A server repeats the request's settings: if it names no reply that it goes on from, it has forgotten it."""
        if self._previous is not None and "model" in response and response.get("previous_response_id") is None:
            raise ModelError("the server does not keep the conversation", kind="forgotten")
        return []

    def _text_delta(self, delta: object) -> list[ModelEvent]:
        if not isinstance(delta, str) or not delta:
            return []
        self._text.append(delta)
        return [TextDelta(delta)]

    def _item(self, data: Mapping[str, Any]) -> list[ModelEvent]:
        """An item as it came; nothing if a server says it again, under the same id."""
        item = _decoded(data)
        named = (data.get("id"), item)
        if item is None or (data.get("id") and named in self._named):
            return []
        self._named.add(named)
        return [self._done(item)]

    def _done(self, item: _Item) -> ItemDone:
        """An item is whole; a call whose id is empty or another's gets one of its own, to be answered by."""
        self._seen[_key(item)] += 1
        match item:
            case AssistantMessage():
                self._text.clear()
            case ToolCall(call_id, name, arguments):
                if not call_id or call_id in self._call_ids:
                    item = ToolCall(f"{call_id or 'call'}-{len(self._call_ids) + 1}", name, arguments)
                self._call_ids.add(item.call_id)
            case Reasoning() | Opaque():
                pass
        return ItemDone(item)

    def _missing(self, output: object) -> list[ModelEvent]:
        """The items of a whole response that have not come by themselves."""
        events: list[ModelEvent] = []
        left = self._seen.copy()
        for data in _list(output):
            item = _decoded(_object(data))
            if item is None:
                continue
            if left[_key(item)]:
                left[_key(item)] -= 1
            else:
                events.append(self._done(item))
        return events

    def _complete(self, kind: str, response: Mapping[str, Any]) -> list[ModelEvent]:
        """The end of the reply, with the items that have not come by themselves."""
        error = _object(response.get("error"))
        if kind == "response.failed" or error:
            raise from_stream(error)
        cut = kind == "response.incomplete" or response.get("status") == "incomplete"
        if cut and _object(response.get("incomplete_details")).get("reason") == "content_filter":
            raise ModelError("the provider's content filter stopped the reply", kind="request")
        events = self._missing(response.get("output"))
        if self._text:  # deltas were all there was of the message
            events.append(ItemDone(AssistantMessage("".join(self._text))))
        response_id = (response.get("id") or None) if _is_kept(response) else None
        return [*events, Completed(response_id, _usage(response.get("usage")), cut)]


def _is_kept(response: Mapping[str, Any]) -> bool:
    """Whether the server keeps the reply, which some do not although they were told to.

    One that keeps replies says which one each goes on from, null for none, where it repeats the request's settings.
    """
    return response.get("store") is not False and ("model" not in response or "previous_response_id" in response)


def _reasoning_delta(delta: object) -> list[ModelEvent]:
    return [ReasoningDelta(delta)] if isinstance(delta, str) and delta else []


def _decoded(data: Mapping[str, Any]) -> _Item | None:
    """An output item in the host's terms; None for one that says nothing."""
    match data.get("type"):
        case "message":
            text = "".join(_texts(data.get("content")))
            return AssistantMessage(text) if text else None
        case "reasoning":
            # Open models show the reasoning itself, where OpenAI's show a summary.
            shown = _texts(data.get("summary")) or _texts(data.get("content"))
            encrypted = data.get("encrypted_content") or None
            return Reasoning(tuple(shown), data.get("id") or None, encrypted) if shown or encrypted else None
        case "function_call":
            call_id = data.get("call_id") or data.get("id") or ""
            return ToolCall(str(call_id), str(data.get("name") or ""), _arguments(data.get("arguments")))
        case str():  # the next item may not be understood without it
            return Opaque(OPAQUE, json.dumps(data))
        case _:
            return None


def _key(item: _Item) -> Hashable:
    """What makes two items the same. Gateways give items new ids on the way, so only a call's counts."""
    match item:
        case AssistantMessage(text):
            return ("message", text)
        case Reasoning(summary, _, encrypted):
            return ("reasoning", summary or encrypted)
        case ToolCall(call_id):
            return ("call", call_id)
        case Opaque(_, data):
            return ("opaque", json.loads(data)["type"])


def _arguments(value: object) -> str:
    """Arguments are a text; a server that sends the object itself means the same."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _texts(parts: object) -> list[str]:
    """The texts that are not empty in `output_text`, `refusal`, `summary_text` and `reasoning_text` parts."""
    found = (part.get("text") or part.get("refusal") for part in _list(parts) if isinstance(part, dict))
    return [text for text in found if isinstance(text, str) and text]


def _usage(value: object) -> Usage:
    usage = _object(value)
    cached = _object(usage.get("input_tokens_details")).get("cached_tokens")
    reasoning = _object(usage.get("output_tokens_details")).get("reasoning_tokens")
    counts = (usage.get("input_tokens"), cached, usage.get("output_tokens"), reasoning)
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
