"""What a wire API must keep to: subclass `WireApiContract` in a pytest module and give it recorded streams.

    class TestMyWire(WireApiContract):
        module = codex_wire_mine
        name = "mine"
        transcripts = (
            WireTranscript("plain", STREAM, (AssistantMessage("Hello"),), Completed(usage=Usage(9, 0, 2))),
        )

A transcript is the body of a real server's answer, as bytes; the contract decodes it whole and cut after
every line, and sends what came back in a further request. How the network splits the bytes is the host's
affair.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import ClassVar

import pytest

from codex_host.errors import AuthenticationError, ModelError
from codex_host.items import (
    AssistantMessage,
    Completed,
    Image,
    ModelEvent,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolOutput,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from codex_host.parts import Decoder, ServerEvent, WireApi
from codex_host.testing._wire_transcripts import (
    WireTranscript,
    decoded,
    finished_items,
    objects_in,
    server_events,
    texts_in,
)
from codex_host.testing.contract import Contract

__all__ = ["WireApiContract", "WireTranscript", "decoded", "server_events"]

_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TOOL = ToolSpec("read_a_file", "Reads one file.", _SCHEMA)
_PIXEL = Image("data:image/png;base64,iVBORw0KGgo=")


class WireApiContract(Contract):
    """The promises of a `codex_host.parts.WireApi`."""

    kind = "wire_api"
    base: ClassVar[type] = WireApi
    transcripts: ClassVar[Sequence[WireTranscript]] = ()
    """Recorded replies of real servers, at least one with text and one with a tool call."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that takes a `transcript` with each of them."""
        if "transcript" in metafunc.fixturenames:
            metafunc.parametrize("transcript", self.transcripts, ids=[each.name for each in self.transcripts])

    @pytest.fixture
    def wire(self) -> WireApi:
        """The wire under test."""
        made = self.make()
        assert isinstance(made, WireApi)
        return made

    def test_path_and_headers_are_plain(self, wire: WireApi) -> None:
        """The path begins with a slash; header names are lower-case, as those of a provider's requests."""
        assert wire.path.startswith("/")
        assert all(name == name.lower() and isinstance(value, str) for name, value in wire.headers.items())

    # --- Encoding -----------------------------------------------------------------------------------------

    def test_encode_is_pure(self, wire: WireApi) -> None:
        """The body can be written as JSON, is the same each time, and the request is left as it was."""
        request = _conversation()
        before = copy.deepcopy(request)
        body = json.dumps(wire.encode(request))
        assert request == before
        assert json.dumps(wire.encode(request)) == body
        assert json.dumps(self.make().encode(before)) == body

    def test_encode_says_everything(self, wire: WireApi) -> None:
        """Model, instructions, messages, pictures, tools, calls and outputs are all in the body."""
        texts = list(texts_in(wire.encode(_conversation())))
        for text in ("a-model", "Work well.", "What is in a.txt?", _PIXEL.url, "A letter.", "Hello."):
            assert text in texts
        for text in (_TOOL.name, _TOOL.description, '{"path": "a.txt"}', "call-1"):
            assert text in texts
        assert _SCHEMA in list(objects_in(wire.encode(_conversation())))

    def test_encode_takes_any_call(self, wire: WireApi) -> None:
        """What a model wrote must never make a conversation that can't be sent: arguments may be no JSON."""
        for arguments in ("", "{", "not JSON", "[]", "\ud800", "[" * 99999):
            call = ToolCall("call-1", "no_such_tool", arguments)
            items = (_question(), call, ToolOutput("call-1", ToolResult("what?", success=False)))
            json.dumps(wire.encode(Request("a-model", "", items)))

    def test_encode_continues_a_reply(self, wire: WireApi) -> None:
        """A server that keeps the conversation is told which reply goes on; no other hears of it."""
        said = Request("a-model", "", (_question(),), previous="reply-1", store=True)
        assert ("reply-1" in texts_in(wire.encode(said))) == wire.remembers

    # --- Decoding -----------------------------------------------------------------------------------------

    def test_transcripts_have_text_and_calls(self) -> None:
        """The contract has something to work with."""
        items = [item for each in self.transcripts for item in each.items]
        assert any(isinstance(item, AssistantMessage) for item in items)
        assert any(isinstance(item, ToolCall) for item in items)

    def test_decodes_a_transcript(self, wire: WireApi, transcript: WireTranscript) -> None:
        """The items are whole and in order, the deltas are their parts, and Completed comes once, last."""
        said = decoded(wire.decoder_for(transcript.request), server_events(transcript.stream))
        assert finished_items(said) == list(transcript.items)
        assert said[-1] == transcript.completed
        assert sum(isinstance(event, Completed) for event in said) == 1
        deltas = "".join(event.text for event in said if isinstance(event, TextDelta))
        messages = "".join(item.text for item in transcript.items if isinstance(item, AssistantMessage))
        assert deltas in ("", messages)

    def test_notices_a_cut(self, wire: WireApi, transcript: WireTranscript) -> None:
        """After whichever line the stream ends: the reply is whole, or ModelError of the kind "stream" is raised."""
        lines = transcript.stream.splitlines(keepends=True)
        for count in range(len(lines)):
            said = _until_cut(wire.decoder_for(transcript.request), b"".join(lines[:count]))
            assert said is None or finished_items(said) == list(transcript.items), f"cut after {count} lines"

    def test_decoders_are_independent(self, wire: WireApi, transcript: WireTranscript) -> None:
        """A new decoder knows nothing of another, even while both work."""
        first, second = wire.decoder_for(transcript.request), wire.decoder_for(transcript.request)
        for event in server_events(transcript.stream):
            assert list(first.feed(event)) == list(second.feed(event))

    def test_ignores_what_it_does_not_know(self, wire: WireApi, transcript: WireTranscript) -> None:
        """Strange events between the others change nothing."""
        strange = ('{"type": "something.new", "delta": "x"}', "{}", "null", "[]", "7", "ping", "")
        events = [ServerEvent("message", data) for data in strange]
        mixed = [each for event in server_events(transcript.stream) for each in (*events, event)]
        said = decoded(wire.decoder_for(transcript.request), mixed)
        assert finished_items(said) == list(transcript.items)

    def test_decodes_without_the_request(self, wire: WireApi, transcript: WireTranscript) -> None:
        """`decoder` decodes what does not depend on the request's tools as `decoder_for` does."""
        if not transcript.tools:
            said = decoded(wire.decoder(), server_events(transcript.stream))
            assert finished_items(said) == list(transcript.items)

    def test_call_ids_come_back(self, wire: WireApi, transcript: WireTranscript) -> None:
        """Each call has an id of its own, which the next request repeats with call and output."""
        calls = [item for item in transcript.items if isinstance(item, ToolCall)]
        assert all(call.call_id for call in calls)
        assert len({call.call_id for call in calls}) == len(calls)
        outputs = [ToolOutput(call.call_id, ToolResult(f"output {n}")) for n, call in enumerate(calls)]
        items = (_question(), *transcript.items, *outputs)
        texts = list(texts_in(wire.encode(Request("a-model", "", items, (_TOOL, *transcript.tools)))))
        for number, call in enumerate(calls):
            assert texts.count(call.call_id) == 2
            assert f"output {number}" in texts

    # --- Errors -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("status", "kinds"),
        [
            (400, "request"),
            (401, "key"),
            (403, "key"),
            (404, "request"),
            (429, "rate"),
            (500, "server"),
            (503, "server"),
        ],
    )
    def test_explains_an_error(self, wire: WireApi, status: int, kinds: str) -> None:
        """The error names the status and the server's reason, and its kind tells whether to ask again."""
        body = b'{"error": {"message": "Because of rain."}}'
        error = wire.explain(status, {"content-type": "application/json"}, body)
        assert error.kind == kinds
        assert isinstance(error, AuthenticationError) == (kinds == "key")
        assert (error.retry is not None) == (kinds in ("rate", "server"))
        assert "Because of rain." in str(error)
        assert str(status) in str(error)

    @pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b"[]", b'{"error": null}', b"7"])
    def test_explains_any_body(self, wire: WireApi, body: bytes) -> None:
        """A proxy may answer anything; the error is still worded."""
        assert "502" in str(wire.explain(502, {}, body))


def _until_cut(decoder: Decoder, stream: bytes) -> Sequence[ModelEvent] | None:
    """A reply that is whole, or None if the decoder noticed that it is not."""
    try:
        said = decoded(decoder, server_events(stream))
    except ModelError as error:
        if error.kind == "stream":
            return None
        raise
    assert isinstance(said[-1], Completed)
    return said


def _question() -> UserMessage:
    return UserMessage((Text("What is in a.txt?"),))


def _conversation() -> Request:
    question = UserMessage((Text("What is in a.txt?"), _PIXEL))
    call = ToolCall("call-1", _TOOL.name, '{"path": "a.txt"}')
    output = ToolOutput("call-1", ToolResult("A letter."))
    items = (question, call, output, AssistantMessage("Hello."), UserMessage((Text("And?"),)))
    return Request("a-model", "Work well.", items, (_TOOL,))
