"""How large a context window a prompt needs, and which one to ask for.

Ollama cuts what does not fit into a model's window without a word: the oldest messages, then the middle of the prompt.
The window is that of the request (`num_ctx`), else the model's own (a Modelfile's `PARAMETER num_ctx`), else the
server's default, which depends on the machine's memory and is 4096 on most. It never exceeds what the model was made
for. Another window than the loaded one means that the model is loaded anew, so windows grow in large steps and never
shrink.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codex_host.errors import ModelError

__all__ = ["Limits", "limits", "window"]

SMALLEST_DEFAULT = 4096
"""Tokens of the window that any server has without being asked."""
ROOM = 8192
LEAST_ROOM = 1024
"""Tokens to have left for the reply: when a window is chosen, and when the server's own is good enough."""
IMAGE = 2048
"""Tokens that a picture counts for; models differ."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of a model: the most tokens it takes (0: unknown), its own window (0: none), the loaded one (0)."""

    maximum: int = 0
    own: int = 0
    loaded: int = 0


def limits(shown: Mapping[str, Any], loaded: int) -> Limits:
    """The limits in an answer of `/api/show`, for a model that `/api/ps` says is loaded with this window."""
    info = shown.get("model_info")
    lengths = [
        value
        for key, value in (info.items() if isinstance(info, Mapping) else ())
        if key.endswith(".context_length") and isinstance(value, int)
    ]
    maximum = max(lengths, default=0)
    if shown.get("remote_host") or shown.get("remote_model"):
        return Limits(maximum, maximum, loaded)  # a model in the cloud always has its whole window
    own = 0
    for line in str(shown.get("parameters") or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "num_ctx" and value.strip().isdecimal():
            own = int(value)
    return Limits(maximum, own, loaded)


def window(model: str, chat: Mapping[str, Any], known: Limits, before: int, fixed: int | None) -> int | None:
    """The window to ask for, in tokens; None where the server's own will do.

    `chat` is the request as `/api/chat` takes it, `before` the window of the last request (0: none was asked for) and
    `fixed` the user's: 0 never asks for any. Raises ModelError for a prompt that fits into no window of this model.
    """
    if fixed == 0:
        return None
    generous, sparing = _tokens(chat, 3), _tokens(chat, 4)
    if fixed is None and not before and generous + LEAST_ROOM <= max(known.own, SMALLEST_DEFAULT):
        return None
    wanted = fixed or max(_power_of_two(generous + ROOM), before, known.own, known.loaded)
    most = min(wanted, known.maximum or wanted)
    if sparing > most:
        limit = "`num_ctx` in [plugins.ollama] is" if fixed == most else f"{model} takes at most"
        raise ModelError(
            f"the conversation has about {sparing} tokens, and {limit} {most}; start a new one, or use a model with a "
            "longer context",
            kind="too-long",
        )
    return most


def _tokens(chat: Mapping[str, Any], bytes_each: int) -> int:
    """About how many tokens a request has. Text has 4 bytes a token and more, code 3, dense JSON a little less."""
    images = [image for message in chat["messages"] for image in message.get("images", ())]
    text = json.dumps([chat["messages"], chat.get("tools", ())], ensure_ascii=False)
    size = len(text.encode("utf-8", "replace")) - sum(map(len, images))
    return size // bytes_each + IMAGE * len(images)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
