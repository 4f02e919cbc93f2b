"""Models at Example, with signed requests: the key itself never travels."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass

from codex_host.errors import AuthenticationError
from codex_host.hookspecs import hookimpl
from codex_host.parts import HttpRequest, Provider

__all__ = ["ExampleProvider", "signature"]


@dataclass(frozen=True)
class ExampleProvider(Provider):
    """Signs each attempt of a request with the key, which the host has looked up and hides from commands."""

    def authenticate(self, request: HttpRequest) -> Mapping[str, str]:
        """Replace the bearer token by a signature of the date and the final bytes."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            raise AuthenticationError(f"there is no key to sign with; {self.env_key_instructions}")
        date = str(int(time.time()))
        return {"x-date": date, "authorization": f"HMAC-SHA256 {signature(key, date, request.body)}"}


def signature(key: str, date: str, body: bytes) -> str:
    """What the server computes, too, from the key that it knows."""
    return hmac.new(key.encode(), date.encode() + b"\n" + body, hashlib.sha256).hexdigest()


@hookimpl
def codex_provider(name: str) -> Provider | None:
    """The provider `example`."""
    if name != "example":
        return None
    return ExampleProvider(
        name="Example",
        base_url="https://api.example.com/v1",
        wire_api="chat",
        env_key="EXAMPLE_API_KEY",
        env_key_instructions="create a key at https://example.com/keys, then `export EXAMPLE_API_KEY=...`",
    )
