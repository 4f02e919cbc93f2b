"""Models that Ollama runs on your own machine."""

from __future__ import annotations

from codex_host.hookspecs import hookimpl
from codex_host.parts import Provider

PROVIDERS = {
    "ollama": Provider(name="Ollama", base_url="http://localhost:11434/v1", wire_api="chat"),
}


@hookimpl
def codex_provider(name: str) -> Provider | None:
    """One of the table."""
    return PROVIDERS.get(name)
