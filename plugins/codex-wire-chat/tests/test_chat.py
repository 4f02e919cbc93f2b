import json
from pathlib import Path

import codex_wire_chat
import pytest

from codex_host.errors import AuthenticationError, ModelError
from codex_host.items import (
    AssistantMessage,
    Completed,
    Image,
    ItemDone,
    Reasoning,
    ReasoningDelta,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolOutput,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from codex_host.parts import ServerEvent
from codex_host.testing.wire_api import WireApiContract, WireTranscript, decoded, server_events

TRANSCRIPTS = Path(__file__).with_name("transcripts")


def recorded(name):
    return (TRANSCRIPTS / f"{name}.sse").read_bytes()


class TestChat(WireApiContract):
    module = codex_wire_chat
    name = "chat"
    transcripts = (
        WireTranscript(
            "text", recorded("openai-text"), (AssistantMessage("Hello."),), Completed(None, Usage(9, 4, 5, 3))
        ),
        WireTranscript(
            "calls",
            recorded("openai-calls"),
            (ToolCall("call_a", "shell", '{"command":["ls"]}'), ToolCall("call_b", "shell", "{}")),
            Completed(),
        ),
        WireTranscript(
            "local server",
            recorded("local-server").replace(b"\n", b"\r\n"),
            (AssistantMessage("I look."), ToolCall("r1_tool_call", "shell", '{"command": ["ls"]}')),
            Completed(None, Usage(20, 0, 7, 0)),
        ),
        WireTranscript(
            "reasoning",
            recorded("reasoning"),
            (Reasoning(("Hmm.",)), AssistantMessage("Yes.")),
            Completed(cut=True),
        ),
        WireTranscript(
            "transformers",
            recorded("transformers"),
            (
                AssistantMessage("I look at the files."),
                ToolCall("req-0_tool_call_0", "shell", '{"command": ["ls"]}'),
            ),
            Completed(None, Usage(36, 0, 13, 0)),
        ),
        WireTranscript(
            "call as text",
            recorded("written-call"),
            (
                AssistantMessage("I look.\n"),
                ToolCall("call_d32a8b8fac49cef4b7c18171", "shell", '{"command": ["ls"]}'),
            ),
            Completed(None, Usage(40, 0, 23, 0)),
            tools=(ToolSpec("shell", "Runs a command.", {"type": "object"}),),
        ),
    )


WIRE = codex_wire_chat.codex_wire_api("chat")
QUESTION = UserMessage((Text("What is here?"),))


def messages(*items, instructions=""):
    return WIRE.encode(Request("m", instructions, items))["messages"]


def chunk(delta=None, finish=None, **fields):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return ServerEvent("message", json.dumps({"id": "r", "choices": choices, **fields}))


DONE = ServerEvent("message", "[DONE]")


def calls(*fragments):
    """The calls that come of these elements of `tool_calls`, each in a chunk of its own."""
    events = [chunk({"tool_calls": [fragment]}) for fragment in fragments]
    said = decoded(WIRE.decoder(), [*events, chunk({}, "tool_calls"), DONE])
    return [event.item for event in said if isinstance(event, ItemDone)]


def fragment(arguments, name=None, **fields):
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {**fields, "function": function}


class TestEncoding:
    def test_fields(self):
        tool = ToolSpec("shell", "Runs a command.", {"type": "object"})
        body = WIRE.encode(Request("m", "Work.", (QUESTION,), (tool,), reasoning_effort="low"))
        assert body == {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Work."},
                {"role": "user", "content": "What is here?"},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "shell",
                        "description": "Runs a command.",
                        "parameters": {"type": "object"},
                    },
                }
            ],
            "reasoning_effort": "low",
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def test_without_tools_and_reasoning_nothing_is_said_of_them(self):
        assert WIRE.encode(Request("m", "", (QUESTION,))).keys() == {
            "model",
            "messages",
            "stream",
            "stream_options",
        }

    def test_one_reply_is_one_message(self):
        said = messages(
            QUESTION,
            Reasoning(("Hm.",)),
            AssistantMessage("I look."),
            ToolCall("a", "shell", "{}"),
            ToolCall("b", "shell", "{}"),
            ToolOutput("a", ToolResult("x")),
            ToolOutput("b", ToolResult("y")),
            AssistantMessage("Done."),
        )
        function = {"name": "shell", "arguments": "{}"}
        assert said[1:] == [
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": function},
                    {"id": "b", "type": "function", "function": function},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "x"},
            {"role": "tool", "tool_call_id": "b", "content": "y"},
            {"role": "assistant", "content": "Done."},
        ]

    def test_a_call_alone_has_null_content(self):
        assert messages(QUESTION, ToolCall("a", "shell", "{}"))[1]["content"] is None

    def test_images_are_parts(self):
        picture = Image("data:image/png;base64,AA==")
        parts = messages(UserMessage((Text("Look:"), picture)))[0]["content"]
        assert parts == [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": picture.url}},
        ]

    def test_a_tools_images_follow_the_last_output(self):
        picture = Image("data:image/png;base64,AA==")
        said = messages(
            QUESTION,
            ToolCall("a", "look", "{}"),
            ToolCall("b", "look", "{}"),
            ToolOutput("a", ToolResult("see", images=(picture,))),
            ToolOutput("b", ToolResult("none")),
        )
        assert [message["role"] for message in said] == ["user", "assistant", "tool", "tool", "user"]
        assert said[-1]["content"] == [{"type": "image_url", "image_url": {"url": picture.url}}]

    @pytest.mark.parametrize(
        ("written", "sent"),
        [
            ('{"a": 1}', '{"a": 1}'),
            ("", "{}"),
            ('{"a": ', '{"invalid": "{\\"a\\": "}'),
            ("[1]", '{"invalid": "[1]"}'),
        ],
    )
    def test_arguments_are_always_an_object(self, written, sent):
        said = messages(QUESTION, ToolCall("a", "shell", written))
        assert said[1]["tool_calls"][0]["function"]["arguments"] == sent


