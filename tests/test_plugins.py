"""Finding plugins without importing them, and what becomes of those that do not fit."""

import os
import sys
from pathlib import Path

import pytest

from codex_host._parts import LentParts, provider
from codex_host._plugins import GENERATION, HOOKS, Plugins, guarded, installed, summary
from codex_host.config import Config
from codex_host.errors import CodexError, ConfigError, PluginError
from codex_host.parts import Provider

PROVIDER = """
from codex_host.hookspecs import hookimpl
from codex_host.parts import Provider

@hookimpl
def codex_provider(name):
    return Provider(name.title(), "http://127.0.0.1:1/v1")
"""
POISON = "raise ImportError('poisoned')"


def hook(arguments: str, *lines: str, marker: str = "hookimpl", name: str = "codex_provider") -> str:
    """A module with one hook."""
    head = "from codex_host.hookspecs import hookimpl\nfrom codex_host.parts import Provider\n\n"
    return head + "\n    ".join([f"@{marker}\ndef {name}({arguments}):", *lines]) + "\n"


def asked(kind="provider", name="fake", *, disabled=(), given=None, **config):
    """The part that a run with this config gets."""
    settings = Config(home=Path("/nowhere"), **config)
    return LentParts(Plugins(given, disabled), settings).found(kind, name)


def fails(message, kind="provider", name="fake", **options):
    """Asking fails with a text that has the message in it."""
    with pytest.raises(PluginError) as caught:
        asked(kind, name, **options)
    assert message in str(caught.value)
    return str(caught.value)


def metadata(folder, name, text):
    folder = folder / name
    folder.mkdir(parents=True)
    (folder / "entry_points.txt").write_text(text, "utf-8")
    return folder


class TestInstalled:
    def test_names_without_importing(self, site):
        site.add("codex-provider-fake", {"provider": "one two", "toolset": "three"}, POISON, version="2.5")
        found = {(entry.kind, entry.name): entry for entry in installed([str(site.folder)])}
        assert set(found) == {("provider", "one"), ("provider", "two"), ("toolset", "three")}
        entry = found["provider", "one"]
        assert (entry.module, entry.origin) == ("codex_provider_fake", "codex-provider-fake 2.5")
        assert "codex_provider_fake" not in sys.modules

    def test_reads_what_the_specification_allows(self, tmp_path):
        text = "# a comment\n[console_scripts]\nx = y:z\n\n[codex_host.v1.provider]\n; no\n"
        text += "  spaced  =  a_module  \n\n[other]\nn=m\n"
        metadata(tmp_path, "A_b.C-1.0.dist-info", text)
        (entry,) = installed([str(tmp_path)])
        assert (entry.name, entry.module, entry.distribution) == ("spaced", "a_module", "a-b-c")

    @pytest.mark.parametrize("broken", ["[codex_host.v1.provider", "[codex_host.v1.provider]\nno equals sign", "= ="])
    def test_broken_metadata_hides_nothing_else(self, tmp_path, broken):
        metadata(tmp_path, "broken-1.dist-info", f"codex_host.\n{broken}")
        metadata(tmp_path, "whole-1.dist-info", "[codex_host.v1.provider]\nfake = whole")
        assert [entry.module for entry in installed([str(tmp_path)])] == ["whole"]

    def test_what_is_no_text_hides_nothing_else(self, tmp_path):
        (metadata(tmp_path, "bytes-1.dist-info", "") / "entry_points.txt").write_bytes(b"\xff\xfe codex_host.")
        (tmp_path / "empty-1.dist-info").mkdir()
        (tmp_path / "file-1.dist-info").write_text("codex_host.")
        (tmp_path / "folder-1.dist-info" / "entry_points.txt").mkdir(parents=True)
        metadata(tmp_path, "whole-1.dist-info", "[codex_host.v1.provider]\nfake = whole")
        assert [entry.module for entry in installed([str(tmp_path)])] == ["whole"]

    @pytest.mark.skipif(not hasattr(os, "geteuid"), reason="it takes POSIX users")
    def test_a_folder_that_cannot_be_read_is_empty(self, tmp_path):
        metadata(tmp_path / "closed", "whole-1.dist-info", "[codex_host.v1.provider]\nfake = whole")
        (tmp_path / "closed").chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root reads every folder
            assert installed([str(tmp_path / "closed")]) == ()
        finally:
            os.seteuid(user)
            (tmp_path / "closed").chmod(0o700)
        assert installed([str(tmp_path / "closed")]) != ()

    def test_what_is_no_folder_is_empty(self, tmp_path):
        (tmp_path / "archive.zip").write_bytes(b"PK")
        assert installed([str(tmp_path / "archive.zip"), str(tmp_path / "missing"), ""]) == ()

    def test_a_distribution_counts_where_it_stands_first(self, tmp_path):
        for folder, version in (("first", "1"), ("second", "2")):
            text = f"[codex_host.v1.provider]\nfake = module_{version}"
            metadata(tmp_path / folder, f"Fake_Plugin-{version}.dist-info", text)
        path = [str(tmp_path / folder) for folder in ("first", "first", "second")]
        assert [entry.version for entry in installed(path)] == ["1"]

    def test_summary_is_the_header_not_the_text_below(self, site):
        site.add("codex-provider-fake", {"provider": "fake"}, summary="First line")
        (entry,) = installed([str(site.folder)])
        assert summary(entry) == "First line"
        Path(entry.metadata, "METADATA").write_text("Name: x\n\nSummary: a lie\n")
        assert summary(entry) == ""
        Path(entry.metadata, "METADATA").unlink()
        assert summary(entry) == ""


