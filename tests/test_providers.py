"""Providers from the config: tables that amend or stand alone, keys, headers, and the examples of the page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from codex_host._layers import Layer, Layers, load
from codex_host._model import Model
from codex_host._parts import LentParts, provider, provider_warnings
from codex_host._plugins import Plugins
from codex_host._transport import Transport
from codex_host.errors import AuthenticationError, ConfigError
from codex_host.events import Notice
from codex_host.parts import Provider
from codex_host.testing.model_server import ModelServer, Reply, Say, Status
from codex_host.testing.session import Watching, make_host, play

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "providers.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
WHOLE = Reply(Say("whole"))
BUNDLED = Provider(
    name="Bundled",
    base_url="https://bundled.example/v1",
    wire_api="responses",
    env_key="BUNDLED_KEY",
    env_key_instructions="ask the bundler",
    query_params={"a": "1"},
    http_headers={"x-a": "1"},
    request_max_retries=3,
)


@pytest.fixture(params=["responses", "chat"])
def wire(request):
    return request.param


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("CODEX_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def made(tmp_path, text, name="bundled"):
    """The provider of that name with this config.toml, beside one that is installed."""
    (tmp_path / "config.toml").write_text(text, "utf-8")
    layers = load(tmp_path, {}, {"model_provider": name})
    parts = LentParts(Plugins({"provider.bundled": BUNDLED}), layers.config, layers)
    return provider(parts, name).part, provider_warnings(layers)


def refused(tmp_path, text, name="bundled"):
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, text, name)
    return str(caught.value)


# --- Tables


@pytest.mark.parametrize(
    ("key", "spelt", "value"),
    [
        ("name", '"Other"', "Other"),
        ("base_url", '"http://other.example:1/v2/"', "http://other.example:1/v2/"),
        ("wire_api", '"chat"', "chat"),
        ("env_key", '"OTHER_KEY"', "OTHER_KEY"),
        ("env_key", '""', None),
        ("env_key_instructions", '"ask others"', "ask others"),
        ("env_key_overrides", '["A", "B"]', ("A", "B")),
        ("query_params", '{ b = "2" }', {"b": "2"}),
        ("http_headers", '{ "x-b" = "2" }', {"x-b": "2"}),
        ("env_http_headers", '{ "x-b" = "B" }', {"x-b": "B"}),
        ("request_max_retries", "0", 0),
        ("stream_max_retries", "1", 1),
        ("stream_idle_timeout_ms", "2", 2),
    ],
)
def test_a_table_amends_one_field_and_no_other(tmp_path, key, spelt, value):
    amended, warnings = made(tmp_path, f"[model_providers.bundled]\n{key} = {spelt}\n")
    assert warnings == ()
    assert getattr(amended, key) == value
    assert {**vars(amended), key: None} == {**vars(BUNDLED), key: None}


def test_every_field_can_be_amended():
    cases = test_a_table_amends_one_field_and_no_other.pytestmark[0].args[1]
    assert {key for key, _, _ in cases} == set(vars(BUNDLED))


def test_a_table_stands_alone(tmp_path):
    table = '[model_providers.mine]\nname = "Mine"\nbase_url = "http://mine.example/v1"\n'
    assert made(tmp_path, table, "mine")[0] == Provider("Mine", "http://mine.example/v1")


@pytest.mark.parametrize("missing", ["name", "base_url"])
def test_a_table_alone_needs_a_name_and_an_address(tmp_path, missing):
    fields = {"name": '"Mine"', "base_url": '"http://mine.example/v1"'}
    del fields[missing]
    lines = "".join(f"{key} = {value}\n" for key, value in fields.items())
    message = refused(tmp_path, f"[model_providers.mine]\n{lines}", "mine")
    assert "[model_providers.mine]" in message
    assert repr(missing) in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("name = 3", "a text"),
        ('name = " "', "a text that is not empty"),
        ("base_url = true", "a text"),
        ('base_url = "example.com/v1"', "an address"),
        ('base_url = "ftp://example.com"', "an address"),
        ('base_url = "https://example.com/v1?api-version=1"', "query_params"),
        ("wire_api = []", "a text"),
        ("env_key = 1", "a text"),
        ("env_key_overrides = 'A'", "a list of texts"),
        ("env_key_overrides = [1]", "a list of texts"),
        ("query_params = { a = 1 }", "a table of texts"),
        ('query_params = "a=1"', "a table of texts"),
        ('http_headers = { "x a" = "1" }', "'x a' cannot be the name of a header"),
        ('http_headers = { "x-a" = "one\\ntwo" }', "'x-a' holds a line break"),
        ('http_headers = { "x-a" = "na\\u00efve" }', "'x-a' holds"),
        ('env_http_headers = { "x:a" = "A" }', "'x:a' cannot be the name of a header"),
        ("request_max_retries = -1", "not negative"),
        ("request_max_retries = true", "a whole number"),
        ("stream_max_retries = 1.5", "a whole number"),
        ("stream_idle_timeout_ms = 0", "above 0"),
        ('stream_idle_timeout_ms = "5"', "a whole number"),
    ],
)
def test_a_wrong_value_is_an_error_with_its_place(tmp_path, line, expected):
    message = refused(tmp_path, f"[model_providers.bundled]\n{line}\n")
    assert f"{tmp_path / 'config.toml'}:2: [model_providers.bundled] {line.split(' ')[0]}: " in message
    assert expected in message
    assert "one\ntwo" not in message


def test_a_wrong_value_on_the_command_line(tmp_path):
    layers = load(tmp_path, {}, {}, ["model_providers.bundled.request_max_retries=many"])
    with pytest.raises(ConfigError, match=r"-c: \[model_providers.bundled\] request_max_retries"):
        provider(LentParts(Plugins({"provider.bundled": BUNDLED}), layers.config, layers), "bundled")


def test_an_unknown_key_warns_and_stops_nothing(tmp_path):
    amended, warnings = made(tmp_path, '[model_providers.bundled]\nenvkey = "X"\nzzzzzzz = 1\nname = "Other"\n')
    assert amended.name == "Other"
    place = f"{tmp_path / 'config.toml'}"
    assert warnings == (
        f"{place}:2: [model_providers.bundled]: unknown key 'envkey' is ignored; did you mean 'env_key'?",
        f"{place}:3: [model_providers.bundled]: unknown key 'zzzzzzz' is ignored",
    )


def test_the_user_is_told_of_an_unknown_key(tmp_path):
    with ModelServer([WHOLE]) as server:
        audience = Watching()
        (ending,) = play(make_host(tmp_path, server.base_url, provider={"baseurl": "x"}), audience, "go")
    assert ending.exit_code == 0
    (notice,) = (notice for notice in audience.of(Notice) if "baseurl" in notice.message)
    assert "did you mean 'base_url'?" in notice.message


def test_a_wire_that_is_not_installed(run_codex, codex_home):
    table = '[model_providers.mine]\nname = "Mine"\nbase_url = "http://127.0.0.1:9/v1"\nwire_api = "morse"\n'
    (codex_home / "config.toml").write_text(table)
    done = run_codex("exec", "--skip-git-repo-check", "--model-provider", "mine", "hi")
    done.assert_exit(2, "'morse'", "responses")


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3)])
def test_the_number_of_retries_is_the_providers(tmp_path, wire, retries, requests):
    with ModelServer([Status(503, headers={"Retry-After": "0.01"})] * requests) as server:
        host = make_host(tmp_path, server.base_url, wire=wire, provider={"request_max_retries": retries})
        (ending,) = play(host, Watching(), "go")
    assert (ending.exit_code, len(server.requests)) == (4, requests)


# --- Keys and headers


def model(environ, **fields):
    made = Provider(**{"name": "P", "base_url": "http://p.example/v1", **fields})
    return Model(made, None, Transport(), environ, "", "")


@pytest.mark.parametrize("value", [None, "", "  ", "\n"])
def test_a_key_that_is_missing_is_told_before_any_request(tmp_path, wire, value):
    with ModelServer() as server:
        fields = {"env_key": "THE_KEY", "env_key_instructions": "ask the keeper"}
        environ = {} if value is None else {"THE_KEY": value}
        host = make_host(tmp_path, server.base_url, wire=wire, provider=fields, environ=environ)
        with pytest.raises(AuthenticationError, match="THE_KEY is not set or blank; ask the keeper") as caught:
            play(host, Watching(), "go")
    assert caught.value.exit_code == 3
    assert server.requests == []


def test_a_missing_key_ends_the_program_with_3(run_codex, codex_home):
    with ModelServer() as server:
        (codex_home / "config.toml").write_text(f'[model_providers.openai]\nbase_url = "{server.base_url}"\n')
        done = run_codex("exec", "--skip-git-repo-check", "hi")
    done.assert_exit(3, "OPENAI_API_KEY", "https://platform.openai.com/api-keys")
    assert server.requests == []


def test_without_env_key_there_is_no_authorization(tmp_path, wire):
    with ModelServer([WHOLE]) as server:
        environ = {"OPENAI_API_KEY": "k", "CODEX_API_KEY": "k"}
        play(make_host(tmp_path, server.base_url, wire=wire, environ=environ), Watching(), "go")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"OPENAI_API_KEY": "plain"}, "plain"),
        ({"CODEX_API_KEY": "special"}, "special"),
        ({"CODEX_API_KEY": "special", "OPENAI_API_KEY": "plain"}, "special"),
        ({"CODEX_API_KEY": " ", "OPENAI_API_KEY": "plain"}, "plain"),
    ],
)
def test_codex_api_key_stands_before_the_key_of_openai(run_codex, codex_home, environ, key):
    with ModelServer([WHOLE]) as server:
        (codex_home / "config.toml").write_text(f'[model_providers.openai]\nbase_url = "{server.base_url}"\n')
        run_codex("exec", "--skip-git-repo-check", "hi", env=environ).assert_success()
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"


def test_codex_api_key_is_no_other_providers(run_codex, codex_home):
    with ModelServer() as server:
        (codex_home / "config.toml").write_text(f'[model_providers.mistral]\nbase_url = "{server.base_url}"\n')
        words = ("exec", "--skip-git-repo-check", "--model-provider", "mistral", "hi")
        run_codex(*words, env={"CODEX_API_KEY": "k", "MISTRAL_API_KEY": None}).assert_exit(3, "MISTRAL_API_KEY")
    assert server.requests == []


def test_overriding_keys_are_secrets_too():
    secrets = model({"A": "key-a", "B": "key-b"}, env_key="A", env_key_overrides=("B",)).secrets()
    assert set(secrets) == {"key-a", "key-b"}


@pytest.mark.parametrize("value", ["one\ntwo", "one\x00", "na\u00efve"])
@pytest.mark.parametrize("fields", [{"env_key": "THE_KEY"}, {"env_http_headers": {"x-key": "THE_KEY"}}])
def test_a_key_that_cannot_be_sent(tmp_path, wire, value, fields):
    with ModelServer() as server:
        host = make_host(tmp_path, server.base_url, wire=wire, provider=fields)
        host.environ = {**host.environ, "THE_KEY": value}
        try:
            (ending,) = play(host, Watching(), "go")
            message, code = ending.message, ending.exit_code
        except AuthenticationError as error:
            message, code = str(error), error.exit_code
    assert code == 3
    assert "THE_KEY" in message
    assert value not in message
    assert server.requests == []


def test_a_header_is_sent_once_however_it_is_spelt(tmp_path, wire):
    with ModelServer([WHOLE]) as server:
        headers = {"Authorization": "Basic 1", "User-Agent": "mine", "X-Team": "a"}
        fields = {"env_key": "THE_KEY", "http_headers": headers, "env_http_headers": {"x-TEAM": "TEAM"}}
        host = make_host(tmp_path, server.base_url, wire=wire, provider=fields, environ={"THE_KEY": "k", "TEAM": "b"})
        play(host, Watching(), "go")
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["user-agent"], headers["x-team"]) == ("Basic 1", "mine", "b")


# --- The pages' examples


def example(tmp_path, text):
    values = tomllib.loads(text)
    (tmp_path / "config.toml").write_text(text, "utf-8")
    layers = load(tmp_path, {}, {})
    return values, layers, LentParts(Plugins(), layers.config, layers)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_is_read_by_the_real_code(tmp_path, text):
    values, layers, parts = example(tmp_path, text)
    assert layers.warnings == ()
    for name in {layers.config.model_provider, *values.get("model_providers", {})}:
        found = provider(parts, name).part
        assert parts.wire_api(found.wire_api).path
    assert provider_warnings(layers) == ()


def test_every_provider_of_the_page_has_an_example():
    for heading in ("OpenAI", "Ollama", "vLLM", "llama.cpp", "LM Studio", "OpenRouter", "Azure"):
        section = re.search(rf"^## {re.escape(heading)}.*?(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        assert section, heading
        assert "```toml" in section[0], heading


def test_the_page_names_every_field():
    assert [key for key in vars(BUNDLED) if f"`{key}`" not in PAGE] == []


def test_an_azure_example_asks_the_right_address(tmp_path):
    text = next(text for text in EXAMPLES if "azure" in text)
    _, layers, parts = example(tmp_path, text)
    found = provider(parts, layers.config.model_provider).part
    request = Model(found, parts.wire_api(found.wire_api), Transport(), {"AZURE_OPENAI_API_KEY": "k"}, "", "")
    sent = request._http_request("POST", request.wire.path, json.dumps({}).encode())
    assert sent.url == "https://my-resource.openai.azure.com/openai/v1/responses?api-version=preview"
    assert sent.headers["api-key"] == "k"
    assert "authorization" not in sent.headers


def test_layers_given_in_process_have_places_too(tmp_path):
    layers = Layers(tmp_path, (Layer("the test", {"model_providers": {"bundled": {"name": 1}}}, tmp_path),))
    with pytest.raises(ConfigError, match=r"the test: \[model_providers.bundled\] name"):
        provider(LentParts(Plugins({"provider.bundled": BUNDLED}), layers.config, layers), "bundled")
