"""The scripted model server, asked over real sockets."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from codex_host.testing.model_server import (
    Call,
    Cut,
    Fail,
    Framing,
    Garbage,
    ModelServer,
    Raw,
    Received,
    Reply,
    Say,
    Stall,
    Status,
    Think,
    Usage,
    main,
)

WIRES = ("responses", "chat/completions")
TOOL_TURN = Reply(Think("Let me see."), Say("I look."), Call("shell", {"command": ["ls"]}, "call_1"))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


def request(wire: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request body with a user's message and these further items."""
    conversation = "input" if wire == "responses" else "messages"
    return {
        "model": "m",
        "stream": True,
        conversation: [{"role": "user", "content": "hello"}, *items],
        **more,
    }


def ask(client: httpx.Client, server: ModelServer, wire: str, *items: dict[str, Any], **more: Any) -> httpx.Response:
    return client.post(f"{server.base_url}/{wire}", json=request(wire, *items, **more))


def data(text: str) -> list[Any]:
    """The data of every event, parsed; what is not JSON stays text."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) if line.endswith("}") else line for line in lines]


def deltas(text: str) -> list[str]:
    """The assistant's text pieces, whichever wire `text` came over."""
    pieces = []
    for event in data(text):
        if not isinstance(event, dict):
            continue
        if event.get("type") == "response.output_text.delta":
            pieces.append(event["delta"])
        pieces += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
    return [piece for piece in pieces if piece]


def call_and_output(wire: str, call_id: str = "call_1") -> list[dict[str, Any]]:
    if wire == "responses":
        return [
            {"type": "function_call", "call_id": call_id, "name": "shell", "arguments": "{}"},
            {"type": "function_call_output", "call_id": call_id, "output": "a b"},
        ]
    call = {"id": call_id, "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "a b"},
    ]


def test_responses_stream_has_the_events_of_a_real_server(client: httpx.Client) -> None:
    usage = Usage(input=9, cached_input=4, output=7, reasoning=2)
    with ModelServer([Reply(*TOOL_TURN.parts, usage=usage)]) as server:
        answer = ask(client, server, "responses")
    assert answer.headers["content-type"] == "text/event-stream"
    events = data(answer.text)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    assert [name for name, _ in itertools.groupby(name.removeprefix("response.") for name in names)] == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
        *("output_item.done", "completed"),
    ]
    response = events[-1]["response"]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert response["output"] == items
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
    assert items[2]["call_id"] == "call_1"
    assert json.loads(items[2]["arguments"]) == {"command": ["ls"]}
    assert response["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }


def test_chat_stream_has_the_chunks_of_a_real_server(client: httpx.Client) -> None:
    with ModelServer([TOOL_TURN]) as server:
        answer = ask(client, server, "chat/completions", stream_options={"include_usage": True})
    *chunks, usage, end = data(answer.text)
    assert end == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 120
    found = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert found[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("reasoning_content", "") for delta in found) == "Let me see."
    calls = [delta["tool_calls"][0] for delta in found if "tool_calls" in delta]
    assert (calls[0]["id"], calls[0]["function"]["name"], len(calls)) == ("call_1", "shell", 4)
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"command": ["ls"]}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "tool_calls"]


@pytest.mark.parametrize("wire", WIRES)
def test_one_scenario_runs_on_both_wires(client: httpx.Client, wire: str) -> None:
    def react(received: Received) -> Reply:
        return Reply(Say(f"{received.user_texts} {received.tool_outputs} {received.tool_names}"))

    function = {"name": "shell", "parameters": {}}
    tool = {"type": "function", **(function if wire == "responses" else {"function": function})}
    with ModelServer([TOOL_TURN, react]) as server:
        first = ask(client, server, wire)
        second = ask(client, server, wire, *call_and_output(wire), tools=[tool])
    assert "".join(deltas(first.text)) == "I look."
    assert len(deltas(first.text)) == 3
    assert "".join(deltas(second.text)) == "['hello'] {'call_1': 'a b'} ['shell']"
    assert [received.path for received in server.requests] == [f"/v1/{wire}"] * 2
    assert server.requests[0].headers["host"].startswith("127.0.0.1:")
    assert server.requests[0].body == request(wire)


