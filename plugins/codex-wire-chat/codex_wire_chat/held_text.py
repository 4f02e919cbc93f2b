"""Holding back streamed text from where it could be a tool call."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TAGS", "HeldText"]

TAGS = ("<tool_call>", "<function=", "[TOOL_CALLS]")
"""What models are trained to begin a call with: Hermes and Qwen, Llama 3.1 and Qwen Coder, Mistral."""
_FENCES = ("", "```", "```json", "```tool_call")
_HINT = re.compile(r"^[ \t]*[<{\[`]", re.MULTILINE)
_HINT_SIGNS = re.compile(r"[<\[{`]")
_LONGEST = max(map(len, TAGS))
_ENOUGH = 400  # characters that are looked at: a tool's name is shorter


class HeldText:
    """The text of a reply as it streams: what cannot be a call may be shown at once.

    A call begins a line, with one of TAGS or with a JSON object, bare or fenced, whose first key tells that it is a
    call of one of `tools`.
    """

    def __init__(self, tools: Iterable[str]) -> None:
        keys = [f'"name":"{tool}"' for tool in tools]
        self._watching = bool(keys)
        keys += ['"arguments":{', '"parameters":{']
        self._openings = tuple(map("".join, product(_FENCES, ("{", "[{"), keys)))
        self._held: list[str] = []
        self._is_call = False
        self._nothing_shown = True
        self._blank = True  # nothing but spaces on this line so far

    @property
    def rest(self) -> str:
        """What has not been shown; the end of the text."""
        return "".join(self._held)

    def feed(self, text: str) -> str:
        """Take in a piece; what may be shown by now."""
        if not self._watching:
            return text
        if self._is_call:
            self._held.append(text)
            return ""
        if not self._held and not self._nothing_shown and _HINT_SIGNS.search(text) is None:
            self._note(text)
            return text  # nearly every piece, so that this is done first
        text = self.rest + text
        place = self._hold_from(text)
        if self._nothing_shown and not text[:place].strip():
            place = 0  # space before a call is no message
        shown = text[:place]
        self._held = [text[place:]] if place < len(text) else []
        if shown:
            self._nothing_shown = False
            self._note(shown)
        return shown

    def _note(self, shown: str) -> None:
        if self._blank or "\n" in shown:
            _, newline, line = shown.rpartition("\n")
            self._blank = (bool(newline) or self._blank) and not line.strip()

    def _hold_from(self, text: str) -> int:
        """Where the text may become a call, its length if nowhere."""
        for found in _HINT.finditer(text):
            if found.start() == 0 and not self._blank:
                continue  # the piece begins in the middle of a line
            place = found.end() - 1
            if self._may_be_tag(text[place : place + _LONGEST]) or self._may_be_json(text[place : place + _ENOUGH]):
                return place
        return len(text)

    def _may_be_tag(self, text: str) -> bool:
        self._is_call = text.startswith(TAGS)
        return self._is_call or any(tag.startswith(text) for tag in TAGS)

    def _may_be_json(self, text: str) -> bool:
        compact = "".join(text.split())
        self._is_call = compact.startswith(self._openings)
        return self._is_call or any(opening.startswith(compact) for opening in self._openings)