class TestAsking:
    def test_the_part_and_where_it_comes_from(self, site):
        site.add("codex-provider-fake", {"provider": "fake"}, PROVIDER)
        found = asked()
        assert (found.part.name, found.origin) == ("Fake", "codex-provider-fake 1.0")

    def test_a_hook_gets_what_it_takes(self, site):
        code = hook("parts, name, config", "return Provider(config.model, type(parts).__name__)")
        site.add("codex-provider-fake", {"provider": "fake"}, code)
        part = asked(model="o3").part
        assert (part.name, part.base_url) == ("o3", "LentParts")

    def test_only_the_claiming_module_is_called(self, site):
        site.add("codex-provider-one", {"provider": "one"}, PROVIDER.replace("name.title()", "'One'"))
        site.add("codex-provider-two", {"provider": "two"}, PROVIDER.replace("name.title()", "'Two'"))
        parts = LentParts(Plugins(), Config(home=Path("/nowhere")))
        names = [parts.provider(name).name for name in ("one", "two", "one", "two")]
        assert names == ["One", "Two", "One", "Two"]

    @pytest.mark.parametrize("disabled", ["codex-provider-fake", "Codex_Provider.Fake", "provider.fake"])
    def test_disabled_is_not_imported(self, site, disabled):
        site.add("codex-provider-fake", {"provider": "fake"}, POISON)
        fails("the provider 'fake' of codex-provider-fake 1.0 is disabled", disabled=[disabled])
        assert "fake" not in Plugins(disabled=[disabled]).names("provider")

    def test_disabling_one_of_two_rivals_leaves_the_other(self, site):
        site.add("codex-provider-a", {"provider": "fake"}, PROVIDER)
        site.add("codex-provider-b", {"provider": "fake"}, POISON)
        text = fails("two plugins claim the provider 'fake'")
        assert "codex-provider-a 1.0" in text
        assert "codex-provider-b 1.0" in text
        assert asked(disabled=["codex-provider-b"]).origin == "codex-provider-a 1.0"

    @pytest.mark.parametrize(("generation", "age"), [(GENERATION - 1, "an older"), (GENERATION + 1, "a newer")])
    def test_another_generation_is_explained_without_importing(self, site, generation, age):
        site.add("codex-provider-fake", {"provider": "fake"}, POISON, generation=generation)
        fails(f"codex-provider-fake 1.0 has the provider 'fake' for {age} plugin interface (v{generation}; this")
        assert "fake" not in Plugins().names("provider")

    def test_one_that_does_not_fit_does_not_shadow_one_that_does(self, site):
        site.add("codex-provider-new", {"provider": "fake"}, POISON, generation=GENERATION + 1)
        site.add("codex-provider-fake", {"provider": "fake"}, PROVIDER)
        assert asked().origin == "codex-provider-fake 1.0"

    def test_a_part_given_in_process_stands_before_an_installed_one(self, site):
        site.add("codex-provider-fake", {"provider": "fake"}, POISON)
        mine = Provider("Mine", "http://127.0.0.1:1")
        found = asked(given={"provider.fake": mine})
        assert found.part is mine
        assert found.origin == "the provider 'fake' given in process"
        assert "other" in Plugins({"provider.other": mine}).names("provider")


