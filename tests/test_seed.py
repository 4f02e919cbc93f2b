"""Every block of TOML, JSON and Python in the README that this project began with, word for word, does what it says.

`tests/seed/` holds the blocks as files; the one in Python is no `.py`, so that no tool corrects it.
"""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from codex_host._layers import load
from codex_host._parts import LentParts, provider
from codex_host._plugins import Plugins
from codex_host.config import Config
from codex_host.errors import ConfigError
from codex_host.permissions import READ_ONLY, Permissions
from codex_host.testing.model_server import Reply, Say

SEED = Path(__file__).with_name("seed")
EXEC = ("exec", "--skip-git-repo-check")


def block(name):
    return (SEED / name).read_text("utf-8")


@pytest.fixture
def loaded(tmp_path):
    """What a config.toml of these blocks makes."""

    def load_blocks(*names, profile=None, **flags):
        (tmp_path / "config.toml").write_text("".join(map(block, names)), "utf-8")
        return load(tmp_path, {}, flags, profile=profile, cwd=tmp_path)

    return load_blocks


def made(config, name):
    return provider(LentParts(Plugins(), config), name).part


def test_every_block_is_tested():
    source = Path(__file__).read_text("utf-8")
    assert [file.name for file in SEED.iterdir() if f'"{file.name}"' not in source] == []
    assert len(list(SEED.iterdir())) == 18


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("model.toml", {"model": "o3"}),
        ("model_provider.toml", {"model": "mistral", "model_provider": "ollama"}),
        ("approval_unless_allow_listed.toml", {"approval_policy": "unless-allow-listed"}),
        ("approval_on_failure.toml", {"approval_policy": "on-failure"}),
        ("approval_never.toml", {"approval_policy": "never"}),
        ("disable_response_storage.toml", {"disable_response_storage": True}),
        ("notify.toml", {"notify": ("python3", "/Users/mbolin/.codex/notify.py")}),
        ("history.toml", {"history_persistence": "none"}),
        (
            "sandbox_permissions.toml",
            {"permissions": Permissions(full_read=True, write_user_temp=True, write_global_temp=True, write_cwd=True)},
        ),
        (
            "sandbox_write_folder.toml",
            {"permissions": Permissions(write_folders=(Path("/Users/mbolin/.pyenv/shims"),))},
        ),
        (
            "mcp_servers.toml",
            {
                "mcp_servers": {
                    "server-name": {
                        "command": "npx",
                        "args": ["-y", "mcp-server"],
                        "env": {"API_KEY": "value"},
                    }
                }
            },
        ),
    ],
)
def test_a_block_sets_what_it_says_and_nothing_else(loaded, tmp_path, name, changes):
    layers = loaded(name)
    assert layers.config == Config(home=tmp_path, **changes)
    assert layers.warnings == ()


def test_the_defaults_that_are_named():
    config = Config(home=Path())
    assert (config.model, config.model_provider, config.project_doc_max_bytes) == (
        "o4-mini",
        "openai",
        32 * 1024,
    )
    assert (config.approval_policy, config.history_persistence) == ("unless-allow-listed", "save-all")
    assert (config.permissions, config.disable_response_storage, config.notify) == (READ_ONLY, False, ())


@pytest.mark.parametrize("name", ["ollama", "openai"])
def test_the_definitions_that_are_included(loaded, tmp_path, monkeypatch, name):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    layers = loaded({"ollama": "provider_ollama.toml", "openai": "provider_openai.toml"}[name])
    table = layers.config.model_providers[name]
    included = made(Config(home=tmp_path), name)
    assert {field: getattr(included, field) for field in table} == table
    assert made(layers.config, name) == included
    assert layers.warnings == ()


def test_the_provider_of_ones_own(loaded):
    layers = loaded("model_providers.toml")
    assert (layers.config.model, layers.config.model_provider) == ("gpt-4o", "openai-chat-completions")
    mine = made(layers.config, layers.config.model_provider)
    assert (mine.name, mine.base_url) == ("OpenAI using Chat Completions", "https://api.openai.com/v1")
    assert (mine.env_key, mine.wire_api) == ("OPENAI_API_KEY", "chat")


class TestProfiles:
    CASES = (
        (None, ("o3", "profile"), ("openai", "profile"), ("never", "profile"), (False, "file")),
        ("o3", ("o3", "profile"), ("openai", "profile"), ("never", "profile"), (False, "file")),
        (
            "gpt3",
            ("gpt-3.5-turbo", "profile"),
            ("openai-chat-completions", "profile"),
            ("unless-allow-listed", "file"),
            (False, "file"),
        ),
        ("zdr", ("o3", "profile"), ("openai", "profile"), ("on-failure", "profile"), (True, "profile")),
    )
    KEYS = ("model", "model_provider", "approval_policy", "disable_response_storage")

    @pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
    def test_values_and_where_they_stand(self, loaded, tmp_path, case):
        profile, *expected = case
        layers = loaded("profiles.toml", profile=profile)
        lines = block("profiles.toml").splitlines()
        for key, (value, source) in zip(self.KEYS, expected, strict=True):
            assert getattr(layers.config, key) == value
            where, _, line = layers.origins(key)[0].where.rpartition(":")
            head = {"file": "", "profile": f"profile {profile or 'o3'!r} in "}[source]
            assert where == f"{head}{tmp_path / 'config.toml'}"
            assert lines[int(line) - 1] == f"{key} = {json.dumps(value)}"
        assert layers.config.permissions == READ_ONLY
        assert layers.warnings == ()

    def test_lines(self, loaded, tmp_path):
        file = tmp_path / "config.toml"
        layers = loaded("profiles.toml", profile="zdr")
        found = [origin.where for origin in layers.origins("approval_policy")]
        assert found == [f"profile 'zdr' in {file}:28", f"{file}:2"]
        assert layers.origins("profile")[0].where == "the command line"
        assert layers.origins("profile")[1].where == f"{file}:8"
        assert layers.origins("model_providers", "openai-chat-completions", "wire_api")[0].where == f"{file}:14"

    def test_a_flag_stands_above_the_profile(self, loaded):
        layers = loaded("profiles.toml", profile="gpt3", model="gpt-4.1")
        assert layers.config.model == "gpt-4.1"
        assert [origin.value for origin in layers.origins("model")] == ["gpt-4.1", "gpt-3.5-turbo", "o3"]

    def test_an_unknown_one(self, loaded, tmp_path):
        with pytest.raises(ConfigError) as caught:
            loaded("profiles.toml", profile="gpt5")
        assert str(caught.value) == f"no profile called 'gpt5' in {tmp_path / 'config.toml'}; there are: o3, gpt3, zdr"

    def test_an_unknown_one_ends_the_run(self, run_codex, codex_home):
        (codex_home / "config.toml").write_text(block("profiles.toml"))
        run_codex(*EXEC, "--profile", "gpt5", "hi").assert_exit(2, "no profile called 'gpt5'", "o3, gpt3, zdr")

    def test_all_of_it_is_right(self, run_codex, codex_home):
        (codex_home / "config.toml").write_text(block("profiles.toml"))
        run_codex("config", "check").assert_success()


