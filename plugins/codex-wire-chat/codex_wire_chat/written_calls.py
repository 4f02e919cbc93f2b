"""Tool calls that a model wrote as text, because its server has no parser for them or it missed its format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codex_host.items import ToolSpec
from codex_wire_chat.held_text import TAGS

__all__ = ["Written", "written_calls"]

_JSON = json.JSONDecoder(strict=False)  # models put real line breaks into strings
_TAG = "|".join(map(re.escape, TAGS))
_LINE_TAG = re.compile(rf"^[ \t]*({_TAG})", re.MULTILINE)
_FENCE = re.compile(r"```(?:json|tool_call)?\s*|")
_END = re.compile(r"(?:\s|</s>|<\|\w+\|>)*")  # some servers let the token that ends a reply through
_NEXT_TAG = re.compile(rf"{_END.pattern}({_TAG})")
_FENCE_END = re.compile(rf"\s*(?:```|\Z){_END.pattern}")
_TAG_END = re.compile(r"(?:\s*</(?:tool_call|function)>)*")
_NAME = re.compile(r'"name"\s*:\s*"([\w.-]+)"|<function=([\w.-]+)')
_BROKEN = re.compile(r'\[?\s*\{\s*"name"\s*:\s*"([\w.-]+)"\s*,\s*"(?:arguments|parameters)"\s*:')
_ATTEMPT = re.compile(r"(?:[\w.-]+>)?\s*[{\[<]")
_FUNCTION = re.compile(r"(?:\s*<function=)?([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_PARAMETERS_END = re.compile(rf"{_END.pattern}(?:</tool_call>)?{_END.pattern}")
_ARGUMENTS = re.compile(r"([\w.-]+)(?:\[ARGS\])?\s*(?=\{)")
_KEYS = {"name", "arguments", "parameters", "id", "type"}


@dataclass(slots=True)
class Written:
    """The calls that a text ends with, each as name and arguments, and the prose before the first of them."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    prose: str = ""


def written_calls(before: str, text: str, tools: Mapping[str, ToolSpec]) -> Written | None:
    """The calls that `text`, which begins a line, ends with; None if it might be meant to be read.

    `before` is what the reply says before it. Calls count if nothing but blanks stands behind them and the first
    begins a line: in their tags anywhere in `text`, as whole JSON objects that call some of `tools` at its beginning.
    A call in the middle of prose is only talked about, maybe quoted from a file that nobody trusts. One that is broken
    beyond doubt keeps its text as its arguments, so that the model is told what is wrong with it.
    """
    written = None if text.lstrip().startswith(TAGS) else _untagged(before, text, tools)
    written = written or _tagged(text, tools)
    if written is None or (before + written.prose).count("```") % 2:
        return None  # an example
    return written


def _untagged(before: str, text: str, tools: Mapping[str, ToolSpec]) -> Written | None:
    """JSON alone or in fences, with nothing behind it."""
    written, place = Written(), len(text) - len(text.lstrip())
    while place < len(text):
        fence = _FENCE.match(text, place)
        start = fence.end() if fence else place
        is_fenced = start > place
        try:
            value, place = _JSON.raw_decode(text, start)
        except (ValueError, RecursionError):
            broken = _BROKEN.match(text, start)
            is_last = text.rpartition("```")[2].isspace() or text.endswith("```") or not before.strip()
            if broken is None or broken[1] not in tools or not is_last:
                return None
            written.calls.append((broken[1], text[start:]))
            return written
        calls = [_call(each) for each in (value if isinstance(value, list) else [value])]
        end = (_FENCE_END if is_fenced else _END).match(text, place)
        if end is None or not all(name in tools and "{" in arguments for name, arguments in calls):
            return None
        written.calls += calls
        place = end.end()
    return written if written.calls else None


def _call(value: object) -> tuple[str, str]:
    """Name and arguments in a JSON object; empty for what is something else."""
    if not isinstance(value, dict) or not value.keys() <= _KEYS or not isinstance(value.get("name"), str):
        return "", ""
    arguments = value.get("arguments", value.get("parameters", ""))
    return value["name"], arguments if isinstance(arguments, str) else json.dumps(arguments)


def _tagged(text: str, tools: Mapping[str, ToolSpec]) -> Written | None:
    """Calls in their tags; the tool need not exist. Prose behind some of them makes these a part of the prose."""
    written, place = Written(), 0
    while place < len(text):
        tag = _NEXT_TAG.match(text, place) if written.calls else None
        if tag is None:
            if _END.fullmatch(text, place):
                break
            written = Written()
            tag = _LINE_TAG.search(text, place)
            if tag is None:
                return None
            written.prose = text[: tag.start(1)]
        calls, place = _read_tag(tag[1], text, tag.start(1), tools)
        written.calls += calls
    return written if written.calls else None


def _read_tag(tag: str, text: str, start: int, tools: Mapping[str, ToolSpec]) -> tuple[list[tuple[str, str]], int]:
    """The calls in the tag at `start`, a broken one included, and where they end; no calls if it is talked about."""
    place = start + len(tag)
    try:
        return _in_tag(tag, text, place, tools)
    except (ValueError, RecursionError):
        if _ATTEMPT.match(text, place) is None:
            return [], place
        closing = text.find("</tool_call>", place)
        end = len(text) if closing < 0 else closing + len("</tool_call>")
        return [_broken(text[start:end])], end


def _broken(text: str) -> tuple[str, str]:
    """A call that cannot be read; its text is its arguments, whatever its name."""
    named = _NAME.search(text)
    return (named[1] or named[2]) if named else "unnamed", text


def _in_tag(tag: str, text: str, place: int, tools: Mapping[str, ToolSpec]) -> tuple[list[tuple[str, str]], int]:
    """The calls behind a tag, and where they end. Raises ValueError if there are none or they are broken."""
    rest = len(text) - len(text[place:].lstrip())
    if tag == "<function=" or text.startswith("<function=", rest):
        function = _FUNCTION.match(text, place)
        if function is None:
            raise ValueError("no function")
        name, body = function[1], function[2]
        end = function.end()
        calls = [(name, _arguments(body, tools.get(name)))]
    elif tag == "[TOOL_CALLS]" and (named := _ARGUMENTS.match(text, rest)) is not None:
        arguments, end = _JSON.raw_decode(text, named.end())
        calls = [(named[1], json.dumps(arguments))]
    else:
        value, end = _JSON.raw_decode(text, rest)
        calls = [_call(each) for each in (value if isinstance(value, list) else [value])]
    if not all(name for name, _ in calls):
        raise ValueError("a call without a name")
    closing = _TAG_END.match(text, end)
    return calls, closing.end() if closing else end


def _arguments(body: str, tool: ToolSpec | None) -> str:
    """The arguments in `<function=...>`: JSON, or a tag for each parameter."""
    if body.strip().startswith("{"):
        return json.dumps(_JSON.decode(body))
    properties = tool.parameters.get("properties", {}) if tool else {}
    found = {key: _value(text, properties.get(key)) for key, text in _PARAMETER.findall(body)}
    if not found and body.strip():
        raise ValueError("no parameters")
    if _PARAMETERS_END.fullmatch(_PARAMETER.sub("", body)) is None:
        raise ValueError("more than parameters")
    return json.dumps(found)


def _value(text: str, schema: Any) -> Any:
    """A parameter's value, which is a text if the schema says so or it can be nothing else."""
    if isinstance(schema, Mapping) and schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
