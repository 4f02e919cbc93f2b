"""What a server reports as an error, as a ModelError: for `WireApi.explain` and for decoders.

Servers agree on little more than an object with `message`, and on some of the words in its `code` and `type`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from codex_host.errors import AuthenticationError, ModelError, ModelErrorKind

__all__ = ["from_reply", "from_stream"]

_KINDS: tuple[tuple[str, ModelErrorKind], ...] = (
    ("api_key", "key"),
    ("authentication", "key"),
    ("quota", "quota"),
    ("rate_limit", "rate"),
    ("context", "too-long"),
    ("invalid", "request"),
    ("policy", "request"),
    ("400", "request"),
    ("401", "key"),
    ("402", "quota"),
    ("429", "rate"),
)
"""Pieces of the codes that servers use, and what each means; whatever else it is, asking again may help."""


def from_stream(error: Mapping[str, Any]) -> ModelError:
    """The error to raise for an error object within a reply: `message`, `code` and `type`, any of them missing."""
    message, words = _told(error)
    text = f"the server reported an error within its reply: {message or words or 'it gave no reason'}"
    kinds: list[ModelErrorKind] = [kind for word, kind in _KINDS if word in words]
    return _error(text, kinds[0] if kinds else "server")


def from_reply(status: int, body: bytes) -> ModelError:
    """The error to raise for a reply with another status than 200; the status decides, the words refine it."""
    text = " ".join(body.decode("utf-8", "replace").split())
    try:
        data = json.loads(text)
    except ValueError:
        data = text[:500]
    message, code = _told(data.get("error", data) if isinstance(data, dict) else data)
    words = f"{code} {message.lower()}"
    too_long = any(phrase in words for phrase in ("context_length", "context length", "context window", "context size"))
    kind: ModelErrorKind = "too-long" if too_long else "request"
    if status in (401, 403):
        kind = "key"
    elif status == 429:
        kind = "quota" if "quota" in words else "rate"
    elif status >= 500 or status == 408:
        kind = "server"
    return _error(f"the server answered {status}: {message or 'it gave no reason'}", kind)


def _told(error: Any) -> tuple[str, str]:
    """The message for people and the words for programs."""
    if not isinstance(error, Mapping):
        return error if isinstance(error, str) else json.dumps(error)[:500], ""
    words = f"{error.get('code') or ''} {error.get('type') or ''}".strip().lower()
    message = error.get("message") or error.get("detail") or (json.dumps(error)[:500] if error and not words else "")
    return message if isinstance(message, str) else json.dumps(message)[:500], words


def _error(text: str, kind: ModelErrorKind) -> ModelError:
    return AuthenticationError(text) if kind == "key" else ModelError(text, kind=kind)