class TestMissing:
    def test_says_what_is_installed_and_what_to_install(self, site, monkeypatch):
        site.add("codex-provider-openai", {"provider": "openai"}, POISON)
        monkeypatch.setattr(sys, "path", [str(site.folder)])
        message = "no provider called 'ollama'; installed: openai; pip install codex-provider-ollama"
        assert fails("", name="ollama") == message

    def test_says_that_none_is_installed(self, monkeypatch):
        monkeypatch.setattr(sys, "path", [])
        assert "installed: none; pip install codex-sandbox-bubblewrap" in fails("", "sandbox", "bubblewrap")

    @pytest.mark.parametrize(
        ("kind", "name", "package"),
        [
            ("provider", "acme", "codex-provider-acme"),
            ("wire_api", "acme", "codex-wire-acme"),
            ("sandbox", "acme", "codex-sandbox-acme"),
            ("approval_policy", "acme", "codex-approval-acme"),
            ("session_store", "acme", "codex-session-store-acme"),
            ("toolset", "my_tool", "codex-tool-my-tool"),
            ("instructions", "acme", "codex-instructions-acme"),
            ("recorder", "acme", "codex-recorder-acme"),
            ("notifier", "acme", "codex-notifier-acme"),
            ("frontend", "acme", "codex-frontend-acme"),
            ("command", "acme", "codex-command-acme"),
        ],
    )
    def test_names_the_package_for_every_kind(self, kind, name, package):
        fails(f"; pip install {package}", kind, name)
        assert kind in HOOKS

    def test_the_packages_of_first_party_parts_are_named_rightly(self, monkeypatch):
        """A wrong hint would have people install a stranger's package."""
        ours = {folder.name for folder in (Path(__file__).parents[1] / "plugins").iterdir()}
        parts = [entry for entry in installed() if entry.distribution in ours and entry.kind != "command"]
        monkeypatch.setattr(sys, "path", [])
        assert len(parts) > 20
        for entry in parts:
            fails(f"pip install {entry.distribution}", entry.kind, entry.name)

    def test_every_kind_is_tested(self):
        cases = self.test_names_the_package_for_every_kind.pytestmark[0].args[1]
        assert {kind for kind, _, _ in cases} == set(HOOKS)

    def test_ends_the_run_with_2(self, run_codex):
        run = run_codex("exec", "--skip-git-repo-check", "-c", "model_provider=nowhere", "hi")
        run.assert_exit(2, "no provider called 'nowhere'; installed: ", "; pip install codex-provider-nowhere")
        assert "Traceback" not in run.stderr


BROKEN = {
    "raises ImportError": (
        POISON,
        "failed importing codex_provider_fake for the provider 'fake': ImportError: poisoned",
    ),
    "is no Python": ("def", "SyntaxError"),
    "leaves on import": (
        "raise SystemExit(0)",
        "failed importing codex_provider_fake for the provider 'fake': SystemExit",
    ),
    "has no hook": ("", "claims the provider 'fake' but does not make it"),
    "hook raises": (
        hook("name", "1 / 0"),
        "failed making the provider 'fake': ZeroDivisionError: division by zero",
    ),
    "hook leaves": (hook("name", "raise SystemExit"), "failed making the provider 'fake': SystemExit"),
    "hook says not mine": (hook("name", "return None"), "claims the provider 'fake' but does not make it"),
    "hook makes something else": (
        hook("name", "return name"),
        "made a str, not a Provider, as the provider 'fake'",
    ),
    "wraps": (
        hook("name", "return (yield)", marker="hookimpl(wrapper=True)"),
        "wraps the hook 'codex_provider'",
    ),
    "wraps in the old way": (
        hook("name", "yield", marker="hookimpl(hookwrapper=True)"),
        "wraps the hook 'codex_provider'",
    ),
    "takes what is not lent": (hook("name, database", "pass"), "install another version of it: "),
    "has a hook from the future": (
        PROVIDER + hook("name", "pass", name="codex_oracle"),
        "a hook 'codex_oracle' that this",
    ),
}


