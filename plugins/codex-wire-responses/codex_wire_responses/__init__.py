"""OpenAI's Responses API, spoken by OpenAI and by some local servers.

See https://platform.openai.com/docs/api-reference/responses for what is sent and received.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_host.errors import ModelError
from codex_host.hookspecs import hookimpl
from codex_host.parts import WireApi
from codex_host.server_errors import from_reply
from codex_wire_responses.decoding import ResponsesDecoder
from codex_wire_responses.encoding import body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codex_host.items import Json, Request
    from codex_host.parts import Decoder

__all__ = ["Responses", "codex_wire_api"]

_NOT_FOUND = re.compile(rb"(?i)previous_?\s?response|response with id .* not found")
"""In OpenAI's words, code and parameter, and in vLLM's."""


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

    def decoder_for(self, request: Request) -> Decoder:
        """A decoder for the reply to this request, which notices a server that has lost the conversation."""
        return ResponsesDecoder(request)

    def explain(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """What a failed request means; that the reply to go on from is not found has no status of its own."""
        error = from_reply(status, body)
        if error.kind == "request" and _NOT_FOUND.search(body):
            return ModelError(str(error), kind="forgotten")
        return error


@hookimpl
def codex_wire_api(name: str) -> WireApi | None:
    """The wire called "responses"."""
    return Responses() if name == "responses" else None
