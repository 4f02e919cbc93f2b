import asyncio
import json
from dataclasses import replace

import codex_provider_replay
import pytest

from codex_host.config import Config
from codex_host.errors import ConfigError, ModelError
from codex_host.parts import HttpRequest
from codex_host.testing.provider import ProviderContract

HEADER = {"type": "cassette", "version": 1, "wire_api": "responses"}
STREAM = {"content-type": "text/event-stream"}


class TestReplay(ProviderContract):
    module = codex_provider_replay
    name = "replay"

    def configure(self, home):
        return Config(home=home, plugins={"replay": {"cassette": "run.jsonl"}})


def exchange(*events, method="POST", path="/responses", **response):
    if "body" not in response:
        response["events"] = list(events)
    request = {"method": method, "path": path}
    return {"type": "exchange", "request": request, "response": {"headers": STREAM, **response}}


def provider(tmp_path, *lines, **settings):
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    (tmp_path / "run.jsonl").write_text(text, "utf-8", newline="")
    config = Config(home=tmp_path, plugins={"replay": {"cassette": "run.jsonl", **settings}})
    return codex_provider_replay.codex_provider("replay", config)


def asked(provider, path="/responses", method="POST"):
    """What one request is answered: status, headers and the pieces of the body."""

    async def ask():
        async with provider.exchange(HttpRequest(method, provider.base_url + path, {}, b"{}")) as reply:
            return reply.status, reply.headers, [piece async for piece in reply.chunks]

    return asyncio.run(ask())


def test_plays_one_exchange_for_each_request(tmp_path):
    event = {"event": "response.created", "data": {"type": "response.created", "text": "é"}}
    replay = provider(
        tmp_path, HEADER, exchange(event, {"data": "[DONE]"}), exchange(body="no", status=404, headers={})
    )
    status, headers, pieces = asked(replay)
    assert (status, headers) == (200, STREAM)
    first, second = pieces
    assert first.decode() == 'event: response.created\ndata: {"type":"response.created","text":"é"}\n\n'
    assert second == b"data: [DONE]\n\n"
    assert asked(replay) == (404, {}, [b"no"])


def test_data_of_several_lines_is_several_fields(tmp_path):
    _, _, pieces = asked(provider(tmp_path, HEADER, exchange({"data": "a\nb"})))
    assert pieces == [b"data: a\ndata: b\n\n"]


def test_long_events_come_in_several_pieces(tmp_path):
    text = "ä" * 5000
    _, _, pieces = asked(provider(tmp_path, HEADER, exchange({"data": {"delta": text}})))
    assert len(pieces) > 5
    assert json.loads(b"".join(pieces).decode().removeprefix("data: ")) == {"delta": text}


def test_body_texts_come_as_they_stand(tmp_path):
    pieces = ["data: {", '"a"', ': 1}\r\n\r\n: broken off\ndata: {"']
    assert asked(provider(tmp_path, HEADER, exchange(body=pieces)))[2] == [piece.encode() for piece in pieces]


def test_unknown_lines_and_members_and_the_query_are_ignored(tmp_path):
    known = {**exchange({"data": "x"}), "seconds": 0.5}
    replay = provider(tmp_path, {**HEADER, "made_by": "hand"}, "", {"type": "remark"}, known, "  ")
    assert asked(replay, "/responses?key=s3cret")[0] == 200


def test_crlf_is_no_matter(tmp_path):
    replay = provider(tmp_path, json.dumps(HEADER) + "\r", json.dumps(exchange({"data": "x"})) + "\r")
    assert asked(replay)[2] == [b"data: x\n\n"]


def test_the_file_is_read_at_the_first_request_and_once(tmp_path):
    replay = provider(tmp_path, HEADER, exchange({"data": "1"}), exchange({"data": "2"}))
    asked(replay)
    (tmp_path / "run.jsonl").unlink()
    assert asked(replay)[2] == [b"data: 2\n\n"]


def test_a_reply_that_is_left_early_is_no_matter(tmp_path):
    replay = provider(
        tmp_path, HEADER, exchange(*[{"data": str(number)} for number in range(9)]), exchange({"data": "2"})
    )

    async def leave():
        async with replay.exchange(HttpRequest("POST", f"{replay.base_url}/responses", {}, b"")) as reply:
            return await anext(reply.chunks)

    assert asyncio.run(leave()) == b"data: 0\n\n"
    assert asked(replay)[2] == [b"data: 2\n\n"]


