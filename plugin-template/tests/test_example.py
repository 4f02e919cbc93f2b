from __future__ import annotations

import hashlib
import hmac
import json

import codex_provider_example
import pytest

from codex_host.errors import AuthenticationError
from codex_host.parts import HttpRequest
from codex_host.testing.model_server import ModelServer, Received, Reply, Say, Status
from codex_host.testing.provider import ProviderContract

pytest_plugins = ["codex_host.testing.fixtures"]

KEY = "a key for tests"
EXEC = ("exec", "--skip-git-repo-check", "--model-provider", "example")


class TestExample(ProviderContract):
    module = codex_provider_example
    name = "example"


def test_signs_the_final_bytes():
    provider = codex_provider_example.codex_provider("example")
    request = HttpRequest("POST", "https://server/v1", {"authorization": f"Bearer {KEY}"}, b"{}")
    headers = provider.authenticate(request)
    expected = hmac.new(KEY.encode(), headers["x-date"].encode() + b"\n{}", hashlib.sha256).hexdigest()
    assert headers["authorization"] == f"HMAC-SHA256 {expected}"


def test_says_what_to_do_without_a_key():
    provider = codex_provider_example.codex_provider("example")
    with pytest.raises(AuthenticationError, match="EXAMPLE_API_KEY"):
        provider.authenticate(HttpRequest("POST", "https://server/v1", {}, b"{}"))


def answer_if_signed(request: Received) -> Reply | Status:
    """As a real server does it: make the signature once more and compare."""
    body = json.dumps(request.body, ensure_ascii=False, separators=(",", ":")).encode()
    expected = codex_provider_example.signature(KEY, request.headers.get("x-date", ""), body)
    if request.headers.get("authorization") != f"HMAC-SHA256 {expected}":
        return Status(401)
    return Reply(Say("Hello."))


def test_a_real_run_is_let_in(codex_home, run_codex):
    with ModelServer([answer_if_signed]) as server:
        (codex_home / "config.toml").write_text(
            f"""
            model = "small"
            [model_providers.example]
            base_url = "{server.base_url}"
            """
        )
        run = run_codex(*EXEC, "Say hello.", env={"EXAMPLE_API_KEY": KEY})
    assert run.assert_success().stdout == "Hello.\n"
    assert KEY not in str(server.requests)


def test_a_run_without_a_key_asks_nobody(codex_home, run_codex):
    run = run_codex(*EXEC, "Say hello.", env={"EXAMPLE_API_KEY": None})
    run.assert_exit(3, "EXAMPLE_API_KEY", "https://example.com/keys")
