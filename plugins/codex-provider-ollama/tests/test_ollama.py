import json

import codex_provider_ollama
import pytest
from codex_provider_ollama._address import base_url
from codex_provider_ollama._native import as_chat
from codex_provider_ollama._window import Limits, window

from codex_host.config import Config
from codex_host.errors import ConfigError, ModelError
from codex_host.events import MessageDelta, ReasoningSummaryDelta
from codex_host.testing.provider import ProviderContract
from codex_host.testing.session import Watching, make_host, play

PASSWORD = "the password is swordfish. "
QUESTION = "What is the password?"
FILLING = "Nothing of importance is said here. " * 1000
"""36,000 bytes, more than the 4,096 tokens of the default window."""


class TestOllama(ProviderContract):
    module = codex_provider_ollama
    name = "ollama"


def made(tmp_path, **plugins):
    config = Config(home=tmp_path, plugins={"ollama": plugins})
    return codex_provider_ollama.codex_provider("ollama", config)


@pytest.fixture(autouse=True)
def no_host(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose provider is the real plugin, at this server."""

    def make(fake, model="tiny", table=None, environ=None, **settings):
        monkeypatch.setenv("OLLAMA_HOST", fake.address)
        tables = {"ollama": table} if table else {}
        return make_host(
            tmp_path,
            "",
            model_provider="ollama",
            model_providers=tables,
            model=model,
            environ=environ,
            plugins={"ollama": settings},
        )

    return make


def ask(host, *prompts, audience=None):
    """The last ending of a conversation."""
    return play(host, audience or Watching(), *prompts)[-1]


# --- What it is


def test_the_table_of_the_readme(tmp_path):
    provider = made(tmp_path)
    assert provider.name == "Ollama"
    assert provider.base_url == "http://localhost:11434/v1"
    assert provider.wire_api == "chat"


def test_needs_no_key(tmp_path):
    provider = made(tmp_path)
    assert provider.env_key is None
    assert provider.env_key_instructions is None


@pytest.mark.parametrize("value", [-1, True, "8192", 1.5])
def test_a_window_that_is_none(tmp_path, value):
    with pytest.raises(ConfigError, match=r"\[plugins.ollama\] num_ctx"):
        made(tmp_path, num_ctx=value)


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("", "http://localhost:11434"),
        ("  ", "http://localhost:11434"),
        ("gpu", "http://gpu:11434"),
        ("gpu:80", "http://gpu:80"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        ("http://0.0.0.0:9999/", "http://127.0.0.1:9999"),
        ("[::]:9999", "http://[::1]:9999"),
        ("::", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu", "https://gpu:443"),
        ("https://gpu.example/ollama/", "https://gpu.example:443/ollama"),
        ("gpu:no", "http://gpu:11434"),
        ("gpu:66000", "http://gpu:11434"),
        ("'gpu:1'", "http://gpu:1"),
        ("ollama.com", "https://ollama.com:443"),
    ],
)
def test_the_variable_is_read_as_ollama_reads_it(variable, address):
    assert base_url(variable) == f"{address}/v1"


def test_the_variable_with_another_scheme():
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        base_url("tcp://gpu:1")


def test_the_variable_says_where_the_provider_is_and_the_config_overrides_it(ollama, host):
    fake, other = ollama(), ollama()
    assert ask(host(fake), PASSWORD + QUESTION).message == "swordfish"
    assert ask(host(other, table={"base_url": fake.base_url}), PASSWORD + QUESTION).message == "swordfish"
    assert not other.requests


# --- What it says where something is missing


def test_a_server_that_is_not_running(ollama, host):
    fake = ollama()
    fake.stop()
    ending = ask(host(fake), "hi")
    assert ending.exit_code == 4
    assert "`ollama serve`" in ending.message
    assert fake.address in ending.message


def test_a_model_that_is_missing(ollama, host):
    fake = ollama()
    fake.models = {"b:7b": {"maximum": 1}, "a:latest": {"maximum": 1}}
    ending = ask(host(fake, model="qwen3"), "hi")
    assert ending.exit_code == 4
    assert "`ollama pull qwen3`" in ending.message
    assert "a:latest, b:7b" in ending.message
    assert [path for path, _ in fake.requests] == ["/api/show", "/api/tags"]  # and it is not asked again


def test_local_models_are_listed(ollama, run_codex):
    fake = ollama()
    fake.models["other:7b"] = {"maximum": 1}
    done = run_codex("models", "--provider", "ollama", "-c", "model=tiny", env={"OLLAMA_HOST": fake.address})
    assert done.assert_success().stdout == "  other:7b\n* tiny:latest\n"
    fake.stop()
    done = run_codex("models", "--provider", "ollama", env={"OLLAMA_HOST": fake.address})
    done.assert_exit(4, "`ollama serve`")


# --- The window


@pytest.mark.parametrize("modern", [True, False])
def test_the_server_of_these_tests_forgets_silently(ollama, host, modern):
    """Without this plugin's care, so that the tests below prove something."""
    fake = ollama(modern=modern)
    ending = ask(host(fake, num_ctx=0), PASSWORD, FILLING + QUESTION)
    assert (ending.exit_code, ending.message) == (0, "what password?")
    assert fake.loads == [4096]
    assert not fake.asked("/api/chat")


@pytest.mark.parametrize("modern", [True, False])
def test_a_prompt_that_the_server_would_cut_is_read_as_a_whole(ollama, host, modern):
    fake = ollama(modern=modern)
    ending = ask(host(fake), PASSWORD, FILLING + QUESTION)
    assert (ending.exit_code, ending.message) == (0, "swordfish")
    assert all("truncate" in body and body["shift"] is False for body in fake.asked("/api/chat"))


def test_a_prompt_that_fits_goes_the_usual_way(ollama, host):
    fake = ollama()
    fake.models["tiny:latest"]["parameters"] = 'stop "<x>"\nnum_ctx                        65536'
    assert ask(host(fake), PASSWORD, FILLING + QUESTION).message == "swordfish"
    assert not fake.asked("/api/chat")
    assert fake.loads == [65536]


def test_a_model_in_the_cloud_has_its_whole_window(ollama, host):
    fake = ollama(default=131072)
    fake.models["tiny:latest"]["remote_host"] = "https://ollama.com:443"
    assert ask(host(fake), PASSWORD, FILLING + QUESTION).message == "swordfish"
    assert not fake.asked("/api/chat")


def test_the_window_grows_in_large_steps_and_never_shrinks(ollama, host):
    fake = ollama()
    ask(host(fake), PASSWORD, *[FILLING] * 5, "short", "short")
    sizes = [body["options"]["num_ctx"] for body in fake.asked("/api/chat")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert all(size & (size - 1) == 0 for size in sizes)
    assert len(fake.asked("/api/show")) == 1


def test_a_larger_window_that_is_loaded_is_kept(ollama, host):
    fake = ollama()
    fake.loaded["tiny:latest"] = 65536
    ask(host(fake), PASSWORD + FILLING)
    assert fake.loads == []


def test_no_more_than_the_model_can_is_asked_for(ollama, host):
    fake = ollama()
    fake.models["tiny:latest"]["maximum"] = 20000
    ask(host(fake), PASSWORD + FILLING)
    assert fake.loads == [20000]


@pytest.mark.parametrize("modern", [True, False])
def test_a_prompt_that_is_too_long_for_the_model(ollama, host, modern):
    fake = ollama(modern=modern)
    fake.models["tiny:latest"]["maximum"] = 8192
    ending = ask(host(fake), FILLING)
    assert ending.exit_code == 4
    assert "tiny takes at most 8192" in ending.message
    assert not fake.asked("/api/chat")
    assert not fake.asked("/v1/chat/completions")


def test_too_long_is_the_kind_of_that_error():
    chat = {"messages": [{"role": "user", "content": FILLING}]}
    with pytest.raises(ModelError, match="a longer context") as caught:
        window("m", chat, Limits(maximum=8192), 0, None)
    assert (caught.value.kind, caught.value.retry) == ("too-long", None)


@pytest.mark.parametrize(
    "text", ["plain words, such as these are. ", "if (a[i] != b[j]) { return f(a, b); }\n", "\u4f60\u597d"]
)
def test_an_estimate_is_not_too_low(text):
    """There is room for a token every 3 bytes, and for a reply."""
    content = text * 4000
    size = window("m", {"messages": [{"role": "user", "content": content}]}, Limits(), 0, None)
    assert size >= len(content.encode()) / 3 + 4096


def test_an_estimate_that_was_too_low_is_corrected_by_the_server(ollama, host, monkeypatch):
    monkeypatch.setattr("codex_provider_ollama._window._tokens", lambda chat, bytes_each: 4000)
    fake = ollama()
    ending = ask(host(fake), PASSWORD + FILLING * 2)
    assert ending.message == "swordfish"
    assert fake.loads == [16384, 32768]


def test_a_server_that_still_says_too_long_is_believed(ollama, host, monkeypatch):
    monkeypatch.setattr("codex_provider_ollama._window._tokens", lambda chat, bytes_each: 4000)
    fake = ollama()
    fake.models["tiny:latest"]["maximum"] = 16384
    ending = ask(host(fake), PASSWORD + FILLING * 2)
    assert ending.exit_code == 4
    assert "prompt too long" in ending.message


def test_a_window_of_the_users(ollama, host):
    fake = ollama()
    assert ask(host(fake, num_ctx=20480), PASSWORD, QUESTION).message == "swordfish"
    assert fake.loads == [20480]
    ending = ask(host(fake, num_ctx=5000), FILLING)
    assert ending.exit_code == 4
    assert "`num_ctx` in [plugins.ollama] is 5000" in ending.message


# --- The native API says the same as the wire


def test_text_thinking_and_usage_come_over(ollama, host):
    fake, audience = ollama(), Watching()
    ending = ask(host(fake, num_ctx=32768), PASSWORD, audience=audience)
    assert ending.message == "swordfish"
    assert "".join(delta.text for delta in audience.of(MessageDelta)) == "swordfish"
    assert "".join(delta.text for delta in audience.of(ReasoningSummaryDelta)) == "Hm."
    ended = next(event for event in audience.events if type(event).__name__ == "TaskEnded")
    assert (ended.usage.input > 100, ended.usage.output) == (True, 7)


def test_tools_both_ways(ollama, host):
    fake = ollama()
    fake.calls = [[("shell", {"command": ["echo", "one ü"]}), ("shell", {"command": ["echo", "two"]})]]
    ending = ask(host(fake, num_ctx=32768), PASSWORD)
    assert ending.message == "swordfish"
    first, second = fake.asked("/api/chat")
    assert "shell" in [tool["function"]["name"] for tool in first["tools"]]
    *_, reply, one, two = second["messages"]
    assert [call["function"]["arguments"]["command"] for call in reply["tool_calls"]] == [
        ["echo", "one ü"],
        ["echo", "two"],
    ]
    ids = [call["id"] for call in reply["tool_calls"]]
    assert len(set(ids)) == 2
    assert [one["tool_call_id"], two["tool_call_id"]] == ids
    assert (one["role"], one["tool_name"]) == ("tool", "shell")
    assert "one ü" in one["content"]
    assert "two" in two["content"]


def test_pictures_and_efforts():
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "reasoning_effort": "minimal"}
    chat = as_chat(body)
    assert chat["messages"] == [{"role": "user", "content": "look", "images": ["AAAA"]}]
    assert chat["think"] == "low"
    assert "tools" not in chat


def test_a_picture_does_not_count_by_its_bytes():
    chat = {"messages": [{"role": "user", "content": "look", "images": ["A" * 10**7]}]}
    assert window("m", chat, Limits(maximum=131072), 0, None) is None


def test_a_cut_answer_is_told(ollama, host):
    fake = ollama()
    line = {"message": {"content": "half"}, "done": True, "done_reason": "length"}
    answers = (200, "application/x-ndjson", json.dumps(line).encode())
    failing(fake, "/api/chat", answers)
    ending = ask(host(fake, num_ctx=32768), PASSWORD)
    assert ending.exit_code == 1
    assert "ran out of room" in ending.message


def test_an_error_within_the_reply(ollama, host):
    fake = ollama()
    lines = b'{"message":{"content":"ha"},"done":false}\n{"error":"an error was encountered while running the model"}\n'
    audience = Watching()
    failing(fake, "/api/chat", (200, "application/x-ndjson", lines))
    ending = ask(host(fake, num_ctx=32768), PASSWORD, audience=audience)
    assert ending.message == "swordfish"  # at the second attempt
    assert "while running the model" in str(audience.events)


@pytest.mark.parametrize("lines", [b'{"message":{"content":"ha"},"done":false}\n', b'{"message":{"con'])
def test_a_reply_that_breaks_off_is_asked_for_again(ollama, host, lines):
    fake = ollama()
    failing(fake, "/api/chat", (200, "application/x-ndjson", lines))
    ending = ask(host(fake, num_ctx=32768), PASSWORD)
    assert ending.message == "swordfish"
    assert len(fake.asked("/api/chat")) == 2


def test_a_server_in_trouble_is_asked_again(ollama, host):
    fake = ollama()
    fake.failures = [(503, "application/json", b'{"error":"server busy"}')]  # when asked about the model
    failing(fake, "/api/chat", (500, "application/json", b"{}"))
    assert ask(host(fake, num_ctx=32768), PASSWORD).exit_code == 0


def failing(fake, path, answer):
    """Let the first answer to this path be another."""
    original = fake.chat

    def chat(body, messages, num_ctx, spell):
        fake.chat = original
        return answer if fake.requests[-1][0] == path else original(body, messages, num_ctx, spell)

    fake.chat = chat


# --- What is not Ollama


@pytest.mark.parametrize(
    "answer",
    [
        (404, "application/json", b'{"detail":"Not Found"}'),
        (
            404,
            "application/json",
            b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}',
        ),
        (200, "application/json", b'{"error":"Unexpected endpoint or method. (POST /api/show)"}'),
        (405, "text/html", b"<html>"),
    ],
    ids=["vllm", "llama.cpp", "lm studio", "anything"],
)
def test_another_server_at_that_address_goes_on_working(ollama, host, answer):
    fake = ollama(native=False)
    fake.failures = [answer]
    assert ask(host(fake), PASSWORD, QUESTION).message == "swordfish"
    assert [path for path, _ in fake.requests] == ["/api/show", *["/v1/chat/completions"] * 2]


def test_a_key_and_parameters_go_along_everywhere(ollama, host):
    fake = ollama()
    fake.key = "secret-of-the-proxy"
    table = {"env_key": "PROXY_KEY", "query_params": {"team": "a b"}}
    ending = ask(host(fake, table=table, environ={"PROXY_KEY": fake.key}), PASSWORD, FILLING + QUESTION)
    assert ending.message == "swordfish"
    assert fake.asked("/api/chat")
