import codex_provider_openai

from codex_host.testing.provider import ProviderContract


class TestOpenAI(ProviderContract):
    module = codex_provider_openai
    name = "openai"


def test_the_table_of_the_readme():
    provider = codex_provider_openai.codex_provider("openai")
    assert provider.name == "OpenAI"
    assert provider.base_url == "https://api.openai.com/v1"
    assert provider.env_key == "OPENAI_API_KEY"
    assert provider.wire_api == "responses"
    assert provider.env_key_overrides == ("CODEX_API_KEY",)


def test_a_missing_key_is_explained():
    instructions = codex_provider_openai.codex_provider("openai").env_key_instructions
    assert "https://platform.openai.com/api-keys" in instructions
    assert "export OPENAI_API_KEY=" in instructions