class TestBroken:
    @pytest.mark.parametrize("case", BROKEN)
    def test_names_the_distribution_and_the_cause(self, site, case):
        code, message = BROKEN[case]
        site.add("codex-provider-fake", {"provider": "fake"}, code, version="3.1")
        assert fails(message).startswith("codex-provider-fake 3.1 ")

    @pytest.mark.parametrize("case", BROKEN)
    def test_a_second_asking_fails_in_the_same_way(self, site, case):
        code, message = BROKEN[case]
        site.add("codex-provider-fake", {"provider": "fake"}, code)
        parts = LentParts(Plugins(), Config(home=Path("/nowhere")))
        for _ in range(2):
            with pytest.raises(PluginError, match=message.split("'")[0]):
                parts.provider("fake")

    @pytest.mark.parametrize("case", BROKEN)
    def test_does_not_answer_for_others(self, site, case):
        """A rejected module stays outside: it must not be called for another plugin's name."""
        site.add("codex-provider-good", {"provider": "good late"}, PROVIDER.replace("name.title()", "'Good'"))
        site.add("codex-provider-fake", {"provider": "fake"}, BROKEN[case][0])
        parts = LentParts(Plugins(), Config(home=Path("/nowhere")))
        parts.provider("good")
        with pytest.raises(PluginError):
            parts.provider("fake")
        assert parts.provider("late").name == "Good"

    def test_unknown_arguments_are_named(self, site):
        site.add("codex-provider-fake", {"provider": "fake"}, hook("name, database", "pass"))
        text = fails("codex-provider-fake 1.0 does not fit this codex-host, install another version of it: ")
        assert "database" in text
        assert "\n" not in text

    def test_an_optional_hook_may_be_unknown(self, site):
        later = hook("name", "pass", name="codex_oracle", marker="hookimpl(optionalhook=True)")
        site.add("codex-provider-fake", {"provider": "fake"}, PROVIDER + later)
        assert asked().part.name == "Fake"

    def test_an_error_meant_for_the_user_is_shown_as_it_is(self, site):
        code = hook("name", "from codex_host.errors import ConfigError", "raise ConfigError('set the region')")
        site.add("codex-provider-fake", {"provider": "fake"}, code)
        with pytest.raises(ConfigError, match=r"^set the region$"):
            asked()

    def test_an_interrupt_passes_through(self):
        with pytest.raises(KeyboardInterrupt), guarded("a plugin", "working"):
            raise KeyboardInterrupt

    def test_tracing_shows_the_hook(self, site, run_codex):
        site.add("codex-provider-fake", {"provider": "fake"}, PROVIDER)
        run = run_codex("plugins", "why", "provider", "fake", env={"CODEX_TRACE_HOOKS": "1"}).assert_success()
        assert "codex_provider" in run.stderr


WRAPPING = hook("name, parts", "return parts.provider(name[1:] or name)")


class TestLentParts:
    def test_a_part_may_wrap_another(self, site):
        site.add("codex-provider-fake", {"provider": "afake"}, WRAPPING)
        site.add("codex-provider-inner", {"provider": "fake"}, PROVIDER)
        assert asked(name="afake").part.name == "Fake"

    def test_a_part_that_asks_for_itself(self, site):
        site.add("codex-provider-fake", {"provider": "a"}, WRAPPING)
        fails("parts that ask for each other in a circle: provider a > provider a", name="a")

    def test_a_circle_names_the_chain_from_where_it_was_entered(self, site):
        site.add("codex-provider-one", {"provider": "xone"}, hook("name, parts", "return parts.provider('one')"))
        site.add("codex-provider-two", {"provider": "one"}, hook("name, parts", "return parts.provider('two')"))
        site.add("codex-provider-three", {"provider": "two"}, hook("name, parts", "return parts.provider('one')"))
        fails("in a circle: provider xone > provider one > provider two > provider one", name="xone")

    def test_a_circle_of_two_kinds(self, site):
        other = hook("name, parts", "return parts.provider('fake')", name="codex_sandbox")
        site.add("codex-provider-fake", {"provider": "fake"}, hook("name, parts", "return parts.sandbox('fake')"))
        site.add("codex-sandbox-fake", {"sandbox": "fake"}, other)
        fails("in a circle: provider fake > sandbox fake > provider fake")

    @pytest.mark.parametrize("kind", ["wire_api", "sandbox", "approval_policy", "session_store"])
    def test_lends_each_kind(self, kind):
        mine = object()
        parts = LentParts(Plugins({f"{kind}.mine": mine}), Config(home=Path("/nowhere")))
        assert getattr(parts, kind)("mine") is mine


