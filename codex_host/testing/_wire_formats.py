"""A scripted reply as the server-sent events of each wire.

A stream here is an iterator of records (the text of one event, blank line included), with `Cut` and `Stall`
where the server must break off. It is consumed lazily, and what lies behind a break is never reached: so a
reply that was cut off is not remembered by the server either.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from ._model_script import Call, Cut, Fail, Fault, Framing, Garbage, Received, Reply, Say, Stall, Think

NewId = Callable[[str], str]
"""Makes an id that begins with the given word and that no other has."""
Remember = Callable[[str, list[Any]], None]
"""Told a response's id and output items before the client can learn that it is complete."""

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def as_json(value: Any) -> str:
    """The compact form that servers send; pure ASCII, so that characters and bytes count the same."""
    return json.dumps(value, separators=(",", ":"))


def _members(fields: dict[str, Any]) -> str:
    """The inside of a JSON object."""
    return as_json(fields)[1:-1]


def _pieces(text: str, count: int) -> Iterator[str]:
    """Cut `text` into `count` pieces, fewer if it is too short; an empty text is one empty piece."""
    count = max(1, min(count, len(text)))
    return (text[n * len(text) // count : (n + 1) * len(text) // count] for n in range(count))


def _arguments(call: Call) -> str:
    """A call's arguments as the model wrote them."""
    return call.arguments if isinstance(call.arguments, str) else as_json(call.arguments)


def with_faults(reply: Reply, records: Iterator[str | Fault]) -> Iterator[str | Cut | Stall]:
    """Put the faults that count events where they belong; those beyond the end come at the end."""
    waiting = [part for part in reply.parts if isinstance(part, Fault) and part.after_events is not None]
    waiting.sort(key=lambda fault: fault.after_events or 0)
    for sent, record in enumerate(records):
        while waiting and waiting[0].after_events == sent:
            yield _spelled(waiting.pop(0))
        yield _spelled(record)
    yield from map(_spelled, waiting)


def _spelled(record: str | Fault) -> str | Cut | Stall:
    """A record as it is, garbage as a record, a break as it is."""
    return f"data: {record.text}\n\n" if isinstance(record, Garbage) else record


class ResponsesStream:
    """One reply on the Responses wire."""

    def __init__(self, request: Received, reply: Reply, framing: Framing, new_id: NewId, remember: Remember) -> None:
        self._reply = reply
        self._framing = framing
        self._new_id = new_id
        self._remember = remember
        self._event_lines = framing.event_lines is not False
        self._sequence = 0
        self._output: list[dict[str, Any]] = []
        self._head = {
            "id": new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "model": request.body.get("model"),
            "previous_response_id": request.body.get("previous_response_id"),
        }

    def records(self) -> Iterator[str | Fault]:
        """The whole stream, from `response.created` to the event that ends it."""
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))
        for part in self._reply.parts:
            match part:
                case Say():
                    yield from self._say(part)
                case Think():
                    yield from self._think(part)
                case Call():
                    yield from self._call(part)
                case Fail():
                    error = {"code": part.code, "message": part.message}
                    yield self._event("response.failed", response=self._response("failed", error=error))
                    return
                case _ if part.after_events is None:
                    yield part
        self._remember(str(self._head["id"]), self._output)
        yield self._last()

    def _last(self) -> str:
        usage, reason = self._reply.usage, _INCOMPLETE.get(self._reply.finish or "")
        tokens = usage and {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached_input},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        }
        status = "incomplete" if reason else "completed"
        details = {"reason": reason} if reason else None
        response = self._response(status, output=self._output, usage=tokens, incomplete_details=details)
        return self._event(f"response.{status}", response=response)

    def _response(self, status: str, **changes: Any) -> dict[str, Any]:
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "usage": None,
            **changes,
        }

    def _record(self, kind: str, members: str) -> str:
        name = f"event: {kind}\n" if self._event_lines else ""
        number = self._sequence
        self._sequence += 1
        return f'{name}data: {{"type":"{kind}","sequence_number":{number},{members}}}\n\n'

    def _event(self, kind: str, **fields: Any) -> str:
        return self._record(kind, _members(fields))

    def _deltas(self, kind: str, text: str, count: int, place: dict[str, Any]) -> Iterator[str]:
        """Many events that differ in one string: written without building an object for each."""
        members = _members(place)
        for piece in _pieces(text, count):
            yield self._record(kind, f'{members},"delta":{json.dumps(piece)}')

    def _item(self, item: dict[str, Any], unfinished: dict[str, Any], inside: Iterator[str]) -> Iterator[str]:
        """The frame around what happens inside one item."""
        index = len(self._output)
        yield self._event("response.output_item.added", output_index=index, item={**item, **unfinished})
        yield from inside
        self._output.append(item)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _say(self, part: Say) -> Iterator[str]:
        content = {"type": "output_text", "text": part.text, "annotations": []}
        item = {
            "type": "message",
            "id": self._new_id("msg"),
            "status": "completed",
            "role": "assistant",
            "content": [content],
        }
        place = {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}
        return self._item(item, {"status": "in_progress", "content": []}, self._text(part, content, place))

    def _text(self, part: Say, content: dict[str, Any], place: dict[str, Any]) -> Iterator[str]:
        yield self._event("response.content_part.added", **place, part={**content, "text": ""})
        yield from self._deltas("response.output_text.delta", part.text, part.deltas, place)
        yield self._event("response.output_text.done", **place, text=part.text)
        yield self._event("response.content_part.done", **place, part=content)

    def _think(self, part: Think) -> Iterator[str]:
        summary = {"type": "summary_text", "text": part.summary}
        item: dict[str, Any] = {"type": "reasoning", "id": self._new_id("rs"), "summary": [summary]}
        if part.encrypted is not None:
            item["encrypted_content"] = part.encrypted
        place = {"item_id": item["id"], "output_index": len(self._output), "summary_index": 0}
        return self._item(item, {"summary": []}, self._summary(part, summary, place))

    def _summary(self, part: Think, summary: dict[str, Any], place: dict[str, Any]) -> Iterator[str]:
        yield self._event("response.reasoning_summary_part.added", **place, part={**summary, "text": ""})
        yield from self._deltas("response.reasoning_summary_text.delta", part.summary, part.deltas, place)
        yield self._event("response.reasoning_summary_text.done", **place, text=part.summary)
        yield self._event("response.reasoning_summary_part.done", **place, part=summary)

    def _call(self, part: Call) -> Iterator[str]:
        item = {
            "type": "function_call",
            "id": self._new_id("fc"),
            "status": "completed",
            "name": part.name,
            "call_id": part.call_id or self._new_id("call"),
            "arguments": _arguments(part),
        }
        place = {"item_id": item["id"], "output_index": len(self._output)}
        unfinished = {"status": "in_progress", "arguments": ""}
        return self._item(item, unfinished, self._written(item["arguments"], place))

    def _written(self, arguments: str, place: dict[str, Any]) -> Iterator[str]:
        kind = "response.function_call_arguments"
        yield from self._deltas(f"{kind}.delta", arguments, self._framing.fragments, place)
        yield self._event(f"{kind}.done", **place, arguments=arguments)