class TestToolCalls:
    def test_fragments_of_two_calls_may_alternate(self):
        parts = [
            fragment("", "f", index=0, id="a"),
            fragment("", "g", index=1, id="b"),
            fragment('{"x":', index=0),
            fragment("{}", index=1),
            fragment("1}", index=0),
        ]
        assert calls(*parts) == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")]

    def test_whole_calls_under_one_index(self):
        parts = [fragment("{}", "f", index=0, id="a"), fragment("{}", "g", index=0, id="b")]
        assert calls(*parts) == [ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")]

    def test_no_index(self):
        parts = [fragment('{"x"', "f", id="a"), fragment(":1}"), fragment("{}", "g", id="b")]
        assert calls(*parts) == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")]

    def test_no_index_after_one_with(self):
        parts = [fragment("{", "f", id="a", index=3), fragment("}")]
        assert calls(*parts) == [ToolCall("a", "f", "{}")]

    def test_id_and_name_in_every_fragment(self):
        parts = [fragment(piece, "f", index=0, id="a") for piece in ("", '{"x":', '"y"', "}", "\n")]
        assert calls(*parts) == [ToolCall("a", "f", '{"x":"y"}\n')]

    def test_a_new_id_in_every_fragment(self):
        parts = [
            fragment("{", "f", index=0, id="a"),
            fragment('"x":1', index=0, id="b"),
            fragment("}", index=0, id="c"),
        ]
        assert calls(*parts) == [ToolCall("a", "f", '{"x":1}')]

    @pytest.mark.parametrize("given", [{"id": ""}, {"id": None}, {}, {"id": "same"}])
    def test_empty_and_repeated_ids_become_unique(self, given):
        first, second = calls(fragment("{}", "f", **given), fragment('{"x":1}', "f", **given))
        assert (first.arguments, second.arguments) == ("{}", '{"x":1}')
        assert first.call_id
        assert second.call_id
        assert first.call_id != second.call_id

    def test_made_ids_differ_between_replies(self):
        made = set()
        for reply in ("r1", "r2"):
            delta = {"tool_calls": [fragment("{}", "f", index=0, id="")]}
            said = decoded(WIRE.decoder(), [chunk(delta, "tool_calls", id=reply), DONE])
            made.add(said[0].item.call_id)
        assert len(made) == 2

    def test_arguments_as_an_object(self):
        assert calls(fragment({"x": 1}, "f", index=0, id="a")) == [ToolCall("a", "f", '{"x": 1}')]

    def test_null_arguments(self):
        assert calls(fragment(None, "f", index=0, id="a")) == [ToolCall("a", "f", "")]

    def test_what_is_no_call(self):
        assert calls({}, {"index": 1, "function": None}) == []


class TestDecoding:
    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
    def test_reasoning_fields(self, field):
        said = decoded(WIRE.decoder(), [chunk({field: "Hm."}), chunk({"content": "Yes."}, "stop")])
        assert said[:2] == [ReasoningDelta("Hm."), TextDelta("Yes.")]
        assert said[2].item == Reasoning(("Hm.",))

    def test_thinking_among_the_content(self):
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
        delta = {"content": [thinking, {"type": "text", "text": "Yes."}]}
        said = decoded(WIRE.decoder(), [chunk(delta, "stop")])
        assert said[:2] == [ReasoningDelta("Hm."), TextDelta("Yes.")]

    def test_text_comes_before_the_end(self):
        assert WIRE.decoder().feed(chunk({"content": "a"})) == [TextDelta("a")]

    def test_done_without_a_finish_reason(self):
        said = decoded(WIRE.decoder(), [chunk({"content": "a"}), DONE])
        assert said[1:] == [ItemDone(AssistantMessage("a")), Completed()]

    def test_a_message_in_place_of_a_delta(self):
        data = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}
        said = decoded(WIRE.decoder(), [ServerEvent("message", json.dumps(data))])
        assert said[1] == ItemDone(AssistantMessage("a"))

    @pytest.mark.parametrize(("finish", "cut"), [("stop", False), ("length", True), ("eos", False)])
    def test_finish_reasons(self, finish, cut):
        assert decoded(WIRE.decoder(), [chunk({"content": "a"}, finish)])[-1] == Completed(cut=cut)

    def test_a_content_filter_is_an_error(self):
        with pytest.raises(ModelError, match="content filter") as caught:
            decoded(WIRE.decoder(), [chunk({"content": "a"}, "content_filter")])
        assert caught.value.retry is None

    def test_odd_usage_counts_nothing(self):
        usage = {"prompt_tokens": None, "completion_tokens": "7", "prompt_tokens_details": None}
        assert decoded(WIRE.decoder(), [chunk({}, "stop", usage=usage)])[-1] == Completed()

    def test_a_broken_chunk_is_noticed(self):
        with pytest.raises(ModelError, match="damaged") as caught:
            WIRE.decoder().feed(ServerEvent("message", '{"choices": [{"delta"'))
        assert caught.value.kind == "stream"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"message": "Rain.", "type": "server_error"}, "server"),
            ({"message": "Rain.", "code": 429}, "rate"),
            ({"message": "Rain.", "code": "rate_limit_exceeded"}, "rate"),
            ({"message": "Rain.", "code": "insufficient_quota"}, "quota"),
            ({"message": "Rain.", "type": "exceed_context_size_error", "code": 400}, "too-long"),
            ({"message": "Rain.", "code": "invalid_api_key"}, "key"),
            ({"message": "Rain.", "type": "invalid_request_error"}, "request"),
            ("Rain.", "server"),
        ],
    )
    def test_an_error_in_the_stream(self, error, kind):
        with pytest.raises(ModelError, match=r"Rain\.") as caught:
            WIRE.decoder().feed(ServerEvent("message", json.dumps({"error": error})))
        assert caught.value.kind == kind
        assert isinstance(caught.value, AuthenticationError) == (kind == "key")

    def test_an_error_event(self):
        with pytest.raises(ModelError, match=r"Rain\."):
            WIRE.decoder().feed(ServerEvent("error", '{"message": "Rain."}'))

    def test_a_reply_without_anything(self):
        assert decoded(WIRE.decoder(), server_events(b"data: [DONE]\n\n")) == [Completed()]
