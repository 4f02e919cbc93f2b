import json
from pathlib import Path

import codex_wire_responses
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
from codex_host.testing.wire_api import WireApiContract, WireTranscript, decoded

TRANSCRIPTS = Path(__file__).with_name("transcripts")


def recorded(name):
    return (TRANSCRIPTS / f"{name}.sse").read_bytes()


class TestResponses(WireApiContract):
    module = codex_wire_responses
    name = "responses"
    transcripts = (
        WireTranscript(
            "openai",
            recorded("openai"),
            (
                Reasoning(("**Looking**",), "rs_1", "gAAAAA=="),
                AssistantMessage("I look."),
                ToolCall("call_1", "shell", '{"command":["ls"]}'),
            ),
            Completed("resp_1", Usage(328, 128, 52, 16)),
        ),
        # `data:` lines only, and items that only the last event has.
        WireTranscript(
            "local server",
            recorded("local-server"),
            (AssistantMessage("Two files."), ToolCall("req_0_tool_call", "shell", '{"command": ["ls"]}')),
            Completed("resp_req_0"),
        ),
    )


WIRE = codex_wire_responses.codex_wire_api("responses")
QUESTION = UserMessage((Text("What is here?"),))
PICTURE = Image("data:image/png;base64,AA==")


def event(kind, **fields):
    return ServerEvent(kind, json.dumps({"type": kind, **fields}))


def done(item):
    return event("response.output_item.done", item=item)


def completed(*output, kind="completed", **fields):
    return event(f"response.{kind}", response={"id": "r", "status": kind, "output": list(output), **fields})


def message(text, **fields):
    return {"type": "message", "content": [{"type": "output_text", "text": text}], **fields}


def call(arguments="{}", **fields):
    return {"type": "function_call", "name": "f", "arguments": arguments, **fields}


def items(*events):
    return [said.item for said in decoded(WIRE.decoder(), events) if isinstance(said, ItemDone)]


def encoded(item):
    return WIRE.encode(Request("m", "", (item,)))["input"][0]


class TestEncoding:
    def test_fields_in_order(self):
        tool = ToolSpec("shell", "Runs a command.", {"type": "object"})
        request = Request(
            "m",
            "Work.",
            (QUESTION,),
            (tool,),
            previous="resp_0",
            store=True,
            reasoning_effort="high",
            reasoning_summary="auto",
        )
        body = WIRE.encode(request)
        assert body == {
            "model": "m",
            "instructions": "Work.",
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "What is here?"}],
                }
            ],
            "tools": [
                {
                    "type": "function",
                    "name": "shell",
                    "description": "Runs a command.",
                    "strict": False,
                    "parameters": {"type": "object"},
                }
            ],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "reasoning": {"effort": "high", "summary": "auto"},
            "previous_response_id": "resp_0",
            "store": True,
            "stream": True,
        }
        assert list(body)[:3] == ["model", "instructions", "input"]

    def test_a_request_without_more_says_no_more(self):
        body = WIRE.encode(Request("m", "", (QUESTION,)))
        assert body.keys() == {"model", "input", "store", "stream"}
        assert body["store"] is False

    def test_only_the_reasoning_that_is_set(self):
        body = WIRE.encode(Request("m", "", (QUESTION,), store=True, reasoning_effort="low"))
        assert body["reasoning"] == {"effort": "low"}
        assert "include" not in body

    def test_without_storage_encrypted_reasoning_is_asked_for_and_given_back(self):
        thought = Reasoning(("Hm.",), "rs_1", "gAAAAA==")
        body = WIRE.encode(Request("m", "", (QUESTION, thought), reasoning_effort="low"))
        assert body["include"] == ["reasoning.encrypted_content"]
        assert body["input"][1] == {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gAAAAA==",
        }

    def test_other_reasoning_stays_here(self):
        body = WIRE.encode(Request("m", "", (QUESTION, Reasoning(("Hm.",), "rs_1"))))
        assert len(body["input"]) == 1

    def test_messages_calls_and_outputs(self):
        assert encoded(AssistantMessage("Yes.")) == {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Yes."}],
        }
        assert encoded(ToolCall("a", "f", '{"x"')) == {
            "type": "function_call",
            "call_id": "a",
            "name": "f",
            "arguments": '{"x"',
        }
        assert encoded(ToolOutput("a", ToolResult("text", success=False))) == {
            "type": "function_call_output",
            "call_id": "a",
            "output": "text",
        }

    def test_images(self):
        picture = {"type": "input_image", "image_url": PICTURE.url}
        assert encoded(UserMessage((PICTURE,)))["content"] == [picture]
        output = encoded(ToolOutput("a", ToolResult("See:", images=(PICTURE,))))["output"]
        assert output == [{"type": "input_text", "text": "See:"}, picture]


