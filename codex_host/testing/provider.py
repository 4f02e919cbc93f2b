"""What a model provider must keep to: subclass `ProviderContract` in a pytest module."""

from __future__ import annotations

import contextlib
import json
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from codex_host.errors import AuthenticationError
from codex_host.parts import HttpReply, HttpRequest, Provider
from codex_host.testing.contract import Contract

__all__ = ["ProviderContract"]

_TEXTS = ("query_params", "http_headers", "env_http_headers")
_COUNTS = ("request_max_retries", "stream_max_retries", "stream_idle_timeout_ms")


class ProviderContract(Contract):
    """The promises of a `codex_host.parts.Provider`."""

    kind = "provider"
    base: ClassVar[type] = Provider

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider under test."""
        made = self.make()
        assert isinstance(made, Provider)
        return made

    def test_is_named_for_people(self, provider: Provider) -> None:
        """`name` is one line of text."""
        assert provider.name.strip()
        assert provider.name.isprintable()

    def test_base_url_takes_a_path(self, provider: Provider) -> None:
        """`base_url` is an address (http, if the host sends) to which a path with a slash can be appended."""
        url = urlsplit(provider.base_url)
        if type(provider).exchange is Provider.exchange:
            assert url.scheme in ("http", "https")
            assert url.hostname
        assert not url.query, "use `query_params`"
        assert not url.fragment
        assert not provider.base_url.endswith("/")

    def test_wire_api_is_a_name(self, provider: Provider) -> None:
        """`wire_api` is the name of an entry, such as "chat"."""
        assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", provider.wire_api)

    def test_keys_stay_in_the_environment(self, provider: Provider) -> None:
        """Keys are named, not held: `env_key` is a variable, its instructions say how to get a value."""
        variables = [provider.env_key, *provider.env_key_overrides, *provider.env_http_headers.values()]
        for variable in variables:
            assert variable is None or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable), variable
        if provider.env_key_instructions is not None:
            assert provider.env_key is not None
            assert provider.env_key_instructions.strip()
        assert provider.env_key is not None or not provider.env_key_overrides
        assert "authorization" not in {header.lower() for header in provider.http_headers}

    def test_is_plain_data(self, provider: Provider) -> None:
        """Every field of the table has its type and can be written down, so that a config can amend it."""
        for field in _TEXTS:
            pairs = getattr(provider, field).items()
            assert all(isinstance(text, str) for pair in pairs for text in pair), field
        for field in _COUNTS:
            value = getattr(provider, field)
            assert isinstance(value, int), field
            assert value >= 0, field
        values = (getattr(provider, field.name) for field in fields(Provider))
        json.dumps([dict(value) if hasattr(value, "items") else value for value in values])

    def test_headers_can_be_sent(self, provider: Provider) -> None:
        """Names of headers are tokens (RFC 9110, 5.6.2), values one line of printable ASCII."""
        for name in (*provider.http_headers, *provider.env_http_headers):
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
        for value in provider.http_headers.values():
            assert re.fullmatch("[\t\x20-\x7e]*", value), value

    def test_is_the_same_each_time(self, provider: Provider) -> None:
        """The hook has no memory: asked again, it answers the same."""
        assert self.make() == provider

    def test_exchange_is_a_context_manager_or_none(self, provider: Provider) -> None:
        """`exchange` says None for the host to send the request, or gives what `async with` enters."""
        exchange = provider.exchange(_request(provider))
        assert exchange is None or hasattr(type(exchange), "__aenter__")

    def test_relay_is_a_context_manager_or_none(self, provider: Provider) -> None:
        """`relay` says the same, and sends nothing before it is entered."""
        relayed = provider.relay(_request(provider), _no_connection)
        assert relayed is None or hasattr(type(relayed), "__aenter__")

    def test_authenticates_with_headers(self, provider: Provider) -> None:
        """`authenticate` gives headers, or raises AuthenticationError and nothing else when it cannot."""
        with contextlib.suppress(AuthenticationError):
            headers = provider.authenticate(_request(provider))
            assert all(isinstance(text, str) for pair in headers.items() for text in pair)


def _no_connection(request: HttpRequest) -> AbstractAsyncContextManager[HttpReply]:
    raise AssertionError(f"{request.method} {request.url} was sent too early")


def _request(provider: Provider) -> HttpRequest:
    return HttpRequest("POST", f"{provider.base_url}/chat/completions", {}, b"{}")
