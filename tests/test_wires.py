"""The wires in a real session: what they say of the conversation, and what comes of their replies."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import codex_wire_chat
import codex_wire_responses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host._server_events import ServerEventParser
from codex_host.events import MessageDelta, Notice, TaskEnded
from codex_host.items import ModelEvent, Request, ToolSpec
from codex_host.parts import Decoder, WireApi
from codex_host.testing.model_server import (
    Call,
    ModelServer,
    Raw,
    Received,
    Reply,
    Say,
    Stall,
    Status,
    Step,
    Think,
)
from codex_host.testing.session import Watching, make_host, play
from codex_host.testing.wire_api import decoded, server_events

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"
WIRES: dict[str, Any] = {
    "chat": codex_wire_chat.codex_wire_api("chat"),
    "responses": codex_wire_responses.codex_wire_api("responses"),
}
RECORDED = sorted(PLUGINS.glob("codex-wire-*/tests/transcripts/*.sse"))


def run(folder: Path, script: list[Step], *prompts: str, **how: Any) -> tuple[Watching, list[Received]]:
    """Play a script in one conversation that answers every prompt; what was shown, and the requests."""
    audience = Watching()
    with ModelServer(script) as server:
        endings = play(make_host(folder, server.base_url, **how), audience, *prompts)
    assert [ending.exit_code for ending in endings] == [0] * len(prompts), endings
    return audience, server.requests


# --- Streams ----------------------------------------------------------------------------------------------------------


def test_every_wire_has_recorded_streams() -> None:
    assert {path.parts[-4] for path in RECORDED} == {f"codex-wire-{name}" for name in WIRES}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
@given(data=st.data())
@settings(max_examples=50)
def test_the_network_may_split_a_stream_anywhere(path: Path, data: st.DataObject) -> None:
    wire = WIRES[path.parts[-4].removeprefix("codex-wire-")]
    line_end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    stream = path.read_bytes().replace(b"\n", line_end)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=40)))
    parser = ServerEventParser()
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += parser.feed(stream[start:end])
    events += parser.end()
    assert events == server_events(stream)
    request = Request("m", "", (), (ToolSpec("shell", "Runs a command.", {}),))
    said: list[ModelEvent] = decoded(wire.decoder_for(request), events)
    assert said == decoded(wire.decoder_for(request), server_events(path.read_bytes()))


def test_text_is_shown_while_the_model_still_writes(
    served: Callable[..., AbstractContextManager[ModelServer]],
) -> None:
    program = Path(sys.executable).with_name("codex")
    script = Reply(Say("Hello, world.", deltas=2), Stall())
    for wire in WIRES:
        with (
            served(script, wire_api=wire),
            subprocess.Popen(
                [program, "exec", "--skip-git-repo-check", "go"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ) as process,
        ):
            assert process.stderr is not None
            shown, deadline = b"", time.monotonic() + 30
            while b"codex: Hello, world." not in shown and time.monotonic() < deadline:
                if select.select([process.stderr], [], [], 1)[0]:
                    shown += os.read(process.stderr.fileno(), 1 << 16)
            process.terminate()
            assert b"codex: Hello, world." in shown, wire


def test_a_wire_need_not_look_at_the_request() -> None:
    class Plain(WireApi):
        path = "/plain"

        def encode(self, request: Request) -> dict[str, str]:
            return {}

        def decoder(self) -> Decoder:
            decoder: Decoder = WIRES["chat"].decoder()
            return decoder

    assert type(Plain().decoder_for(Request("m", "", ()))) is type(WIRES["chat"].decoder())


# --- Tool calls as text (chat) ----------------------------------------------------------------------------------------


def test_a_call_that_is_written_as_text_is_carried_out(tmp_path: Path) -> None:
    text = '<tool_call>\n{"name": "shell", "arguments": {"command": ["echo", "it is"]}}\n</tool_call>'
    audience, requests = run(tmp_path, [Reply(Say(text, deltas=9)), Reply(Say("Done."))], "go", wire="chat")
    assert "it is" in next(iter(requests[1].tool_outputs.values()))
    assert "".join(piece.text for piece in audience.of(MessageDelta)) == "Done."


def test_one_that_is_broken_is_told_to_the_model(tmp_path: Path) -> None:
    text = '<tool_call>\n{"name": "shell", "arguments": {"command": ["echo", }}\n</tool_call>'
    _, requests = run(tmp_path, [Reply(Say(text)), Reply(Say("Sorry."))], "go", wire="chat")
    assert "not valid JSON" in next(iter(requests[1].tool_outputs.values()))


# --- The conversation's state (responses) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "Previous response with id 'r' not found.", "code": "previous_response_not_found"}),
        (404, {"message": "Response with id 'r' not found.", "type": "NotFoundError"}),
    ],
)
def test_a_server_that_has_forgotten_is_told_everything(tmp_path: Path, status: int, error: dict[str, str]) -> None:
    refused = Status(status, {"error": error})
    script: list[Step] = [Reply(Say("a")), refused, Reply(Say("b")), Reply(Say("c"))]
    audience, requests = run(tmp_path, script, "one", "two", "three")
    told = [(len(request.user_texts), "previous_response_id" in request.body) for request in requests]
    assert told == [(1, False), (1, True), (2, False), (3, False)]
    assert [request.body["store"] for request in requests] == [True, True, False, False]
    assert sum("repeats the conversation" in notice.message for notice in audience.of(Notice)) == 1


def test_a_server_that_was_started_anew_is_told_everything(tmp_path: Path) -> None:
    """It is strict: it has no reply of its predecessor's, and rejects an output without its call."""
    servers = [ModelServer([Reply(Call("shell", {"command": ["true"]})), Reply(Say("a"))])]
    servers[0].start()
    base_url = servers[0].base_url

    def restart(event: object) -> None:
        if isinstance(event, TaskEnded) and len(servers) == 1:
            servers[0].stop()
            port = int(base_url.removesuffix("/v1").rpartition(":")[2])
            servers.append(ModelServer([Reply(Say("b"))], port=port))
            servers[1].start()

    try:
        endings = play(make_host(tmp_path, base_url), Watching(on_event=restart), "one", "two")
    finally:
        servers[-1].stop()
    assert [ending.message for ending in endings] == ["a", "b"]
    assert servers[1].requests[-1].user_texts == ["one", "two"]
    assert len(servers[1].requests[-1].tool_outputs) == 1


