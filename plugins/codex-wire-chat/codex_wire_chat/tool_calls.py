"""Putting together the tool calls of a streamed reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from codex_host.items import ToolCall

__all__ = ["ToolCalls"]


class _Call:
    """One call that is being written."""

    __slots__ = ("call_id", "name", "pieces")

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.pieces: list[str] = []

    def is_whole(self) -> bool:
        """Whether the arguments are a JSON object already."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False  # the usual case, without parsing a long text at every piece
        try:
            return isinstance(json.loads("".join(self.pieces)), dict)
        except (ValueError, RecursionError):
            return False


class ToolCalls:
    """The calls of one reply, from the elements of `delta.tool_calls`.

    By the API, `index` says which call a fragment belongs to, and its first fragment has `id` and `name`.
    Real servers leave out the index or give each call the same one, send no ids or one id for all, repeat id
    and name in every fragment, or make up a new id for each.
    """

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        """`taken` are the ids that the conversation already has."""
        self._taken = taken
        self._calls: list[_Call] = []
        self._current: dict[int, _Call] = {}
        self._latest = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, fragment: Mapping[str, Any]) -> None:
        """Take in one element."""
        function = fragment.get("function")
        if not isinstance(function, Mapping):
            function = {}
        call_id, name = _text(fragment.get("id")), _text(function.get("name"))
        arguments = function.get("arguments")
        written = json.dumps(arguments) if isinstance(arguments, (dict, list)) else _text(arguments)
        index = fragment.get("index")
        call = self._call(index if isinstance(index, int) else self._latest, call_id, name, written)
        call.call_id = call.call_id or call_id
        call.name = call.name or name
        if written:
            call.pieces.append(written)

    def _call(self, index: int, call_id: str, name: str, written: str) -> _Call:
        """The call that a fragment belongs to, a new one if it begins one."""
        self._latest = index
        call = self._current.get(index)
        # A name begins a call, but some servers repeat it: then the id is the same, or the arguments go on.
        another_id = call and call_id and call.call_id and call_id != call.call_id
        if call is None or (name and (another_id or (written.strip() and call.is_whole()))):
            call = self._current[index] = _Call()
            self._calls.append(call)
        return call

    def finished(self, reply_id: str) -> list[ToolCall]:
        """All calls in the order in which they began, each with an id that no other call has.

        `reply_id` goes into ids that have to be made up, so that they differ between replies.
        """
        used = set(self._taken)
        replies = f"{reply_id}/{len(used)}"  # some servers give every reply the same id
        calls = []
        for number, call in enumerate(self._calls):
            call_id = call.call_id
            if not call_id or call_id in used:
                call_id = f"call_{hashlib.sha256(f'{replies}/{number}'.encode()).hexdigest()[:24]}"
            used.add(call_id)
            if call.name or call.pieces:
                calls.append(ToolCall(call_id, call.name, "".join(call.pieces)))
        return calls


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
