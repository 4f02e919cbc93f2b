import codex_provider_ollama

from codex_host.testing.provider import ProviderContract


class TestOllama(ProviderContract):
    module = codex_provider_ollama
    name = "ollama"


def test_the_table_of_the_readme():
    provider = codex_provider_ollama.codex_provider("ollama")
    assert provider.name == "Ollama"
    assert provider.base_url == "http://localhost:11434/v1"
    assert provider.wire_api == "chat"


def test_needs_no_key():
    provider = codex_provider_ollama.codex_provider("ollama")
    assert provider.env_key is None
    assert provider.env_key_instructions is None
