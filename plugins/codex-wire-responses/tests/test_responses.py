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
    Opaque,
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
        # `transformers serve` 5.23: it keeps nothing, and says a message once more after a call.
        WireTranscript(
            "transformers",
            recorded("transformers"),
            (
                AssistantMessage("I look at the files."),
                ToolCall("req-0_tool_call_0", "shell", '{"command": ["ls"]}'),
            ),
            Completed(None, Usage(36, 0, 13, 0)),
        ),
        # `@copilotkit/aimock` 1.43: it keeps nothing either.
        WireTranscript(
            "aimock",
            recorded("aimock"),
            (
                ToolCall("call_BDzYarwtdvx9tfJG", "shell", '{"command":["ls"]}'),
                ToolCall("call_rXzWQHXdTrB1NK4v", "shell", '{"command":["pwd"]}'),
            ),
            Completed(),
        ),
    )


WIRE = codex_wire_responses.codex_wire_api("responses")
QUESTION = UserMessage((Text("What is here?"),))
CONTINUING = Request("m", "", (QUESTION,), previous="resp_0", store=True)
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

    @pytest.mark.parametrize("model", ["o4-mini", "o3", "codex-mini-latest", "gpt-5.1-codex", "openai/o1"])
    def test_models_that_reason_are_asked_to(self, model):
        """As the original asks every model."""
        body = WIRE.encode(Request(model, "", (QUESTION,)))
        assert body["reasoning"] == {"effort": "high", "summary": "auto"}
        assert body["include"] == ["reasoning.encrypted_content"]

    @pytest.mark.parametrize("model", ["gpt-4.1", "olmo-2", "gpt-5-chat-latest", "my-o3", "qwen3"])
    def test_other_models_are_not(self, model):
        assert "reasoning" not in WIRE.encode(Request(model, "", (QUESTION,)))

    @pytest.mark.parametrize(
        ("model", "effort", "summary", "sent"),
        [
            ("o3", "low", None, {"effort": "low", "summary": "auto"}),
            ("o3", None, "detailed", {"effort": "high", "summary": "detailed"}),
            ("o3", None, "none", {"effort": "high"}),
            ("m", "low", "none", {"effort": "low"}),
            ("m", None, "concise", {"summary": "concise"}),
            ("m", None, "none", None),
        ],
    )
    def test_what_is_configured_comes_first(self, model, effort, summary, sent):
        request = Request(model, "", (QUESTION,), reasoning_effort=effort, reasoning_summary=summary)
        assert WIRE.encode(request).get("reasoning") == sent

    def test_items_of_another_wire_stay_here(self):
        assert len(WIRE.encode(Request("m", "", (QUESTION, Opaque("another", "{}"))))["input"]) == 1

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
        said = items(done(call()), done(call()), done(call(call_id="c")), done(call(call_id="c")), completed())
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

    def test_what_is_no_item_is_ignored(self):
        assert items(done(None), done({}), done({"type": 7}), completed(None)) == []

    def test_unknown_items_come_back_as_they_came(self):
        first, second = ({"type": "web_search_call", "id": name, "action": {"n": 1}} for name in ("a", "b"))
        renamed = [{**first, "id": "another"}, second]
        said = items(done(first), done(second), completed(*renamed))
        assert [encoded(item) for item in said] == [first, second]

    def test_unknown_items_that_only_the_last_event_has(self):
        search = {"type": "web_search_call", "id": "a"}
        said = items(completed(message("a"), search))
        assert said[0] == AssistantMessage("a")
        assert encoded(said[1]) == search

    @pytest.mark.parametrize(
        ("echo", "kept"),
        [
            ({}, "r"),
            ({"store": True}, "r"),
            ({"store": False}, None),
            ({"model": "m", "previous_response_id": None}, "r"),
            ({"model": "m"}, None),
        ],
    )
    def test_a_reply_that_is_not_stored_cannot_be_continued(self, echo, kept):
        assert decoded(WIRE.decoder(), [completed(**echo)])[-1].response_id == kept

    @pytest.mark.parametrize("echo", [{}, {"model": "m", "previous_response_id": "resp_0"}])
    def test_a_server_that_goes_on(self, echo):
        decoder = WIRE.decoder_for(CONTINUING)
        assert decoder.feed(event("response.created", response={"id": "r", **echo})) == []

    @pytest.mark.parametrize("echo", [{}, {"previous_response_id": None}])
    def test_a_server_that_overlooks_what_it_shall_go_on_from(self, echo):
        created = event("response.created", response={"id": "r", "model": "m", **echo})
        assert WIRE.decoder_for(Request("m", "", (QUESTION,))).feed(created) == []
        with pytest.raises(ModelError, match="does not keep the conversation") as caught:
            WIRE.decoder_for(CONTINUING).feed(created)
        assert caught.value.kind == "forgotten"
        assert caught.value.retry is None

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


class TestFailedRequests:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (
                400,
                {
                    "message": "Previous response with id 'r' not found.",
                    "code": "previous_response_not_found",
                },
            ),
            (400, {"message": "Unknown parameter: 'previous_response_id'.", "code": "unknown_parameter"}),
            (404, {"message": "Response with id 'r' not found.", "param": "response_id", "code": 404}),
        ],
    )
    def test_a_reply_that_the_server_does_not_have(self, status, error):
        explained = WIRE.explain(status, {}, json.dumps({"error": error}).encode())
        assert explained.kind == "forgotten"
        assert explained.retry is None
        assert error["message"] in str(explained)

    def test_other_reasons_are_what_they_are(self):
        for status, kind in ((400, "request"), (404, "request"), (401, "key"), (500, "server")):
            assert WIRE.explain(status, {}, b'{"error": {"message": "Model m not found."}}').kind == kind
        assert WIRE.explain(500, {}, b"previous_response_id").kind == "server"
