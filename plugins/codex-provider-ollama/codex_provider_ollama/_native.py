"""Chat Completions as Ollama's own `/api/chat` has it, and back.

See https://github.com/ollama/ollama/blob/main/docs/api.md, "Generate a chat completion". The server translates requests
to its `/v1/chat/completions` in the same way itself, but takes no options there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

__all__ = ["as_chat", "as_events"]


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request for `/api/chat`, yet without a window.

    `truncate` and `shift` tell servers that know them to refuse what does not fit instead of cutting it.
    """
    names = {
        call["id"]: call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or ()
    }
    chat: dict[str, Any] = {"model": body["model"], "stream": True, "truncate": False, "shift": False}
    chat["messages"] = [_message(message, names) for message in body["messages"]]
    if body.get("tools"):
        chat["tools"] = body["tools"]
    effort = body.get("reasoning_effort")
    if effort is not None:
        chat["think"] = False if effort == "none" else "low" if effort == "minimal" else effort
    return chat


def _message(message: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    content = message.get("content") or ""
    told: dict[str, Any] = {"role": message["role"], "content": content}
    if isinstance(content, list):
        told["content"] = "\n".join(piece["text"] for piece in content if piece.get("type") == "text")
        urls = [piece["image_url"]["url"] for piece in content if piece.get("type") == "image_url"]
        told["images"] = [url.partition("base64,")[2] for url in urls]
    if calls := message.get("tool_calls"):
        told["tool_calls"] = [_call(call) for call in calls]
    if message["role"] == "tool":
        told["tool_call_id"] = message["tool_call_id"]
        told["tool_name"] = names.get(message["tool_call_id"], "")
    return told


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {
        "id": call["id"],
        "function": {"name": function["name"], "arguments": json.loads(function["arguments"])},
    }


async def as_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The reply of `/api/chat`, an object a line, as the event stream of Chat Completions."""
    reply = _Reply()
    pending = b""
    async for piece in chunks:
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            yield reply.events(line)
    yield reply.events(pending)


class _Reply:
    """One reply that is being translated."""

    def __init__(self) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._calls = 0

    def events(self, line: bytes) -> bytes:
        """The events of one line; what is no object goes on as it is, for the wire to complain of."""
        if not line.strip():
            return b""
        try:
            data = json.loads(line)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return b"data: " + line.strip() + b"\n\n"
        if "error" in data:
            error = data["error"] if isinstance(data["error"], dict) else {"message": str(data["error"])}
            return _event({"error": error})
        chunk: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "model": data.get("model"),
        }
        chunk["choices"] = [{"index": 0, "delta": self._delta(data.get("message") or {}), "finish_reason": None}]
        if not data.get("done"):
            return _event(chunk)
        reason = data.get("done_reason") or "stop"
        chunk["choices"][0]["finish_reason"] = "tool_calls" if self._calls and reason == "stop" else reason
        if "prompt_eval_count" in data or "eval_count" in data:
            chunk["usage"] = _usage(data)
        return _event(chunk) + b"data: [DONE]\n\n"

    def _delta(self, message: Mapping[str, Any]) -> dict[str, Any]:
        delta = {"role": "assistant", "content": message.get("content") or ""}
        if message.get("thinking"):
            delta["reasoning"] = message["thinking"]
        calls = []
        for call in message.get("tool_calls") or ():  # each is whole
            function = call.get("function") or {}
            arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
            calls.append(
                {
                    "index": self._calls,
                    "id": call.get("id") or "",
                    "type": "function",
                    "function": {"name": function.get("name") or "", "arguments": arguments},
                }
            )
            self._calls += 1
        return {**delta, "tool_calls": calls} if calls else delta


def _usage(data: Mapping[str, Any]) -> dict[str, Any]:
    asked, answered = data.get("prompt_eval_count") or 0, data.get("eval_count") or 0
    cached = {"cached_tokens": data.get("prompt_eval_cached_count") or 0}
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": cached,
    }


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
