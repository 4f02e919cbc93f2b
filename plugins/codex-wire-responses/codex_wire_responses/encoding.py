"""A request as the JSON body of `POST /responses`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from codex_host.items import (
    AssistantMessage,
    Image,
    Item,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    ToolOutput,
    ToolResult,
    ToolSpec,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_host.items import Content, Request

__all__ = ["OPAQUE", "body"]

OPAQUE = "responses"
"""How this wire marks the items that only it can send back."""
_REASONS = re.compile(r"(?:.*/)?(?:o\d|codex|gpt-5(?!.*chat))")
"""The models that take `reasoning`, by their names; a gateway may put its own name for the maker before them."""
_DEFAULTS = {"effort": "high", "summary": "auto"}
"""What the original sends."""


def body(request: Request) -> dict[str, Any]:
    """The whole body (API reference, "Create a model response")."""
    fields: dict[str, Any] = {"model": request.model}
    if request.instructions:
        fields["instructions"] = request.instructions
    fields["input"] = [encoded for item in request.items if (encoded := _item(item)) is not None]
    if request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
        fields["tool_choice"] = "auto"
        fields["parallel_tool_calls"] = False
    reasoning = _reasoning(request)
    if reasoning:
        fields["reasoning"] = reasoning
        if not request.store:
            # A server that keeps nothing can only go on thinking from what it is given back.
            fields["include"] = ["reasoning.encrypted_content"]
    if request.previous is not None:
        fields["previous_response_id"] = request.previous
    return {**fields, "store": request.store, "stream": True}


def _reasoning(request: Request) -> dict[str, str]:
    """The `reasoning` object; empty for models that take none, which answer 400 to it."""
    settings = {"effort": request.reasoning_effort, "summary": request.reasoning_summary}
    defaults = _DEFAULTS if _REASONS.match(request.model) else {}
    chosen = {name: value or defaults.get(name) for name, value in settings.items()}
    return {name: value for name, value in chosen.items() if value is not None and value != "none"}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "strict": False,
        "parameters": dict(tool.parameters),
    }


def _item(item: Item) -> dict[str, Any] | None:
    """One element of `input`, or None for what must not go back."""
    match item:
        case UserMessage(content):
            return {"type": "message", "role": "user", "content": _content(content)}
        case AssistantMessage(text):
            return {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text}],
            }
        case Reasoning():
            return _thought(item)
        case ToolCall(call_id, name, arguments):
            return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments or "{}"}
        case ToolOutput(call_id, result):
            return {"type": "function_call_output", "call_id": call_id, "output": _output(result)}
        case Opaque(wire, data):
            return json.loads(data) if wire == OPAQUE else None


def _thought(item: Reasoning) -> dict[str, Any] | None:
    """Reasoning goes back only with its encrypted content: an id means nothing to a server that forgot it."""
    if item.encrypted is None:
        return None
    summary = [{"type": "summary_text", "text": text} for text in item.summary]
    named = {"type": "reasoning"} if item.id is None else {"type": "reasoning", "id": item.id}
    return {**named, "summary": summary, "encrypted_content": item.encrypted}


def _content(pieces: Sequence[Content]) -> list[dict[str, str]]:
    return [_piece(piece) for piece in pieces]


def _piece(piece: Content) -> dict[str, str]:
    match piece:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Image(url):
            return {"type": "input_image", "image_url": url}


def _output(result: ToolResult) -> str | list[dict[str, str]]:
    """Plain text where that is enough, since not every server takes a list."""
    if not result.images:
        return result.text
    return _content((Text(result.text), *result.images))