class ChatStream:
    """One reply on the Chat Completions wire."""

    def __init__(self, request: Received, reply: Reply, framing: Framing, new_id: NewId) -> None:
        self._reply = reply
        self._framing = framing
        self._new_id = new_id
        self._calls = 0
        self._name = "event: message\n" if framing.event_lines else ""
        self._asked = bool((request.body.get("stream_options") or {}).get("include_usage"))
        head = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": request.body.get("model"),
        }
        self._head = _members(head)

    def records(self) -> Iterator[str | Fault]:
        """The whole stream, from the chunk that has only a role to `[DONE]`."""
        yield self._delta('{"role":"assistant","content":""}')
        for part in self._reply.parts:
            match part:
                case Say():
                    yield from self._texts("content", part.text, part.deltas)
                case Think():
                    yield from self._texts(self._framing.reasoning_field, part.summary, part.deltas)
                case Call():
                    yield from self._call(part)
                case Fail():
                    error = {"message": part.message, "type": "server_error", "code": part.code}
                    yield f"{self._name}data: {as_json({'error': error})}\n\n"
                    return
                case _ if part.after_events is None:
                    yield part
        yield from self._end()

    def _end(self) -> Iterator[str]:
        finish = self._reply.finish or ("tool_calls" if self._calls else "stop")
        when = self._framing.usage if self._reply.usage else "never"
        together = f',"usage":{self._tokens()}' if when == "with-finish" else ""
        yield self._delta("{}", json.dumps(finish), together)
        if when == "always" or (when == "asked" and self._asked):
            yield f'{self._name}data: {{{self._head},"choices":[],"usage":{self._tokens()}}}\n\n'
        if self._framing.done:
            yield f"{self._name}data: [DONE]\n\n"

    def _tokens(self) -> str:
        usage = self._reply.usage
        return as_json(
            usage
            and {
                "prompt_tokens": usage.input,
                "completion_tokens": usage.output,
                "total_tokens": usage.input + usage.output,
                "prompt_tokens_details": {"cached_tokens": usage.cached_input},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
            }
        )

    def _delta(self, delta: str, finish: str = "null", further: str = "") -> str:
        choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
        return f'{self._name}data: {{{self._head},"choices":[{choice}]{further}}}\n\n'

    def _texts(self, field: str, text: str, count: int) -> Iterator[str]:
        for piece in _pieces(text, count):
            yield self._delta(f'{{"{field}":{json.dumps(piece)}}}')

    def _call(self, part: Call) -> Iterator[str]:
        """The first chunk has id and name; the arguments come with it if they come whole."""
        index, arguments = self._calls, _arguments(part)
        self._calls += 1
        whole = self._framing.fragments <= 1
        function = {"name": part.name, "arguments": arguments if whole else ""}
        call_id = part.call_id or self._new_id("call")
        first = {"index": index, "id": call_id, "type": "function", "function": function}
        yield self._delta(as_json({"tool_calls": [first]}))
        for piece in () if whole else _pieces(arguments, self._framing.fragments):
            yield self._delta(as_json({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
