"""OpenAI's models, at their own address and with a key from the environment."""

from __future__ import annotations

from codex_host.hookspecs import hookimpl
from codex_host.parts import Provider

PROVIDERS = {
    "openai": Provider(
        name="OpenAI",
        base_url="https://api.openai.com/v1",
        wire_api="responses",
        env_key="OPENAI_API_KEY",
        env_key_instructions=(
            "create a key at https://platform.openai.com/api-keys and set it with `export OPENAI_API_KEY=...`"
        ),
        env_key_overrides=("CODEX_API_KEY",),  # for one run, as the original has it
    ),
}


@hookimpl
def codex_provider(name: str) -> Provider | None:
    """One of the table."""
    return PROVIDERS.get(name)
