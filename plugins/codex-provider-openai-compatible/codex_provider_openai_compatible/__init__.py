"""Providers that offer OpenAI's Chat Completions API at an address of their own."""

from __future__ import annotations

from codex_host.hookspecs import hookimpl
from codex_host.parts import Provider

GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"


def _chat(name: str, base_url: str, env_key: str, keys: str) -> Provider:
    """A provider on the chat wire; `keys` is the page where a key is made."""
    instructions = f"create a key at {keys} and set it with `export {env_key}=...`"
    return Provider(name, base_url, env_key=env_key, env_key_instructions=instructions, wire_api="chat")


PROVIDERS = {
    "openrouter": _chat(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        "https://openrouter.ai/settings/keys",
    ),
    "gemini": _chat("Gemini", GEMINI, "GEMINI_API_KEY", "https://aistudio.google.com/apikey"),
    "mistral": _chat("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "https://console.mistral.ai/api-keys"),
    "deepseek": _chat(
        "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", "https://platform.deepseek.com/api_keys"
    ),
    "xai": _chat("xAI", "https://api.x.ai/v1", "XAI_API_KEY", "https://console.x.ai"),
    "groq": _chat("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "https://console.groq.com/keys"),
}


@hookimpl
def codex_provider(name: str) -> Provider | None:
    """One of the table."""
    return PROVIDERS.get(name)