class TestProviderTables:
    @pytest.fixture(autouse=True)
    def installed_provider(self, site):
        site.add("codex-provider-fake", {"provider": "fake"}, PROVIDER)

    def provider(self, part, **table):
        config = Config(home=Path("/nowhere"), model_providers={part: table})
        return provider(LentParts(Plugins(), config), part)

    def test_amends_field_by_field(self):
        found = self.provider("fake", base_url="http://127.0.0.1:2", http_headers={"a": "b"}, stream_max_retries=0)
        expected = Provider("Fake", "http://127.0.0.1:2", http_headers={"a": "b"}, stream_max_retries=0)
        assert found.part == expected
        assert found.origin == "codex-provider-fake 1.0"

    def test_amending_keeps_the_plugins_own_class(self, site):
        signing = "class Signing(Provider):\n    pass\n\n" + PROVIDER.replace("return Provider", "return Signing")
        code = signing.replace("class", "from codex_host.parts import Provider\n\nclass", 1)
        site.add("codex-provider-signing", {"provider": "signing"}, code)
        found = self.provider("signing", env_key="A_KEY")
        assert (type(found.part).__name__, found.part.env_key) == ("Signing", "A_KEY")

    def test_stands_alone(self):
        found = self.provider("own", name="Own", base_url="http://127.0.0.1:3", wire_api="responses")
        assert found.part == Provider("Own", "http://127.0.0.1:3", "responses")
        assert found.origin == "[model_providers.own]"

    @pytest.mark.parametrize("missing", ["name", "base_url"])
    def test_alone_it_needs_a_name_and_an_address(self, missing):
        table = {"name": "Own", "base_url": "http://127.0.0.1:3"}
        del table[missing]
        with pytest.raises(ConfigError, match=rf"\[model_providers.own\] has no '{missing}', and no provider"):
            self.provider("own", **table)

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("base_url", 5, "a text"),
            ("env_key", ["A"], "a text"),
            ("request_max_retries", "4", "a whole number that is not negative"),
            ("request_max_retries", -1, "a whole number that is not negative"),
            ("request_max_retries", True, "a whole number that is not negative"),
            ("http_headers", "a", "a table of texts"),
            ("query_params", {"a": 1}, "a table of texts"),
            ("env_http_headers", [], "a table of texts"),
        ],
    )
    def test_wrong_values_name_table_and_key(self, key, value, expected):
        with pytest.raises(ConfigError) as caught:
            self.provider("fake", **{key: value})
        assert str(caught.value).startswith(f"[model_providers.fake] {key}: expected {expected}")
        assert str(caught.value).endswith(f", got {value!r}")

    def test_a_table_does_not_mend_a_broken_plugin(self, site):
        site.add("codex-provider-broken", {"provider": "broken"}, POISON)
        with pytest.raises(CodexError, match=r"codex-provider-broken 1\.0 failed importing"):
            self.provider("broken", base_url="http://127.0.0.1:3")

    def test_a_part_given_in_process_is_amended_too(self):
        tables = {"mine": {"env_key": "A_KEY"}}
        plugins = Plugins({"provider.mine": Provider("Mine", "http://127.0.0.1:4")})
        parts = LentParts(plugins, Config(home=Path("/nowhere"), model_providers=tables))
        assert parts.provider("mine") == Provider("Mine", "http://127.0.0.1:4", env_key="A_KEY")