class TestDecoding:
    def test_deltas(self):
        decoder = WIRE.decoder()
        assert decoder.feed(event("response.output_text.delta", delta="a")) == [TextDelta("a")]
        assert decoder.feed(event("response.refusal.delta", delta="b")) == [TextDelta("b")]
        for kind in ("reasoning_summary_text", "reasoning_text"):
            assert decoder.feed(event(f"response.{kind}.delta", delta="c")) == [ReasoningDelta("c")]

    def test_summary_parts_are_set_apart(self):
        decoder = WIRE.decoder()
        kind = "response.reasoning_summary_part.added"
        assert decoder.feed(event(kind, summary_index=0)) == []
        assert decoder.feed(event(kind, summary_index=1)) == [ReasoningDelta("\n\n")]

    def test_the_type_may_stand_in_the_event_line_only(self):
        said = WIRE.decoder().feed(ServerEvent("response.output_text.delta", '{"delta": "a"}'))
        assert said == [TextDelta("a")]

    def test_items_come_once(self):
        answer, tool = message("a"), call(call_id="c")
        again = [message("a", id="another"), tool]
        assert items(done(answer), done(tool), completed(*again)) == [
            AssistantMessage("a"),
            ToolCall("c", "f", "{}"),
        ]

    def test_equal_messages_are_two(self):
        assert items(done(message("a")), done(message("a")), completed(message("a"), message("a"))) == [
            AssistantMessage("a"),
            AssistantMessage("a"),
        ]

    def test_items_that_only_the_last_event_has(self):
        said = items(done(message("a")), completed(message("a"), call(call_id="c")))
        assert said == [AssistantMessage("a"), ToolCall("c", "f", "{}")]

    def test_a_message_that_came_in_deltas_only(self):
        deltas = [event("response.output_text.delta", delta=text) for text in "ab"]
        assert items(*deltas, completed()) == [AssistantMessage("ab")]

    def test_a_call_with_nothing_but_its_item_id(self):
        assert items(done(call(id="fc_1")), completed()) == [ToolCall("fc_1", "f", "{}")]

    def test_empty_and_repeated_ids_become_unique(self):
        said = items(
            done(call()), done(call()), done(call(call_id="c")), done(call(call_id="c")), completed()
        )
        assert len({each.call_id for each in said}) == 4
        assert all(each.call_id for each in said)

    def test_arguments_as_an_object(self):
        assert items(done(call({"x": 1}, call_id="c")), completed()) == [ToolCall("c", "f", '{"x": 1}')]

    def test_reasoning_of_open_models(self):
        thought = {
            "type": "reasoning",
            "id": "rs",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        }
        assert items(done(thought), completed()) == [Reasoning(("Hm.",), "rs")]

    def test_a_refusal_is_text(self):
        refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
        assert items(done(refusal), completed()) == [AssistantMessage("No.")]

    def test_other_items_are_ignored(self):
        assert items(done({"type": "web_search_call", "id": "ws"}), done(None), completed()) == []

    @pytest.mark.parametrize(
        "last",
        [
            completed(kind="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            event("response.completed", response={"id": "r", "status": "incomplete"}),
        ],
    )
    def test_an_incomplete_reply_is_cut(self, last):
        assert decoded(WIRE.decoder(), [done(message("a")), last])[-1] == Completed("r", cut=True)

    def test_a_content_filter_is_an_error(self):
        last = completed(kind="incomplete", incomplete_details={"reason": "content_filter"})
        with pytest.raises(ModelError, match="content filter") as caught:
            decoded(WIRE.decoder(), [last])
        assert caught.value.retry is None

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("server_error", "server"),
            ("rate_limit_exceeded", "rate"),
            ("insufficient_quota", "quota"),
            ("context_length_exceeded", "too-long"),
            ("invalid_prompt", "request"),
            ("invalid_api_key", "key"),
            ("something_new", "server"),
        ],
    )
    def test_failures(self, code, kind):
        error = {"code": code, "message": "Rain."}
        shapes = [
            completed(kind="failed", error=error),
            event("error", **error),
            event("error", error=error),
            ServerEvent("message", json.dumps({"error": error})),
        ]
        for shape in shapes:
            with pytest.raises(ModelError, match=r"Rain\.") as caught:
                WIRE.decoder().feed(shape)
            assert caught.value.kind == kind
            assert isinstance(caught.value, AuthenticationError) == (kind == "key")

    def test_a_failure_without_a_reason(self):
        with pytest.raises(ModelError, match="no reason"):
            WIRE.decoder().feed(event("response.failed"))