@pytest.mark.parametrize("wire", WIRES)
def test_a_request_beyond_the_script_fails_the_test(client: httpx.Client, wire: str) -> None:
    answers = []

    def ask_too_much(error: type[Exception] | None = None) -> None:
        with ModelServer() as server:
            answers.append(ask(client, server, wire))
            if error is not None:
                raise error

    with pytest.raises(AssertionError, match="script is at its end"):
        ask_too_much()
    with pytest.raises(KeyError):  # what went wrong in the block is told first
        ask_too_much(KeyError)
    assert answers[0].status_code == 500
    assert "at its end" in answers[0].json()["error"]["message"]


def test_an_unknown_path_fails_the_test(client: httpx.Client) -> None:
    with ModelServer() as server:
        client.get(f"{server.base_url}/nowhere")
        assert server.unexpected == ["Unknown request: GET /v1/nowhere"]
        server.unexpected.clear()


@pytest.mark.parametrize("wrong", [lambda received: 1 / 0, lambda received: None])
def test_a_function_that_does_not_answer_fails_the_test(client: httpx.Client, wrong: Any) -> None:
    with ModelServer([wrong]) as server:
        assert ask(client, server, "responses").status_code == 500
        assert len(server.unexpected) == 1
        server.unexpected.clear()


def test_models_are_listed_without_using_the_script(client: httpx.Client) -> None:
    with ModelServer(models=["a", "b"]) as server:
        listed = client.get(f"{server.base_url}/models").json()
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    with ModelServer(models=Status(404)) as server:
        assert client.get(f"{server.base_url}/models").status_code == 404


def test_status_replies_keep_code_headers_and_body(client: httpx.Client) -> None:
    script = [
        Status(429, headers={"Retry-After": "1"}),
        Status(401, {"error": {"code": "x"}}),
        Status(500, "no"),
    ]
    with ModelServer(script) as server:
        answers = [ask(client, server, "responses") for _ in script]
    assert [answer.status_code for answer in answers] == [429, 401, 500]
    assert answers[0].headers["retry-after"] == "1"
    assert "message" in answers[0].json()["error"]
    assert answers[1].json() == {"error": {"code": "x"}}
    assert (answers[2].text, answers[2].headers["content-type"]) == ("no", "text/plain; charset=utf-8")


def test_a_script_may_be_endless(client: httpx.Client) -> None:
    with ModelServer(itertools.repeat(Status(500))) as server:
        assert {ask(client, server, "responses").status_code for _ in range(20)} == {500}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [Cut(), Cut(after_events=3), Cut(clean=True), Cut(3, clean=True)])
def test_a_cut_stream_has_no_end(client: httpx.Client, wire: str, fault: Cut) -> None:
    received: list[str] = []
    with ModelServer([Reply(Say("abc"), fault, Say("never sent"))]) as server:
        url = f"{server.base_url}/{wire}"
        with client.stream("POST", url, json=request(wire)) as answer:
            try:
                received.extend(answer.iter_lines())
                closed = False
            except httpx.RemoteProtocolError:
                closed = True
    events = data("\n".join(received))
    assert closed is not fault.clean
    assert len(events) == 3 or fault.after_events is None
    assert "never" not in str(events)
    assert "response.completed" not in [event.get("type") for event in events]
    assert "[DONE]" not in str(events)


def test_alone_a_cut_is_no_answer_at_all(client: httpx.Client) -> None:
    with ModelServer([Cut()]) as server, pytest.raises(httpx.RemoteProtocolError, match="without sending"):
        ask(client, server, "responses")


@pytest.mark.parametrize("wire", WIRES)
def test_a_stalled_stream_ends_when_the_server_stops(client: httpx.Client, wire: str) -> None:
    server = ModelServer([Reply(Say("abc"), Stall())])
    server.start()
    with client.stream("POST", f"{server.base_url}/{wire}", json=request(wire)) as answer:
        lines = answer.iter_lines()
        while '"c"' not in next(lines):
            pass
        server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)