def test_a_server_that_says_it_stores_nothing_is_told_everything(tmp_path: Path) -> None:
    def answer(text: str) -> Raw:
        output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
        response = {"id": "r", "model": "m", "store": False, "previous_response_id": None, "output": output}
        return stream({"type": "response.completed", "response": response})

    _, requests = run(tmp_path, [answer("a"), answer("b")], "one", "two")
    assert [request.user_texts for request in requests] == [["one"], ["one", "two"]]


def test_encrypted_reasoning_goes_back_to_a_server_that_keeps_nothing(tmp_path: Path) -> None:
    script: list[Step] = [
        Reply(Think("Hm.", encrypted="gAAAAA=="), Call("shell", {"command": ["true"]})),
        Reply(Say("a")),
    ]
    _, requests = run(tmp_path, script, "go", disable_response_storage=True, model="o3")
    assert requests[0].body["include"] == ["reasoning.encrypted_content"]
    kinds = [item["type"] for item in requests[1].body["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    assert requests[1].body["input"][1]["encrypted_content"] == "gAAAAA=="


def test_items_of_an_unknown_kind_go_back_to_a_server_that_keeps_nothing(tmp_path: Path) -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "é"}}
    call = {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": '{"command": ["true"]}'}
    items = [{"type": "response.output_item.done", "item": item} for item in (search, call)]
    reply = stream(*items, {"type": "response.completed", "response": {"id": "r", "output": [search, call]}})
    _, requests = run(tmp_path, [reply, Reply(Say("Done."))], "go", disable_response_storage=True)
    assert requests[1].body["input"][1] == search
    assert [item["type"] for item in requests[1].body["input"][2:]] == [
        "function_call",
        "function_call_output",
    ]


def stream(*events: dict[str, Any]) -> Raw:
    """A Responses stream of these events."""
    return Raw([line for event in events for line in (f"data: {json.dumps(event)}", "")])


# --- Reasoning (responses) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ({"model": "o4-mini"}, {"effort": "high", "summary": "auto"}),
        ({"model": "o4-mini", "model_reasoning_summary": "none"}, {"effort": "high"}),
        ({"model": "gpt-4.1"}, None),
        ({"model": "gpt-4.1", "model_reasoning_effort": "low"}, {"effort": "low"}),
    ],
)
def test_reasoning_is_asked_of_models_that_take_it(tmp_path: Path, configured: dict[str, str], sent: object) -> None:
    _, requests = run(tmp_path, [Reply(Say("a"))], "go", **configured)
    assert requests[0].body.get("reasoning") == sent