def test_an_absolute_path_and_the_wire_of_the_settings(tmp_path):
    config = Config(home=tmp_path / "home", plugins={"replay": {"cassette": str(tmp_path / "x"), "wire_api": "chat"}})
    replay = codex_provider_replay.codex_provider("replay", config)
    assert replay.cassette == tmp_path / "x"
    assert replay.wire_api == "chat"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "nothing to play; name a file"),
        ({"cassette": 3}, "cassette: expected a text"),
        ({"cassette": "a", "wire_api": ""}, "wire_api: expected a text"),
        ({"cassete": "a"}, "no key 'cassete'"),
        ({"cassette": "~nobody-of-this-name/x"}, "names no home folder"),
    ],
)
def test_wrong_settings(tmp_path, table, words):
    with pytest.raises(ConfigError, match=words):
        codex_provider_replay.codex_provider("replay", Config(home=tmp_path, plugins={"replay": table}))


GOOD = exchange({"data": "x"})
BROKEN = [
    ((), "is empty"),
    (("nonsense",), r"run\.jsonl, line 1: no JSON"),
    (("[1]",), "line 1: no JSON object"),
    ((GOOD,), "line 1: the first line has to be the header"),
    (({**HEADER, "version": 2},), "version 2 of the format, and only 1 can be played; update"),
    (({**HEADER, "version": True},), "version True"),
    (({"type": "cassette", "version": 1},), "line 1: wire_api"),
    (
        ({**HEADER, "wire_api": "chat"}, GOOD),
        "line 1: it was recorded on the wire 'chat'.* set wire_api = \"chat\"",
    ),
    (
        (HEADER, "", GOOD, json.dumps(GOOD)[:40]),
        "line 4: no JSON .* repair the line, or record the cassette anew",
    ),
    ((HEADER, "[" * 100_000), "line 2: no JSON"),
    ((HEADER, {"type": "exchange", "response": {}}), "line 2: request: expected an object"),
    ((HEADER, {**GOOD, "response": None}), "line 2: response: expected an object"),
    ((HEADER, exchange(method="")), "line 2: method"),
    ((HEADER, exchange(path=None)), "line 2: path"),
    ((HEADER, exchange(status="200")), "line 2: response.status"),
    ((HEADER, exchange(status=99)), "line 2: response.status"),
    ((HEADER, exchange(headers={"a": 1})), "line 2: response.headers"),
    ((HEADER, exchange(headers=None)), "line 2: response.headers"),
    ((HEADER, exchange(body=7)), "line 2: response.body: expected a list"),
    ((HEADER, exchange(body=["a", 7])), "line 2: response.body: expected a text, or"),
    ((HEADER, exchange(body="a", events=[])), "line 2: response: expected `events` or `body`"),
    ((HEADER, {**GOOD, "response": {}}), "line 2: response: expected `events` or `body`"),
    ((HEADER, exchange(7)), "line 2: response.events"),
    ((HEADER, exchange({"event": "x"})), "line 2: response.events"),
    ((HEADER, exchange({"event": 1, "data": 1})), "line 2: response.events"),
]


@pytest.mark.parametrize(("lines", "words"), BROKEN)
def test_broken_cassettes(tmp_path, lines, words):
    with pytest.raises(ConfigError, match=words):
        asked(provider(tmp_path, *lines))


def test_cassettes_that_cannot_be_read(tmp_path):
    replay = provider(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no cassette .*missing\.jsonl"):
        asked(replace(replay, cassette=tmp_path / "missing.jsonl"))
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        asked(replace(replay, cassette=tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read: .*utf-8"):
        asked(replace(replay, cassette=tmp_path / "binary"))


def test_another_request_than_the_recorded_one(tmp_path):
    replay = provider(tmp_path, HEADER, GOOD)
    with pytest.raises(
        ModelError, match=r"line 2: it answers POST /responses, and the run asks POST /chat/completions"
    ) as caught:
        asked(replay, "/chat/completions?key=s3cret")
    assert caught.value.retry is None
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ModelError, match="the run asks GET /responses"):
        asked(replay, method="GET")


def test_more_requests_than_were_recorded(tmp_path):
    replay = provider(tmp_path, HEADER, GOOD)
    asked(replay)
    with pytest.raises(ModelError, match=r"at its end: all 1 exchanges are played, .* record it anew") as caught:
        asked(replay)
    assert caught.value.retry is None
