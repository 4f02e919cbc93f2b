"""OpenAI's Responses API, spoken by OpenAI and by some local servers.

See https://platform.openai.com/docs/api-reference/responses for what is sent and received.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_host.hookspecs import hookimpl
from codex_host.parts import WireApi
from codex_wire_responses.decoding import ResponsesDecoder
from codex_wire_responses.encoding import body

if TYPE_CHECKING:
    from codex_host.items import Json, Request
    from codex_host.parts import Decoder

__all__ = ["Responses", "codex_wire_api"]


class Responses(WireApi):
    """`POST {base_url}/responses`; a server that stores replies is only sent what is new."""

    path = "/responses"
    remembers = True
    headers = {"openai-beta": "responses=experimental"}  # noqa: RUF012

    def encode(self, request: Request) -> Json:
        """The body of "Create a model response"."""
        return body(request)

    def decoder(self) -> Decoder:
        """A decoder for one stream."""
        return ResponsesDecoder()


@hookimpl
def codex_wire_api(name: str) -> WireApi | None:
    """The wire called "responses"."""
    return Responses() if name == "responses" else None