def test_a_stalled_answer_ends_when_the_client_leaves() -> None:
    with ModelServer([Stall()]) as server, httpx.Client(timeout=0.05, trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            ask(client, server, "responses")
        assert len(server.requests) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("garbage", [Garbage("{no"), Garbage("{no", after_events=4), Garbage("{no", 1000)])
def test_garbage_stands_between_good_events(client: httpx.Client, wire: str, garbage: Garbage) -> None:
    with ModelServer([Reply(Say("ab"), garbage, Say("cd"))]) as server:
        answer = ask(client, server, wire)
    assert "data: {no\n\n" in answer.text
    assert "".join(deltas(answer.text)) == "abcd"
    if garbage.after_events == 4:
        assert data(answer.text).index("{no") == 4


def test_a_failure_is_the_last_event(client: httpx.Client) -> None:
    reply = Reply(Say("ab"), Fail("context_length_exceeded", "too long"))
    with ModelServer([reply, reply]) as server:
        responses, chat = (data(ask(client, server, wire).text)[-1] for wire in WIRES)
    assert responses["type"] == "response.failed"
    assert responses["response"]["error"] == {"code": "context_length_exceeded", "message": "too long"}
    assert chat["error"]["code"] == "context_length_exceeded"


def test_a_reply_that_ran_out_of_room_is_incomplete(client: httpx.Client) -> None:
    reply = Reply(Say("ab"), finish="length", usage=None)
    with ModelServer([reply, reply]) as server:
        responses, chat = (data(ask(client, server, wire).text) for wire in WIRES)
    assert responses[-1]["type"] == "response.incomplete"
    assert responses[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert responses[-1]["response"]["usage"] is None
    assert chat[-2]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("body", ["data: ü\n\ndata: [DONE]\n\n", ["data: ü", "", "data: [DONE]", ""], None])
def test_raw_bodies_are_sent_as_they_are(client: httpx.Client, body: Any) -> None:
    expected = "data: ü\n\ndata: [DONE]\n\n".encode()
    with ModelServer([Raw(body or expected, content_type="text/plain")]) as server:
        answer = ask(client, server, "responses")
    assert answer.content == expected
    assert answer.headers["content-type"] == "text/plain"


def test_framing_plays_the_quirks_of_servers(client: httpx.Client) -> None:
    framing = Framing(
        done=False,
        event_lines=True,
        fragments=1,
        usage="with-finish",
        reasoning_field="reasoning",
        line_end="\r\n",
    )
    with ModelServer([TOOL_TURN], framing=framing) as server:
        text = ask(client, server, "chat/completions").text
    chunks = data(text)
    assert text.count("event: message\r\n") == len(chunks)
    assert text.endswith("}\r\n\r\n")
    assert text.count("\n") == text.count("\r\n")
    assert chunks[-1]["usage"]["total_tokens"] == 120
    assert "".join(chunk["choices"][0]["delta"].get("reasoning", "") for chunk in chunks) == "Let me see."
    (call,) = [
        chunk["choices"][0]["delta"]["tool_calls"][0]
        for chunk in chunks
        if "tool_calls" in str(chunk["choices"][0]["delta"])
    ]
    assert call["function"] == {"name": "shell", "arguments": '{"command":["ls"]}'}
    with ModelServer([TOOL_TURN, TOOL_TURN], framing=Framing(event_lines=False, usage="always")) as server:
        assert "event: " not in ask(client, server, "responses").text
        assert '"choices":[],"usage"' in ask(client, server, "chat/completions").text


def test_the_responses_server_remembers_what_it_completed(client: httpx.Client) -> None:
    output = call_and_output("responses")[1]
    with ModelServer([TOOL_TURN, Reply(Say("done")), Reply(Cut(after_events=1))]) as server:
        first = data(ask(client, server, "responses").text)[-1]["response"]["id"]
        follow = {"previous_response_id": first}
        unanswered = ask(client, server, "responses", **follow)
        second = data(ask(client, server, "responses", output, **follow).text)[-1]["response"]["id"]
        assert second != first
    assert unanswered.status_code == 400
    assert "No tool output found for function call call_1" in unanswered.json()["error"]["message"]
    assert len(server.requests) == 3


def test_an_unknown_or_unstored_response_is_rejected(client: httpx.Client) -> None:
    with ModelServer([Reply(Say("a"))]) as server:
        unstored = data(ask(client, server, "responses", store=False).text)[-1]["response"]["id"]
        for name in (unstored, "resp_never"):
            answer = ask(client, server, "responses", previous_response_id=name)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize(
    ("wire", "items", "message"),
    [
        ("responses", call_and_output("responses")[1:], "No tool call found for function call output"),
        ("responses", call_and_output("responses")[::-1], "No tool call found for function call output"),
        ("responses", call_and_output("responses")[:1], "No tool output found for function call call_1"),
        ("responses", [{"type": "function_call", "call_id": "c", "arguments": {}}], "expected a string"),
        ("responses", ["no item"], "malformed"),
        ("chat/completions", call_and_output("chat/completions")[1:], "must be a response to a preceding"),
        (
            "chat/completions",
            call_and_output("chat/completions")[:1],
            "did not have response messages: call_1",
        ),
        (
            "chat/completions",
            [call_and_output("chat/completions")[0], {"role": "user", "content": "and?"}],
            "did not have response messages: call_1",
        ),
        ("chat/completions", [{"role": "assistant", "tool_calls": [{}]}], "expected a string"),
    ],
)
def test_a_broken_conversation_is_rejected(client: httpx.Client, wire: str, items: list[Any], message: str) -> None:
    with ModelServer([Reply(Say("ok"))]) as server:
        answer = ask(client, server, wire, *items)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert message in error["message"]
        assert error["type"] == "invalid_request_error"
        assert ask(client, server, wire).status_code == 200
    with ModelServer([Reply(Say("ok"))], strict=False) as server:
        assert ask(client, server, wire, *items).status_code == 200


@pytest.mark.parametrize("wire", WIRES)
def test_a_malformed_request_is_rejected(client: httpx.Client, wire: str) -> None:
    tool = {"type": "function", **({"function": {"name": "a"}} if wire == "responses" else {"name": "a"})}
    good = request(wire)
    with ModelServer() as server:
        url = f"{server.base_url}/{wire}"
        assert client.post(url, content=b"{no json").status_code == 400
        for body in (
            {**good, "model": ""},
            {**good, "stream": False},
            {**good, "tools": [tool]},
            {"model": "m"},
        ):
            assert client.post(url, json=body).status_code == 400


@pytest.mark.parametrize("wire", WIRES)
def test_two_hundred_thousand_deltas_are_sent(client: httpx.Client, wire: str) -> None:
    count = 200_000
    with ModelServer([Reply(Say("word " * count, deltas=count))]) as server:
        body = ask(client, server, wire).content
    assert body.count(b'"word "') == count


def test_nothing_is_left_behind(client: httpx.Client) -> None:
    threads = threading.active_count()
    for _ in range(20):
        with ModelServer([Reply(Say("a")), Stall()]) as server:
            ask(client, server, "responses")  # the client keeps this connection open
        server.stop()  # a second time
    assert threading.active_count() == threads
    with pytest.raises(RuntimeError):
        assert server.base_url


def test_connections_are_served_beside_each_other(client: httpx.Client) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(received: Received) -> Reply:
        both.wait()
        return Reply(Say("met"))

    with ModelServer([meet, meet]) as server:
        other = threading.Thread(
            target=httpx.post, args=(f"{server.base_url}/responses",), kwargs={"json": request("responses")}
        )
        other.start()
        assert ask(client, server, "responses").status_code == 200
        other.join()


@pytest.mark.skipif(sys.platform == "win32", reason="stopped by a signal")
def test_as_a_program(client: httpx.Client, tmp_path: Path) -> None:
    script = {
        "replies": [
            {"status": 429, "headers": {"Retry-After": "1"}},
            {
                "reply": [
                    {"think": "hm"},
                    {"say": "word ", "times": 5, "deltas": 5},
                    {"call": "shell", "arguments": {"a": 1}},
                ],
                "usage": {"input": 9, "output": 9},
            },
            {"cut": None},
        ],
        "framing": {"done": False},
    }
    (tmp_path / "script.json").write_text(json.dumps(script))
    command = [sys.executable, "-m", "codex_host.testing.model_server"]
    files = ["--script", str(tmp_path / "script.json"), "--requests", str(tmp_path / "requests")]
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [*command, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip() + "/chat/completions"
        assert client.post(url, json=request("chat/completions")).status_code == 429
        assert deltas(client.post(url, json=request("chat/completions")).text) == ["word "] * 5
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(url, json=request("chat/completions"))
        assert client.post(url, json=request("chat/completions")).status_code == 500
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "script is at its end" in errors
    assert len((tmp_path / "requests").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "script",
    [
        '{"replies": [{"sing": "la"}]}',
        '[{"reply": [{"say": "a", "dletas": 1}]}]',
        '[{"reply": [], "x": 1}]',
        "{",
        "{}",
    ],
)
def test_a_wrong_script_file_is_refused(tmp_path: Path, script: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script.json").write_text(script)
    with pytest.raises(SystemExit) as ended:
        main(["--script", str(tmp_path / "script.json")])
    assert ended.value.code == 2
    assert "script.json" in capsys.readouterr().err
