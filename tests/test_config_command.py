"""`codex config`: explaining values, naming mistakes, and opening the file."""

import os
import stat
import subprocess
import sys
import time

import pytest

from codex_host._commands._config_check import Check
from codex_host._commands.config import HEAD
from codex_host._layers import load

USERS = """\
model = "user"
notify = ["python3", "tell \\"me\\".py"]
sandbox_permissions = []
openai_base_url = "http://localhost:1/v1"
project_doc_max_bytes = 5

[history]
persistence = "none"

[model_providers.mine]
name = "Mine"
base_url = "http://localhost:2/v1"
http_headers = { "X-One" = "1" }

[profiles.p]
model = "profile"
sandbox_mode = "workspace-write"
[profiles.p.model_providers.mine]
base_url = "http://localhost:3/v1"
"""


@pytest.fixture
def file(codex_home):
    return codex_home / "config.toml"


@pytest.fixture
def explained(run_codex, file):
    """The lines that explain a key of USERS."""
    file.write_text(USERS)

    def lines(*arguments, **options):
        run = run_codex("config", "explain", *arguments, **options).assert_success()
        return run.stdout.replace(f"{file}", "FILE").splitlines()

    return lines


class TestExplain:
    def test_where_it_stands_and_what_it_overrides(self, explained):
        assert explained("model", "-p", "p", "-c", "model=assigned", env={"OPENAI_DEFAULT_MODEL": "e"}) == [
            'model = "assigned"',
            "    from -c",
            "    over profile 'p' in FILE:16: model = \"profile\"",
            '    over FILE:1: model = "user"',
            '    over OPENAI_DEFAULT_MODEL: model = "e"',
            '    over the default: "o4-mini"',
        ]

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (
                "notify",
                ['notify = ["python3", "tell \\"me\\".py"]', "    from FILE:2", "    over the default: []"],
            ),
            ("frontend", ['frontend = "rich"', "    the default"]),
            ("model_context_window", ["model_context_window is not set"]),
            ("disable_response_storage", ["disable_response_storage = false", "    the default"]),
            (
                "project_doc_max_bytes",
                ["project_doc_max_bytes = 5", "    from FILE:5", "    over the default: 32768"],
            ),
            (
                "history",
                [
                    'history.persistence = "none"',
                    "    from FILE:8",
                    '    over the default: "save-all"',
                    "history.max_bytes is not set",
                ],
            ),
            (
                "openai_base_url",
                [
                    'openai_base_url = "http://localhost:1/v1"',
                    '    from FILE:4: model_providers.openai.base_url = "http://localhost:1/v1"',
                ],
            ),
            (
                "model_providers.mine.http_headers.X-One",
                ['model_providers.mine.http_headers.X-One = "1"', "    from FILE:13"],
            ),
            ("model_providers.none.name", ["model_providers.none.name is not set"]),
            ("profile", ["profile is not set"]),
            ("mcp_servers", ["mcp_servers = {}", "    the default"]),
        ],
    )
    def test_of_each_sort(self, explained, key, expected):
        assert explained(key) == expected

    def test_a_table_value_by_value(self, explained):
        assert explained("model_providers.mine", "-p", "p") == [
            'model_providers.mine.base_url = "http://localhost:3/v1"',
            "    from profile 'p' in FILE:19",
            '    over FILE:12: model_providers.mine.base_url = "http://localhost:2/v1"',
            'model_providers.mine.name = "Mine"',
            "    from FILE:11",
            'model_providers.mine.http_headers.X-One = "1"',
            "    from FILE:13",
        ]

    @pytest.mark.parametrize("key", ["sandbox_mode", "sandbox_permissions"])
    def test_two_spellings_are_one_setting(self, explained, key):
        first, *more = explained(key, "-p", "p")
        assert first.startswith(f'{key} = ["disk-full-read-access", "disk-write-cwd", ')
        spelled = "" if key == "sandbox_mode" else ': sandbox_mode = "workspace-write"'
        assert more == [
            f"    from profile 'p' in FILE:17{spelled}",
            "    over FILE:3: sandbox_permissions = []",
            '    over the default: ["disk-full-read-access"]',
        ]

    def test_the_profile_that_was_chosen(self, explained):
        assert explained("profile", "-p", "p") == ['profile = "p"', "    from the command line"]

    def test_of_a_project(self, explained, run_codex, tmp_path):
        project = tmp_path / "project"
        (project / ".codex").mkdir(parents=True)
        (project / ".codex/config.toml").write_text('\nmodel = "project"')
        run_codex("config", "trust", project).assert_success()
        stands = f"    from {project}/.codex/config.toml:2"
        assert explained("model", "-C", project)[:2] == ['model = "project"', stands]
        assert explained("model", cwd=project)[0] == 'model = "project"'
        assert explained("model")[0] == 'model = "user"'

    @pytest.mark.parametrize(
        ("key", "near"),
        [
            ("modle", "; did you mean 'model'?"),
            ("history.persistance", "; did you mean 'history.persistence'?"),
            ("mcpServers", "; did you mean 'mcp_servers'?"),
            ("zzz", ""),
            ("a..b", ""),
        ],
    )
    def test_an_unknown_key(self, run_codex, key, near):
        run = run_codex("config", "explain", key).assert_exit(2)
        assert run.stderr == f"codex: no key is called {key!r}{near}\n"

    def test_warnings_and_errors_are_those_of_a_run(self, run_codex, file):
        file.write_text("modle = 1")
        run = run_codex("config", "explain", "model").assert_success()
        assert run.stderr == f"codex: {file}:1: unknown key 'modle' is ignored; did you mean 'model'?\n"
        run_codex("config", "explain", "-p", "x", "model").assert_exit(2, "no profile called 'x'")

    def test_no_control_characters_reach_the_terminal(self, run_codex, file):
        file.write_text('model = "\\u001b[31mred"')
        assert "\x1b" not in run_codex("config", "explain", "model").assert_success().stdout


