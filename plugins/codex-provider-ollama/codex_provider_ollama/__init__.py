"""Models that Ollama runs on your own machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codex_host.errors import ConfigError
from codex_host.hookspecs import hookimpl
from codex_provider_ollama._address import base_url
from codex_provider_ollama._provider import OllamaProvider

if TYPE_CHECKING:
    from codex_host.config import Config
    from codex_host.parts import Provider

__all__ = ["codex_provider"]


@hookimpl
def codex_provider(name: str, config: Config) -> Provider | None:
    """The provider `ollama`, at the address that OLLAMA_HOST names, if it is set."""
    if name != "ollama":
        return None
    num_ctx = config.plugin("ollama").get("num_ctx")
    if num_ctx is not None and (not isinstance(num_ctx, int) or isinstance(num_ctx, bool) or num_ctx < 0):
        raise ConfigError(f"[plugins.ollama] num_ctx: expected a whole number that is not negative, got {num_ctx!r}")
    return OllamaProvider(
        name="Ollama", base_url=base_url(os.environ.get("OLLAMA_HOST", "")), wire_api="chat", num_ctx=num_ctx
    )
