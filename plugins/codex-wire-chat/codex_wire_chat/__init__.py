"""The Chat Completions API, spoken by most providers and local servers.

See https://platform.openai.com/docs/api-reference/chat for what is sent and received; where
servers differ from it, the decoder takes what they send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_host.hookspecs import hookimpl
from codex_host.parts import WireApi
from codex_wire_chat.decoding import ChatDecoder
from codex_wire_chat.encoding import body

if TYPE_CHECKING:
    from codex_host.items import Json, Request
    from codex_host.parts import Decoder

__all__ = ["Chat", "codex_wire_api"]


class Chat(WireApi):
    """`POST {base_url}/chat/completions`; every request repeats the whole conversation."""

    path = "/chat/completions"

    def encode(self, request: Request) -> Json:
        """The body of "Create chat completion"."""
        return body(request)

    def decoder(self) -> Decoder:
        """A decoder for one stream, which takes all text for text."""
        return ChatDecoder()

    def decoder_for(self, request: Request) -> Decoder:
        """A decoder for the reply to this request, which finds calls of its tools in the text."""
        return ChatDecoder(request)


@hookimpl
def codex_wire_api(name: str) -> WireApi | None:
    """The wire called "chat"."""
    return Chat() if name == "chat" else None