UNCOMMENTED = "\n".join(line.removeprefix("# ") for line in HEAD.splitlines()[3:] if not line.endswith(":"))
"""The head of a new file with its examples at work."""

WRONG = """\
model = "o3"
modle = "x"
model_provider = "olama"
approval_policy = "untrusted"
mcpServers.x = 1

[history]
persistance = 1
notify = ["x"]

[model_providers.openai]
base_url = "nope"
wire_ap = "chat"
[model_providers.mine]
wire_api = "chatt"
request_max_retries = -1
[plugins.shel]
x = 1
[profiles.p]
model = 3
model_provider = "mine"
[profiles.q]
approval_policy = "newer"
sandbox_backend = "land"
sandbox_mode = "read-only"
sandbox_permissions = []
profile = "p"
[profiles.q.sandbox_workspace_write]
network_acces = true
"""


class TestCheck:
    @pytest.fixture
    def checked(self, codex_home, file, tmp_path):
        def check(text, environ=None, cwd=tmp_path):
            file.write_text(text)
            found = Check(codex_home, environ or {}, cwd)
            return [[line.replace(str(file), "FILE") for line in lines] for lines in (found.wrong, found.notes)]

        return check

    def test_everything_at_once(self, checked):
        wrong, notes = checked(WRONG)
        said = "\n".join(wrong)
        for line in (
            "FILE:2: unknown key 'modle' is ignored; did you mean 'model'?",
            "FILE:3: model_provider: no provider called 'olama'; installed: ",
            "FILE:4: approval_policy: expected the name of a policy; 'untrusted' is called 'unless-allow-listed' here",
            "FILE:5: unknown key 'mcpServers' is ignored; did you mean 'mcp_servers'?",
            "FILE:8: unknown key 'history.persistance' is ignored; did you mean 'history.persistence'?",
            "FILE:9: unknown key 'history.notify' is ignored; keys of the top level, such as 'notify', "
            "stand above the first [table]",
            "FILE:12: [model_providers.openai] base_url: expected an address",
            "FILE:13: [model_providers.openai]: unknown key 'wire_ap' is ignored; did you mean 'wire_api'?",
            "FILE:14: [model_providers.mine] has no 'name' and 'base_url', and no such provider is installed",
            "FILE:15: model_providers.mine.wire_api: no wire api called 'chatt'; installed: chat, responses",
            "FILE:16: [model_providers.mine] request_max_retries: expected a whole number",
            "profile 'p' in FILE:20: model: expected a text",
            "profile 'q' in FILE:23: approval_policy: no approval policy called 'newer'; installed: ",
            "profile 'q' in FILE:24: sandbox_backend: no sandbox called 'land'; installed: ",
            "profile 'q' in FILE:25: sandbox_permissions and sandbox_mode exclude each other; keep one",
            "profile 'q' in FILE:27: unknown key 'profile' is ignored; it stands at the top level of config.toml only",
            "profile 'q' in FILE:29: unknown key 'sandbox_workspace_write.network_acces' is ignored; "
            "did you mean 'sandbox_workspace_write.network_access'?",
        ):
            assert f"\n{line}" in f"\n{said}"
        assert len(wrong) == 17
        (note,) = notes
        assert note.startswith("FILE:17: nothing reads [plugins.shel], no part of that name is installed; did you mean")

    @pytest.mark.parametrize("text", ["", "# nothing\n", USERS, HEAD, UNCOMMENTED])
    def test_nothing_is_wrong(self, checked, text):
        assert checked(text) == [[], []]

    def test_near_names_are_offered(self, checked):
        assert checked("model_provider = 'olama'")[0][0].endswith("; did you mean 'ollama'?")
        assert checked("approval_policy = 'on-falure'")[0][0].endswith("; did you mean 'on-failure'?")

    @pytest.mark.parametrize(
        "text",
        [
            "model_provider = 'mine'\n[model_providers.mine]\nname = 'M'\nbase_url = 'http://x/v1'",
            "model_providers.mine.name = 'M'\n[profiles.p]\nmodel_providers.mine.base_url = 'http://x/v1'",
            "model_providers.openai.base_url = 'http://x/v1'",
            "sandbox_backend = 'auto'",
            "plugins.shell.max_lines = 1",
        ],
    )
    def test_names_that_are_known(self, checked, text):
        assert checked(text) == [[], []]

    def test_a_profile_that_is_chosen_and_missing(self, checked):
        assert checked("profile = 'x'\n[profiles.y]")[0] == ["no profile called 'x' in FILE; there are: y"]
        assert checked("profile = 3")[0] == ["FILE:1: profile: expected a text that is not empty, got 3"]
        assert checked("profiles.x = 3")[0] == ["FILE:1: profiles: expected a table of tables, got {'x': 3}"]

    def test_variables(self, checked):
        assert checked("", {"OPENAI_STREAM_MAX_RETRIES": "many"})[0] == [
            "OPENAI_STREAM_MAX_RETRIES: expected a whole number that is not negative, got 'many'"
        ]

    def test_a_disabled_plugin_is_not_there(self, checked):
        wrong, _ = checked("model_provider = 'openai'\ndisabled_plugins = ['provider.openai']")
        assert len(wrong) == 1
        assert "is disabled by `disabled_plugins`" in wrong[0]

    def test_a_projects_file(self, checked, run_codex, tmp_path):
        project = tmp_path / "project"
        (project / ".codex").mkdir(parents=True)
        (project / ".codex/config.toml").write_text("notify = ['x']\nmodel = 3")
        wrong, notes = checked("", cwd=project)
        assert (wrong, len(notes)) == ([], 1)
        assert "is not read" in notes[0]
        run_codex("config", "trust", project).assert_success()
        assert checked("", cwd=project) == [
            [
                f"{project}/.codex/config.toml:1: 'notify' is ignored: only you can set it, not a project",
                f"{project}/.codex/config.toml:2: model: expected a text that is not empty, got 3",
            ],
            [],
        ]

    def test_the_command(self, run_codex, file):
        assert run_codex("config", "check").assert_success().stdout == f"{file} does not exist: the defaults hold\n"
        file.write_text(USERS)
        assert run_codex("config", "check").assert_success().stdout == f"{file}: nothing is wrong\n"
        file.write_text("model = 3\nplugins.none.x = 1")
        assert run_codex("config", "check").assert_exit(2).stdout.splitlines() == [
            f"{file}:1: model: expected a text that is not empty, got 3",
            f"note: {file}:2: nothing reads [plugins.none], no part of that name is installed",
        ]
        file.write_text("model = \nfrontend = 'x'")
        (line,) = run_codex("config", "check").assert_exit(2).stdout.splitlines()
        assert line.startswith(f"{file} is not valid TOML: ")
        assert "line 1" in line

    def test_imports_no_plugin(self, site, run_codex, file):
        site.add(
            "codex-poison",
            {"provider": "poison", "approval_policy": "poison"},
            "raise ImportError('poisoned')",
        )
        text = "model_provider = 'poison'\napproval_policy = 'poison'\nmodel_providers.poison.wire_api = 'chat'"
        file.write_text(text)
        run_codex("config", "check").assert_success()

    def test_an_unknown_key_stops_no_run_but_a_wrong_one_does(self, run_codex, file):
        file.write_text("modle = 1\n[history]\nx = 1")
        run_codex("config", "explain", "model").assert_success()
        file.write_text("sandbox_mode = 'workspace'")
        expected = f"codex: {file}:1: sandbox_mode: expected one of 'read-only', 'workspace-write', 'danger-full"
        run = run_codex("exec", "--skip-git-repo-check", "hi").assert_exit(2, expected)
        assert len(run.stderr.splitlines()) == 1