def test_absent_empty_and_filled_permissions_differ(loaded, tmp_path):
    absent = loaded("model.toml").config.permissions
    (tmp_path / "config.toml").write_text("sandbox_permissions = []")
    empty = load(tmp_path, {}, {}, cwd=tmp_path).config.permissions
    filled = loaded("sandbox_permissions.toml").config.permissions
    assert (absent, empty) == (READ_ONLY, Permissions())
    assert len({absent, empty, filled}) == 3


class TestMcpServers:
    def test_the_toml_says_what_the_json_says(self, loaded):
        servers = json.loads(block("mcp_servers.json"))["mcpServers"]
        assert loaded("mcp_servers.toml").config.mcp_servers == servers

    def test_the_other_spelling_is_named_with_the_right_one(self, tmp_path):
        (tmp_path / "config.toml").write_text(block("mcp_servers.toml").replace("[mcp_servers.", "[mcpServers."))
        layers = load(tmp_path, {}, {}, cwd=tmp_path)
        said = f"{tmp_path / 'config.toml'}:2: unknown key 'mcpServers' is ignored; did you mean 'mcp_servers'?"
        assert layers.warnings == (said,)


class TestNotify:
    PROMPT = json.loads(block("notification.json"))["input-messages"][0]
    ANSWER = json.loads(block("notification.json"))["last-assistant-message"]

    @pytest.fixture
    def programs(self, tmp_path, monkeypatch):
        """A folder first on PATH, and a function that puts a script there."""
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

        def script(name, text):
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)

        script("python3", f'exec {shlex.quote(sys.executable)} "$@"')
        return script

    def configure(self, codex_home, *command):
        with (codex_home / "config.toml").open("r+") as file:
            text = file.read()
            file.seek(0)
            file.write(f"notify = {json.dumps([str(word) for word in command])}\n{text}")

    def test_the_script_shows_the_answer(self, served, codex_home, programs, run_codex, tmp_path):
        shown = tmp_path / "shown"
        programs("terminal-notifier", f"printf '%s\\n' \"$@\" > {shlex.quote(str(shown))}")
        script = codex_home / "notify.py"
        script.write_text(block("notify.py.txt"), "utf-8")
        with served(Reply(Say(self.ANSWER))):
            self.configure(codex_home, "python3", script)
            run = run_codex(*EXEC, self.PROMPT).assert_success()
        assert run.stdout == f"{self.ANSWER}\n"
        # The script looks for "input_messages", with an underscore, and so finds no message.
        assert shown.read_text().splitlines() == [
            *("-title", f"Codex: {self.ANSWER}"),
            *("-message", ""),
            *("-group", "codex"),
            "-ignoreDnD",
            *("-activate", "com.googlecode.iterm2"),
        ]

    def test_the_json_is_that_of_the_example(self, served, codex_home, programs, run_codex, tmp_path):
        told = tmp_path / "told"
        programs("tell", f"printf '%s' \"$2\" > {shlex.quote(str(told))}")
        with served(Reply(Say(self.ANSWER))):
            self.configure(codex_home, "tell", "first")
            run_codex(*EXEC, self.PROMPT).assert_success()
        notification = json.loads(told.read_text())
        assert notification.pop("turn-id")
        assert {**notification, "turn-id": "12345"} == json.loads(block("notification.json"))

    def test_the_script_of_the_seed_handles_its_own_example(self, programs, tmp_path):
        """Nothing of ours takes part: the stub is one, and the fixture runs."""
        shown = tmp_path / "shown"
        programs("terminal-notifier", f"printf '%s\\n' \"$2\" > {shlex.quote(str(shown))}")
        assert os.system(f"python3 {SEED / 'notify.py.txt'} {shlex.quote(block('notification.json'))}") == 0
        assert shown.read_text() == f"Codex: {self.ANSWER}\n"


def test_no_history_is_none(served, codex_home, run_codex):
    with served(Reply(Say("Hello.")), Reply(Say("Hello."))):
        run_codex(*EXEC, "one").assert_success()
        before = (codex_home / "history.jsonl").read_text()
        with (codex_home / "config.toml").open("a") as file:
            file.write(block("history.toml"))
        run_codex(*EXEC, "two").assert_success()
    assert (codex_home / "history.jsonl").read_text() == before
    assert "one" in before
