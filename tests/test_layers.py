"""The configuration: which layer wins, what each value means, and what is said of a wrong one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from codex_host._layers import Layer, codex_home, load
from codex_host.config import ALIASES, KEYS, Config, EnvironmentPolicy
from codex_host.errors import ConfigError
from codex_host.permissions import DANGER_FULL_ACCESS, READ_ONLY, WORKSPACE_WRITE, Permissions

PROFILES = """
model = "o3"
approval_policy = "unless-allow-listed"
sandbox_permissions = ["disk-full-read-access"]
disable_response_storage = false
profile = "o3"

[model_providers.openai-chat-completions]
name = "OpenAI using Chat Completions"
base_url = "https://api.openai.com/v1"
env_key = "OPENAI_API_KEY"
wire_api = "chat"

[profiles.o3]
model = "o3"
model_provider = "openai"
approval_policy = "never"

[profiles.gpt3]
model = "gpt-3.5-turbo"
model_provider = "openai-chat-completions"

[profiles.zdr]
model = "o3"
model_provider = "openai"
approval_policy = "on-failure"
disable_response_storage = true
"""


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def configured(home):
    """What this config.toml makes, with these flags, texts of `-c` and profile."""

    def layers(text="", *assignments, environ=None, profile=None, **flags):
        (home / "config.toml").write_text(text, "utf-8")
        return load(home, environ or {}, flags, assignments, profile)

    return layers


def error_of(call, *arguments, **options):
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **options)
    return str(caught.value)


class TestPrecedence:
    LAYERS = (
        ("the command line", {"model": "flag"}),
        ("-c", {"assignments": ["model=assigned"]}),
        ("profile", {"profile": "p"}),
        ("user", {"text": 'model = "user"\n'}),
        ("the environment", {"environ": {"OPENAI_DEFAULT_MODEL": "environment"}}),
    )

    @pytest.mark.parametrize(
        ("left_out", "model"),
        list(enumerate(["flag", "assigned", "profile", "user", "environment", "o4-mini"])),
    )
    def test_of_one_key(self, configured, left_out, model):
        """Each layer, once all above it are left out."""
        given = dict(pair for _, options in self.LAYERS[left_out:] for pair in options.items())
        text = given.pop("text", "") + '[profiles.p]\nmodel = "profile"'
        assert configured(text, *given.pop("assignments", ()), **given).config.model == model

    def test_is_for_each_key_by_itself(self, configured):
        user = "model = 'user'\nmodel_provider = 'user'\nsession_store = 'user'\n"
        text = f"{user}[profiles.p]\nmodel_provider = 'profile'\nmodel = 'p'"
        config = configured(text, profile="p", model="flag").config
        assert (config.model, config.model_provider, config.session_store) == ("flag", "profile", "user")

    def test_of_tables_is_for_each_field_by_itself(self, configured):
        text = "[history]\npersistence = 'none'\n[profiles.p.history]\nmax_bytes = 5\n"
        text += "[shell_environment_policy]\ninherit = 'core'\nset = { a = '1', b = '2' }\n"
        assignments = ("shell_environment_policy.set.b=x", "shell_environment_policy.exclude=['X']")
        config = configured(text, *assignments, profile="p").config
        assert (config.history_persistence, config.history_max_bytes) == ("none", 5)
        policy = EnvironmentPolicy(inherit="core", exclude=("X",), set={"a": "1", "b": "x"})
        assert config.shell_environment_policy == policy

    def test_without_anything_the_defaults_hold(self, configured):
        assert configured().config == Config(home=configured().home)
        assert configured().warnings == ()

    def test_a_frontend_stands_above_all(self, configured, tmp_path):
        layers = configured(model="flag").over(Layer("the frontend exec", {"model": "frontend"}, tmp_path))
        assert layers.config.model == "frontend"
        assert layers.over(Layer("the frontend exec", {}, tmp_path)) is layers

    @pytest.mark.parametrize(
        ("text", "key", "expected"),
        [
            ("notify = ['a']", "notify=['b']", ("b",)),
            (
                "[model_providers.x]\nname = 'a'\nbase_url = 'u'",
                "model_providers.x.name=b",
                {"name": "b", "base_url": "u"},
            ),
            ("[model_providers.x]\nname = 'a'", "model_providers.y.name=b", {"name": "a"}),
        ],
    )
    def test_lists_are_replaced_and_tables_merged(self, configured, text, key, expected):
        config = configured(text, key).config
        assert expected in (config.notify, config.model_providers.get("x"))

    def test_merging_goes_all_the_way_down(self, configured):
        text = "[plugins.x.a]\none = 1\ntwo = 2\n[plugins.x.b]\nc = 3"
        config = configured(text, "plugins.x.a.two=3").config
        assert config.plugin("x") == {"a": {"one": 1, "two": 3}, "b": {"c": 3}}
        assert config.plugin("y") == {}

    def test_a_quoted_path_keeps_its_dots(self, configured):
        config = configured("", 'model_providers."my.own".name=b', "model_providers.'a b'.name=c").config
        assert config.model_providers == {"my.own": {"name": "b"}, "a b": {"name": "c"}}

    @pytest.mark.parametrize("blank", ["", "  "])
    def test_a_blank_variable_is_none(self, configured, blank):
        assert configured(environ={"OPENAI_DEFAULT_MODEL": blank}).config.model == "o4-mini"


class TestOrigins:
    def test_of_every_layer(self, configured, home, tmp_path):
        text = 'model = "user"\n[profiles.p]\n# the profile\nmodel = "profile"'
        environ = {"OPENAI_DEFAULT_MODEL": "environment"}
        layers = configured(text, "model=assigned", environ=environ, profile="p", model="flag")
        layers = layers.over(Layer("the frontend exec", {"model": "frontend"}, tmp_path))
        assert [(origin.value, origin.where) for origin in layers.origins("model")] == [
            ("frontend", "the frontend exec"),
            ("flag", "the command line"),
            ("assigned", "-c"),
            ("profile", f"profile 'p' in {home / 'config.toml'}:4"),
            ("user", f"{home / 'config.toml'}:1"),
            ("environment", "OPENAI_DEFAULT_MODEL"),
        ]

    def test_of_a_default_there_is_none(self, configured):
        assert configured().origins("model") == ()
        assert configured("model = 'x'").origins("model", "y") == ()

    def test_of_two_spellings(self, configured, home):
        layers = configured("\nsandbox_permissions = []", "sandbox_mode=read-only")
        for key in ("sandbox_mode", "sandbox_permissions"):
            assert [(origin.key, origin.where) for origin in layers.origins(key)] == [
                ("sandbox_mode", "-c"),
                ("sandbox_permissions", f"{home / 'config.toml'}:2"),
            ]

    def test_a_byte_order_mark_is_no_text(self, configured):
        assert configured("\ufeffmodel = 'x'").config.model == "x"


class TestShortNames:
    def test_openai_base_url_is_a_field_of_the_provider(self, configured, home):
        text = "\nopenai_base_url = 'http://a'\n[model_providers.openai]\nname = 'x'\nbase_url = 'http://b'"
        layers = configured(text)
        assert layers.config.model_providers == {"openai": {"name": "x", "base_url": "http://a"}}
        for path in (("openai_base_url",), ("model_providers", "openai", "base_url")):
            assert layers.origins(*path)[0].where == f"{home / 'config.toml'}:2"

    @pytest.mark.parametrize(
        ("text", "assignment", "expected"),
        [
            ("openai_base_url = 'http://a'", "model_providers.openai.base_url=http://b", "http://b"),
            ("model_providers.openai.base_url = 'http://a'", "openai_base_url=http://b", "http://b"),
            ("[profiles.p]\nopenai_base_url = 'http://a'", "profile=p", "http://a"),
        ],
    )
    def test_it_stays_in_its_layer(self, configured, text, assignment, expected):
        assert configured(text, assignment).config.model_providers["openai"]["base_url"] == expected


class TestEnvironment:
    NUMBERS = (
        ("OPENAI_REQUEST_MAX_RETRIES", "request_max_retries"),
        ("OPENAI_STREAM_MAX_RETRIES", "stream_max_retries"),
        ("OPENAI_STREAM_IDLE_TIMEOUT_MS", "stream_idle_timeout_ms"),
    )

    @pytest.mark.parametrize(("variable", "field"), NUMBERS)
    def test_numbers_are_the_chosen_providers(self, configured, variable, field):
        assert configured(environ={variable: " 7 "}).config.model_providers == {"openai": {field: 7}}
        config = configured("model_provider = 'x'", environ={variable: "7"}).config
        assert config.model_providers == {"x": {field: 7}}
        assert configured(environ={variable: " "}).config.model_providers == {}

    @pytest.mark.parametrize(("variable", "field"), NUMBERS)
    def test_tables_stand_above_them(self, configured, variable, field):
        text = f"[model_providers.openai]\nbase_url = 'http://x'\n{field} = 1"
        layers = configured(text, environ={variable: "7"})
        assert layers.config.model_providers["openai"] == {"base_url": "http://x", field: 1}
        assert [origin.value for origin in layers.origins("model_providers", "openai", field)] == [1, 7]

    def test_the_chosen_one_may_be_the_frontends(self, configured, tmp_path):
        layers = configured(environ={"OPENAI_STREAM_MAX_RETRIES": "7"})
        layers = layers.over(Layer("the frontend", {"model_provider": "local"}, tmp_path))
        assert layers.config.model_providers == {"local": {"stream_max_retries": 7}}

    @pytest.mark.parametrize("text", ["many", "-1", "1.5", "²", "0x1"])
    def test_what_is_no_number(self, configured, text):
        expected = f"OPENAI_STREAM_MAX_RETRIES: expected a whole number that is not negative, got {text!r}"
        assert error_of(configured, environ={"OPENAI_STREAM_MAX_RETRIES": text}) == expected

    def test_a_model_may_look_like_a_number(self, configured):
        assert configured(environ={"OPENAI_DEFAULT_MODEL": "4"}).config.model == "4"


class TestProfiles:
    CASES = (
        (None, ("o3", "openai", "never", False)),
        ("o3", ("o3", "openai", "never", False)),
        ("gpt3", ("gpt-3.5-turbo", "openai-chat-completions", "unless-allow-listed", False)),
        ("zdr", ("o3", "openai", "on-failure", True)),
    )

    @pytest.mark.parametrize(("profile", "expected"), CASES)
    def test_of_the_originals_documentation(self, configured, profile, expected):
        config = configured(PROFILES, profile=profile).config
        chosen = (
            config.model,
            config.model_provider,
            config.approval_policy,
            config.disable_response_storage,
        )
        assert chosen == expected
        assert config.permissions == READ_ONLY
        assert list(config.model_providers) == ["openai-chat-completions"]

    def test_the_file_without_its_profile_key(self, configured):
        config = configured(PROFILES.replace('profile = "o3"\n', "")).config
        assert (config.model, config.approval_policy) == ("o3", "unless-allow-listed")

    def test_an_unknown_one_is_named_with_those_there_are(self, configured, home):
        message = f"no profile called 'gpt5' in {home / 'config.toml'}; there are: o3, gpt3, zdr"
        assert error_of(configured, PROFILES, profile="gpt5") == message
        assert "there are: none" in error_of(configured, "profile = 'x'")

    def test_one_that_is_no_table(self, configured):
        assert "no profile called 'x'" in error_of(configured, "profiles = 3", profile="x")
        assert "no profile called 'x'" in error_of(configured, "profile = 'x'\n[profiles]\nx = 3")

    def test_an_assignment_may_choose_one(self, configured):
        assert configured(PROFILES, "profile=gpt3").config.model == "gpt-3.5-turbo"
        assert configured(PROFILES, "profile=gpt3", profile="zdr").config.approval_policy == "on-failure"

    def test_an_assignment_may_add_to_one_or_make_one(self, configured):
        config = configured(PROFILES, "profiles.gpt3.model=gpt-4", profile="gpt3").config
        assert (config.model, config.model_provider) == ("gpt-4", "openai-chat-completions")
        assert configured("", "profiles.new.model=x", "profile=new").config.model == "x"

    def test_one_has_no_profiles_in_it(self, configured, home):
        layers = configured("[profiles.p]\nprofile = 'q'\nmodel = 'x'", profile="p")
        said = "unknown key 'profile' is ignored; it stands at the top level of config.toml only"
        assert layers.warnings == (f"profile 'p' in {home / 'config.toml'}:2: {said}",)
        assert layers.config.model == "x"

    def test_the_choice_is_a_name(self, configured, home):
        assert error_of(configured, "profile = 3") == (
            f"{home / 'config.toml'}:1: profile: expected a text that is not empty, got 3"
        )
        assert "no profile called ''" in error_of(configured, profile="")

    def test_a_wrong_value_names_profile_and_file(self, configured, home):
        text = error_of(configured, "[profiles.p]\nmodel = 3", profile="p")
        assert text.startswith(f"profile 'p' in {home / 'config.toml'}:2: model: expected a text")

    def test_only_the_chosen_one_is_checked(self, configured):
        assert configured("[profiles.p]\nmodel = 3").config.model == "o4-mini"


class TestPermissions:
    def test_absent_empty_and_filled_differ(self, configured):
        assert configured("").config.permissions == READ_ONLY
        assert configured("sandbox_permissions = []").config.permissions == Permissions()
        filled = configured('sandbox_permissions = ["disk-full-read-access", "disk-write-cwd"]').config.permissions
        assert filled == Permissions(full_read=True, write_cwd=True)

    def test_a_mode_is_a_preset(self, configured):
        assert configured('sandbox_mode = "workspace-write"').config.permissions == WORKSPACE_WRITE

    def test_list_and_mode_in_one_layer_exclude_each_other(self, configured, home):
        text = 'sandbox_permissions = []\nsandbox_mode = "read-only"'
        expected = f"{home / 'config.toml'}:2: sandbox_permissions and sandbox_mode exclude each other; keep one"
        assert error_of(configured, text) == expected

    def test_in_two_layers_the_higher_hides_the_lower(self, configured):
        mode = configured("sandbox_permissions = []", "sandbox_mode=danger-full-access").config
        assert mode.permissions == DANGER_FULL_ACCESS
        words = configured('sandbox_mode = "danger-full-access"', "sandbox_permissions=[]").config
        assert words.permissions == Permissions()

    def test_the_preset_for_the_workspace_may_be_changed(self, configured, home):
        text = "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\n"
        every = "writable_roots = ['sub', '/abs']\nnetwork_access = true\n"
        every += "exclude_slash_tmp = true\nexclude_tmpdir_env_var = true"
        assert configured(text + every).config.permissions == Permissions(
            full_read=True, write_cwd=True, full_network=True, write_folders=(home / "sub", Path("/abs"))
        )
        one = configured(text + "exclude_slash_tmp = true").config.permissions
        assert one == replace(WORKSPACE_WRITE, write_global_temp=False)

    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ("sandbox_mode = 'read-only'", READ_ONLY),
            ("sandbox_mode = 'danger-full-access'", DANGER_FULL_ACCESS),
            ("sandbox_permissions = []", Permissions()),
            ("", READ_ONLY),
        ],
    )
    def test_its_changes_mean_nothing_to_others(self, configured, setting, expected):
        table = "[sandbox_workspace_write]\nnetwork_access = true"
        assert configured(f"{setting}\n{table}").config.permissions == expected

    def test_mode_and_changes_may_stand_in_different_layers(self, configured):
        table = "[sandbox_workspace_write]\nnetwork_access = true"
        assert configured(table, "sandbox_mode=workspace-write").config.permissions.full_network
        last = configured(f"sandbox_mode = 'workspace-write'\n{table}", "sandbox_permissions=[]").config
        assert last.permissions == Permissions()

    def test_relative_folders_belong_to_their_layer(self, configured, home, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        words = ["disk-write-folder=sub"]
        text = f"sandbox_permissions = {words}"
        assert configured(text).config.permissions.write_folders == (home / "sub",)
        assert configured("", text).config.permissions.write_folders == (tmp_path / "sub",)
        assert configured(sandbox_permissions=words).config.permissions.write_folders == (tmp_path / "sub",)
        profile = f"[profiles.p]\n{text}"
        assert configured(profile, profile="p").config.permissions.write_folders == (home / "sub",)

    def test_an_unknown_word_is_named_with_those_there_are(self, configured, home):
        text = error_of(configured, 'sandbox_permissions = ["disk-full-reed-access"]')
        assert text.startswith(f"{home / 'config.toml'}:1: sandbox_permissions: no permission is called")
        assert "disk-full-read-access" in text


class TestAssignments:
    @pytest.mark.parametrize(
        ("assignment", "field", "value"),
        [
            ("model=o3", "model", "o3"),
            ("model = 'o3'", "model", "o3"),
            ('model="with = sign"', "model", "with = sign"),
            ("model=a=b", "model", "a=b"),
            ("project_doc_max_bytes=5", "project_doc_max_bytes", 5),
            ("disable_response_storage=true", "disable_response_storage", True),
            ('notify=["a", "b"]', "notify", ("a", "b")),
            ("history.persistence=none", "history_persistence", "none"),
            ('history={persistence="none"}', "history_persistence", "none"),
            ("plugins.x.count=3", "plugins", {"x": {"count": 3}}),
        ],
    )
    def test_a_toml_value_else_a_text(self, configured, assignment, field, value):
        assert getattr(configured("", assignment).config, field) == value

    def test_the_last_one_wins(self, configured):
        assert configured("", "model=a", "model=b").config.model == "b"

    @pytest.mark.parametrize("assignment", ["model", "", "=o3", ".=x", "model.=x", ".model=x", "a..b=x"])
    def test_without_key_and_value(self, configured, assignment):
        expected = f"-c {assignment}: expected KEY=VALUE, for example -c model=o3"
        assert error_of(configured, "", assignment) == expected

    def test_a_value_is_no_table(self, configured):
        text = error_of(configured, "", "plugins.x=3", "plugins.x.y=4")
        assert text == "-c plugins.x.y=4: x has a value already and is no table"

    def test_a_wrong_value_names_its_source(self, configured):
        assert error_of(configured, "", "notify=x").startswith("-c: notify: expected a list of texts")
        assert error_of(configured, "", "model=").startswith("-c: model: expected a text that is not empty")


class TestWrongValues:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("model = 3", "model: expected a text that is not empty, got 3"),
            ("model = ' '", "model: expected a text that is not empty, got ' '"),
            ("model_provider = false", "model_provider: expected a text that is not empty, got False"),
            ("model_providers = 'x'", "model_providers: expected a table of tables, got 'x'"),
            ("model_providers.x = 1", "model_providers: expected a table of tables, got {'x': 1}"),
            (
                "model_reasoning_effort = 'huge'",
                "model_reasoning_effort: expected one of 'minimal', 'low', 'medium', 'high'",
            ),
            (
                "model_reasoning_summary = 1",
                "model_reasoning_summary: expected one of 'auto', 'concise', 'detailed', 'none'",
            ),
            ("approval_policy = ['never']", "approval_policy: expected a text that is not empty"),
            ("sandbox_permissions = 'disk-write-cwd'", "sandbox_permissions: expected a list of texts"),
            ("sandbox_permissions = [1]", "sandbox_permissions: expected a list of texts"),
            (
                "sandbox_mode = 'none'",
                "sandbox_mode: expected one of 'read-only', 'workspace-write', 'danger-full-access'",
            ),
            ("sandbox_backend = 1", "sandbox_backend: expected a text"),
            ("disable_response_storage = 1", "disable_response_storage: expected true or false, got 1"),
            ("notify = 'say'", "notify: expected a list of texts such as"),
            ("history = 'none'", "history: expected a table, got 'none'"),
            (
                "history.persistence = 'some'",
                "history.persistence: expected one of 'save-all', 'none', got 'some'",
            ),
            (
                "project_doc_max_bytes = -1",
                "project_doc_max_bytes: expected a whole number that is not negative, got -1",
            ),
            (
                "project_doc_max_bytes = true",
                "project_doc_max_bytes: expected a whole number that is not negative, got True",
            ),
            (
                "project_doc_max_bytes = 1.5",
                "project_doc_max_bytes: expected a whole number that is not negative, got 1.5",
            ),
            ("session_store = 1", "session_store: expected a text"),
            ("frontend = 1", "frontend: expected a text"),
            ("disabled_plugins = 'x'", "disabled_plugins: expected a list of texts"),
            ("mcp_servers = 1", "mcp_servers: expected a table of tables"),
            ("plugins = []", "plugins: expected a table of tables"),
            ("openai_base_url = 1", "openai_base_url: expected a text"),
            ("model_context_window = 0", "model_context_window: expected a whole number above 0, got 0"),
            ("history.max_bytes = 'x'", "history.max_bytes: expected a whole number"),
            ("sandbox_workspace_write = 1", "sandbox_workspace_write: expected a table, got 1"),
            (
                "sandbox_workspace_write.writable_roots = ['/a', '']",
                "sandbox_workspace_write.writable_roots: expected a list of folders, and '' names none",
            ),
            (
                "sandbox_workspace_write.network_access = 'yes'",
                "sandbox_workspace_write.network_access: expected true or false, got 'yes'",
            ),
            (
                "sandbox_workspace_write.exclude_slash_tmp = 1",
                "sandbox_workspace_write.exclude_slash_tmp: expected true",
            ),
            (
                "sandbox_workspace_write.exclude_tmpdir_env_var = 1",
                "sandbox_workspace_write.exclude_tmpdir_env_var: expected true",
            ),
            (
                "shell_environment_policy.inherit = 'some'",
                "shell_environment_policy.inherit: expected one of 'core', 'all', 'none', got 'some'",
            ),
            (
                "shell_environment_policy.ignore_default_excludes = 'x'",
                "shell_environment_policy.ignore_default_excludes: expected true or false",
            ),
            (
                "shell_environment_policy.exclude = 'X'",
                "shell_environment_policy.exclude: expected a list of texts",
            ),
            ("shell_environment_policy.set.x = 1", "shell_environment_policy.set: expected a table of texts"),
            (
                "shell_environment_policy.include_only = {}",
                "shell_environment_policy.include_only: expected a list of texts",
            ),
        ],
    )
    def test_names_file_and_key_and_what_was_expected(self, configured, home, line, expected):
        assert error_of(configured, line).startswith(f"{home / 'config.toml'}:1: {expected}")

    def test_every_key_is_tested(self):
        lines = [case[0] for case in self.test_names_file_and_key_and_what_was_expected.pytestmark[0].args[1]]
        told = {line.partition(" ")[0] for line in lines}
        assert {key.name for key in KEYS} - told == {"shell_environment_policy.set"}  # its line sets a key in it

    def test_every_key_has_a_field_and_a_documentation(self):
        for key in KEYS:
            path = ALIASES.get(key.name, (key.field or key.name).split("."))
            assert path[0] in Config.__slots__
            assert key.doc.endswith(".")

    @pytest.mark.parametrize("text", ["model = ", "= 3", "[x\n", "model = 'a'\nmodel = 'b'"])
    def test_broken_toml_names_the_file(self, configured, home, text):
        assert error_of(configured, text).startswith(f"{home / 'config.toml'} is not valid TOML: ")

    def test_what_is_no_utf8(self, home):
        (home / "config.toml").write_bytes(b"model = '\xff'")
        assert "config.toml cannot be read: " in error_of(load, home, {}, {})

    def test_a_folder_in_place_of_the_file(self, home):
        (home / "config.toml").mkdir()
        assert "config.toml cannot be read: " in error_of(load, home, {}, {})

    def test_an_unknown_key_is_ignored_and_told_with_the_nearest(self, configured, home):
        layers = configured("modle = 'o3'\nzzz = 1\n[profiles.p]\nnotifi = 1", "frontent=x", profile="p")
        assert layers.warnings == (
            f"{home / 'config.toml'}:1: unknown key 'modle' is ignored; did you mean 'model'?",
            f"{home / 'config.toml'}:2: unknown key 'zzz' is ignored",
            f"profile 'p' in {home / 'config.toml'}:4: unknown key 'notifi' is ignored; did you mean 'notify'?",
            "-c: unknown key 'frontent' is ignored; did you mean 'frontend'?",
        )
        assert layers.config.model == "o4-mini"

    def test_unknown_keys_of_tables_too(self, configured, home):
        text = "[history]\npersistance = 1\nmodel = 'x'\n[sandbox_workspace_write]\nnetwork_acces = 1\n"
        text += "[profiles.p.shell_environment_policy]\nincludeonly = 1"
        file = home / "config.toml"
        top = "keys of the top level, such as 'model', stand above the first [table]"
        assert configured(text, profile="p").warnings == (
            f"{file}:2: unknown key 'history.persistance' is ignored; did you mean 'history.persistence'?",
            f"{file}:3: unknown key 'history.model' is ignored; {top}",
            f"{file}:5: unknown key 'sandbox_workspace_write.network_acces' is ignored; "
            "did you mean 'sandbox_workspace_write.network_access'?",
            f"profile 'p' in {file}:7: unknown key 'shell_environment_policy.includeonly' is ignored; "
            "did you mean 'shell_environment_policy.include_only'?",
        )

    def test_a_quoted_key_is_not_a_path(self, configured):
        layers = configured("'history.persistence' = 'none'")
        assert layers.config.history_persistence == "save-all"
        assert len(layers.warnings) == 1

    @pytest.mark.parametrize("word", ["untrusted", "suggest"])
    def test_the_policy_by_another_name_is_told_with_ours(self, configured, word):
        text = error_of(configured, f"approval_policy = '{word}'")
        assert text.endswith(
            f":1: approval_policy: expected the name of a policy; {word!r} is called 'unless-allow-listed' here"
        )


class TestHome:
    def test_is_what_the_variable_says(self, home):
        assert codex_home({"CODEX_HOME": str(home)}) == home.resolve()

    def test_may_be_relative(self, home, monkeypatch):
        monkeypatch.chdir(home.parent)
        assert codex_home({"CODEX_HOME": home.name}) == home.resolve()

    @pytest.mark.parametrize("environ", [{}, {"CODEX_HOME": ""}])
    def test_unset_or_empty_is_the_default_and_need_not_exist(self, environ, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert codex_home(environ) == tmp_path / ".codex"
        assert load(tmp_path / ".codex", {}, {}).config.model == "o4-mini"

    def test_that_is_set_must_exist(self, tmp_path):
        expected = f"CODEX_HOME is set to {tmp_path / 'x'}, which is no folder; create it or unset the variable"
        assert error_of(codex_home, {"CODEX_HOME": str(tmp_path / "x")}) == expected
        (tmp_path / "x").touch()
        assert error_of(codex_home, {"CODEX_HOME": str(tmp_path / "x")}) == expected

    def test_needs_a_user_with_a_home(self, monkeypatch):
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
        with pytest.raises(RuntimeError):
            Path.home()
        assert error_of(codex_home, {}) == "there is no home folder to keep settings in; set CODEX_HOME to a folder"

    def test_that_is_missing_ends_the_run_with_2(self, run_codex, tmp_path):
        run = run_codex("exec", "hi", env={"CODEX_HOME": str(tmp_path / "missing")})
        run.assert_exit(2, f"codex: CODEX_HOME is set to {tmp_path / 'missing'}, which is no folder")

    def test_a_wrong_file_ends_the_run_with_2(self, run_codex, codex_home):
        (codex_home / "config.toml").write_text("model = 3")
        run = run_codex("exec", "--skip-git-repo-check", "hi")
        run.assert_exit(2, f"codex: {codex_home / 'config.toml'}:1: model: expected a text that is not empty, got 3")

    def test_a_folder_that_is_gone_is_no_bug(self, configured, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        with pytest.raises(Exception, match="the current folder does not exist any more"):
            configured("")
        monkeypatch.chdir(tmp_path)
