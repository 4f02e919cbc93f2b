"""A request as the JSON body of `POST /chat/completions`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codex_host.items import (
    AssistantMessage,
    Image,
    Item,
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

__all__ = ["body"]


def body(request: Request) -> dict[str, Any]:
    """The whole body (API reference, "Create chat completion"); `store` and `previous` mean nothing here."""
    messages = _Messages()
    if request.instructions:
        messages.add({"role": "system", "content": request.instructions})
    for item in request.items:
        messages.say(item)
    messages.show_images()
    fields: dict[str, Any] = {"model": request.model, "messages": messages.list}
    if request.tools:  # an empty list is an error
        fields["tools"] = [_tool(tool) for tool in request.tools]
    if request.reasoning_effort is not None:
        fields["reasoning_effort"] = request.reasoning_effort
    return {**fields, "stream": True, "stream_options": {"include_usage": True}}


class _Messages:
    """The messages so far. One reply is one assistant message, whatever number of items it had."""

    def __init__(self) -> None:
        self.list: list[dict[str, Any]] = []
        self._images: list[Image] = []

    def add(self, message: dict[str, Any]) -> None:
        self.list.append(message)

    def say(self, item: Item) -> None:
        """Append one item of the conversation."""
        if not isinstance(item, ToolOutput):
            self.show_images()
        match item:
            case UserMessage(content):
                self.add({"role": "user", "content": _content(content)})
            case AssistantMessage(text):
                message = self._reply()
                message["content"] = f"{message['content']}\n\n{text}" if message["content"] else text
            case ToolCall():
                self._reply().setdefault("tool_calls", []).append(_call(item))
            case ToolOutput(call_id, result):
                self._answer(call_id, result)
            case Reasoning():
                pass  # servers of this wire don't take it back

    def show_images(self) -> None:
        """Show the tools' pictures as the user's, after the last tool message, since those have only text."""
        if self._images:
            self.add({"role": "user", "content": _content(self._images)})
            self._images = []

    def _reply(self) -> dict[str, Any]:
        """The assistant message that is being written, begun if there is none."""
        if not self.list or self.list[-1]["role"] != "assistant":
            self.add({"role": "assistant", "content": None})
        return self.list[-1]

    def _answer(self, call_id: str, result: ToolResult) -> None:
        self.add({"role": "tool", "tool_call_id": call_id, "content": result.text})
        self._images += result.images


def _content(pieces: Sequence[Content]) -> str | list[dict[str, Any]]:
    """Plain text where that is enough, since not every server takes a list."""
    if all(isinstance(piece, Text) for piece in pieces):
        return "\n".join(piece.text for piece in pieces if isinstance(piece, Text))
    return [_piece(piece) for piece in pieces]


def _piece(piece: Content) -> dict[str, Any]:
    match piece:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(url):
            return {"type": "image_url", "image_url": {"url": url}}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    return {"id": call.call_id, "type": "function", "function": function}


def _arguments(text: str) -> str:
    """What the model wrote, if it is a JSON object, else an object around it.

    Servers that put arguments into a chat template parse them first, and would reject every further request.
    """
    try:
        valid = isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        valid = False
    return (text or "{}") if valid else json.dumps({"invalid": text})


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