class TestFile:
    def test_path(self, run_codex, file):
        assert run_codex("config", "path").assert_success().stdout == f"{file}\n"

    def test_path_of_a_home_that_is_missing(self, run_codex, tmp_path):
        run_codex("config", "path", env={"CODEX_HOME": str(tmp_path / "x")}).assert_exit(2, "which is no folder")

    @pytest.fixture
    def editor(self, tmp_path):
        """An editor that appends a line, with a blank in its name and an argument of its own."""
        script = tmp_path / "my editor"
        script.write_text('#!/bin/sh\necho "$1" >> "$2"\ntest -z "$FAIL" || kill -"$FAIL" $$\n')
        script.chmod(0o755)
        return lambda line: f"'{script}' '{line}'"

    def test_edit_makes_the_file_with_a_head(self, run_codex, file, editor):
        run = run_codex("config", "edit", env={"EDITOR": editor("# mine"), "VISUAL": None}).assert_success()
        assert file.read_text() == f"{HEAD}# mine\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert run.stdout == f"{file}: nothing is wrong\n"

    def test_edit_makes_the_home(self, run_codex, tmp_path, editor):
        env = {"VISUAL": editor("# mine"), "CODEX_HOME": None, "HOME": str(tmp_path / "me")}
        run_codex("config", "edit", env=env).assert_success()
        assert stat.S_IMODE((tmp_path / "me/.codex").stat().st_mode) == 0o700

    def test_edit_keeps_what_is_there_and_checks_it(self, run_codex, file, editor):
        file.write_text('model = "o3"\n')
        run = run_codex("config", "edit", env={"VISUAL": editor("model = 1"), "EDITOR": "false"}).assert_exit(2)
        assert file.read_text() == 'model = "o3"\nmodel = 1\n'
        assert "is not valid TOML" in run.stdout

    def test_the_head_shows_keys_that_there_are(self, tmp_path):
        (tmp_path / "config.toml").write_text(UNCOMMENTED)
        layers = load(tmp_path, {}, {}, profile="fast", cwd=tmp_path)
        assert layers.warnings == ()
        assert (layers.config.model, list(layers.config.model_providers)) == ("gpt-4.1-mini", ["mine"])

    @pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("INT", 130)])
    def test_edit_ends_as_the_editor_does(self, run_codex, editor, signal, code):
        run_codex("config", "edit", env={"VISUAL": editor("#"), "FAIL": signal}).assert_exit(code)

    def test_the_editors_own_code(self, run_codex):
        run_codex("config", "edit", env={"VISUAL": "sh -c 'exit 3'"}).assert_exit(3)

    def test_without_an_editor(self, run_codex, file):
        env = {"VISUAL": " ", "EDITOR": None}
        run_codex("config", "edit", env=env).assert_exit(2, "set VISUAL or EDITOR", str(file))
        assert not file.exists()

    @pytest.mark.parametrize(
        ("editor", "code", "said"),
        [
            ("/no/such/editor", 1, "/no/such/editor cannot be started"),
            ("'", 2, 'VISUAL or EDITOR is "\'", which cannot be read as a command'),
        ],
    )
    def test_an_editor_that_cannot_be_run(self, run_codex, editor, code, said):
        run_codex("config", "edit", env={"VISUAL": editor}).assert_exit(code, said)

    def test_ctrl_c_is_the_editors(self, codex_home, tmp_path):
        """The signal reaches the whole group, as from a terminal; the editor that handles it goes on."""
        script = "trap 'echo caught > caught' INT; kill -INT 0; sleep 0.2; test -e caught"
        program = [os.path.join(os.path.dirname(sys.executable), "codex"), "config", "edit"]
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\n{script}\n")
        editor.chmod(0o755)
        done = subprocess.run(
            program,
            env={**os.environ, "VISUAL": str(editor)},
            cwd=tmp_path,
            start_new_session=True,
            timeout=60,
        )
        assert done.returncode == 0


def test_the_commands_are_not_imported_by_a_run(codex_home):
    code = (
        "import sys; from codex_host._layers import load; from pathlib import Path; import os;"
        "load(Path(os.environ['CODEX_HOME']), {}, {});"
        "print(sorted(name for name in sys.modules if name.startswith('codex_host') or name in ('difflib', 'json')))"
    )
    (codex_home / "config.toml").write_text(USERS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("'")[1::2] == [
        "codex_host",
        "codex_host._layers",
        "codex_host._sources",
        "codex_host._trust",
        "codex_host.config",
        "codex_host.errors",
        "codex_host.permissions",
    ]


def test_loading_is_cheap(codex_home):
    """Milliseconds of processor time for a file of 30 lines, a profile and a flag."""
    text = USERS + "".join(f"[model_providers.p{number}]\nname = 'x'\n" for number in range(5))
    assert len(text.splitlines()) >= 29
    (codex_home / "config.toml").write_text(text)
    spent = []
    for _ in range(5):
        begun = time.process_time()
        load(codex_home, os.environ, {"model": "x"}, ["model=y"], "p")
        spent.append((time.process_time() - begun) * 1000)
    assert min(spent) < 5
