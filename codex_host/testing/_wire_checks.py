"""What a strict model server rejects, in the words of OpenAI's.

A client that sends any of these has lost track of its conversation; real servers answer 400, so a lenient
test server would hide the mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Rejected(Exception):
    """The request is answered with 400; `error` is the body's `error` object."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def check_responses(body: Mapping[str, Any], remembered: Mapping[str, Sequence[Any]]) -> None:
    """Reject what the Responses wire does not take; `remembered` has the conversation up to each response."""
    _check_common(body, "input")
    for number, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") == "function" and "name" not in tool:
            raise Rejected(f"Missing required parameter: 'tools[{number}].name'.", f"tools[{number}].name")
    previous = body.get("previous_response_id")
    if previous is not None and previous not in remembered:
        message = f"Previous response with id '{previous}' not found."
        raise Rejected(message, "previous_response_id", "previous_response_not_found")
    _check_pairs([*(remembered[previous] if previous is not None else ()), *input_items(body)])


def input_items(body: Mapping[str, Any]) -> list[Any]:
    """A Responses request's own items; a bare string is what the user said."""
    given = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _check_pairs(items: Sequence[Any]) -> None:
    """Every output follows its call, and no call is left open."""
    known: set[str] = set()
    unanswered: dict[str, None] = {}
    for item in items:
        if item.get("type") == "function_call":
            _check_string(item, "arguments", "input")
            known.add(item["call_id"])
            unanswered[item["call_id"]] = None
        elif item.get("type") == "function_call_output":
            call_id = item.get("call_id")
            if call_id not in known:
                raise Rejected(f"No tool call found for function call output with call_id {call_id}.", "input")
            unanswered.pop(call_id, None)
    if unanswered:
        raise Rejected(f"No tool output found for function call {next(iter(unanswered))}.", "input")


def check_chat(body: Mapping[str, Any]) -> None:
    """Reject what the Chat Completions wire does not take."""
    _check_common(body, "messages")
    for number, tool in enumerate(body.get("tools") or ()):
        if "function" not in tool:
            place = f"tools[{number}].function"
            raise Rejected(f"Missing required parameter: '{place}'.", place)
    unanswered: dict[str, None] = {}
    for number, message in enumerate(body["messages"]):
        place = f"messages.[{number}].role"
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in unanswered:
                words = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                raise Rejected(f"Invalid parameter: {words}.", place)
            del unanswered[message["tool_call_id"]]
            continue
        _check_answered(unanswered, place)
        for call in message.get("tool_calls") or ():
            _check_string(call.get("function", {}), "arguments", f"messages[{number}].tool_calls")
            unanswered[call["id"]] = None
    _check_answered(unanswered, f"messages.[{len(body['messages'])}].role")


def _check_answered(unanswered: Mapping[str, None], place: str) -> None:
    if unanswered:
        words = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
        names = ", ".join(unanswered)
        message = f"{words} 'tool_call_id'. The following tool_call_ids did not have response messages: {names}"
        raise Rejected(message, place)


def _check_common(body: Mapping[str, Any], conversation: str) -> None:
    if not body.get("model"):
        raise Rejected("you must provide a model parameter")
    if not body.get(conversation):
        raise Rejected(f"Missing required parameter: '{conversation}'.", conversation)
    if body.get("stream") is not True:
        raise Rejected("This server only streams: 'stream' must be true.", "stream")


def _check_string(value: Mapping[str, Any], key: str, place: str) -> None:
    if not isinstance(value.get(key), str):
        raise Rejected(f"Invalid type for '{place}.{key}': expected a string.", f"{place}.{key}")
