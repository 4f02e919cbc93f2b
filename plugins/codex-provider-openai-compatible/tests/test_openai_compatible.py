import codex_provider_openai_compatible
import pytest

from codex_host.testing.provider import ProviderContract


class _Compatible(ProviderContract):
    module = codex_provider_openai_compatible


class TestOpenRouter(_Compatible):
    name = "openrouter"


class TestGemini(_Compatible):
    name = "gemini"


class TestMistral(_Compatible):
    name = "mistral"


class TestDeepSeek(_Compatible):
    name = "deepseek"


class TestXAI(_Compatible):
    name = "xai"


class TestGroq(_Compatible):
    name = "groq"


@pytest.mark.parametrize(
    ("name", "title", "base_url", "env_key"),
    [
        ("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        ("gemini", "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
        ("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        ("deepseek", "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        ("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY"),
        ("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    ],
)
def test_addresses_and_keys(name, title, base_url, env_key):
    provider = codex_provider_openai_compatible.codex_provider(name)
    assert (provider.name, provider.base_url, provider.env_key) == (title, base_url, env_key)
    assert provider.wire_api == "chat"
    assert env_key in provider.env_key_instructions
