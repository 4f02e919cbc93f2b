import json

import codex_wire_chat
import httpx
import pytest

from codex_host.errors import ModelError
from codex_host.items import (
    AssistantMessage,
    ItemDone,
    Request,
    Text,
    ToolCall,
    ToolOutput,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from codex_host.testing.model_server import Call, Cut, Fail, Framing, ModelServer, Reply, Say, Think
from codex_host.testing.wire_api import decoded, server_events

WIRE = codex_wire_chat.codex_wire_api("chat")
QUESTION = UserMessage((Text("What is here?"),))
TOOL = ToolSpec("shell", "Runs a command.", {"type": "object"})
FRAMINGS = [
    Framing(),
    Framing(done=False, event_lines=True, fragments=1, usage="with-finish", reasoning_field="reasoning"),
    Framing(event_lines=False, fragments=9, usage="always", line_end="\r\n"),
]


def ask(server, request):
    """What the server answers, decoded."""
    url = server.base_url + WIRE.path
    answer = httpx.post(url, json=WIRE.encode(request), headers=WIRE.headers, timeout=10, trust_env=False)
    if answer.status_code != 200:
        raise WIRE.explain(answer.status_code, dict(answer.headers), answer.content)
    return decoded(WIRE.decoder(), server_events(answer.content))


def items(said):
    return tuple(event.item for event in said if isinstance(event, ItemDone))


@pytest.mark.parametrize("framing", FRAMINGS, ids=["openai", "plain", "odd"])
def test_a_tool_call_there_and_back(framing):
    first = Reply(
        Think("Hmm."),
        Say("I look."),
        Call("shell", {"command": ["ls"]}),
        Call("shell", "{}"),
        usage=Usage(9, 4, 5, 2),
    )
    with ModelServer([first, Reply(Say("Two files."))], framing=framing) as server:
        said = ask(server, Request("test-model", "Work.", (QUESTION,), (TOOL,)))
        reply = items(said)
        thought, message, *calls = reply
        assert thought.summary == ("Hmm.",)
        assert message == AssistantMessage("I look.")
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [
            ("shell", {"command": ["ls"]}),
            ("shell", {}),
        ]
        assert said[-1].usage == Usage(9, 4, 5, 2)
        outputs = [ToolOutput(call.call_id, ToolResult(f"output {n}")) for n, call in enumerate(calls)]
        said = ask(server, Request("test-model", "Work.", (QUESTION, *reply, *outputs), (TOOL,)))
        assert items(said) == (AssistantMessage("Two files."),)
        assert server.requests[1].tool_outputs == {
            calls[0].call_id: "output 0",
            calls[1].call_id: "output 1",
        }


def test_a_reply_that_is_cut_off():
    with ModelServer([Reply(Say("Hello"), Cut(clean=True))]) as server:
        with pytest.raises(ModelError) as caught:
            ask(server, Request("test-model", "", (QUESTION,)))
        assert caught.value.kind == "stream"


def test_a_reply_that_ran_out_of_room():
    with ModelServer([Reply(Say("Hello"), finish="length")]) as server:
        assert ask(server, Request("test-model", "", (QUESTION,)))[-1].cut


def test_a_failure_within_a_reply():
    with ModelServer([Reply(Say("Hello"), Fail("rate_limit_exceeded", "Too fast."))]) as server:
        with pytest.raises(ModelError, match=r"Too fast\.") as caught:
            ask(server, Request("test-model", "", (QUESTION,)))
        assert caught.value.kind == "rate"


def test_a_request_that_is_rejected():
    with ModelServer() as server:
        with pytest.raises(ModelError, match="call-1") as caught:
            ask(server, Request("test-model", "", (QUESTION, ToolCall("call-1", "shell", "{}"))))
        assert caught.value.kind == "request"
