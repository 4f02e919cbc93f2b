"""A project's own settings: found, not read unless the user said so, and even then held to what a project may say."""

import json
import multiprocessing
import os
import stat
import sys
from pathlib import Path

import pytest

from codex_host import _trust
from codex_host._layers import load
from codex_host._trust import is_trusted, project_file, project_root, set_trusted, trusted
from codex_host.config import KEYS, Config
from codex_host.errors import ConfigError
from codex_host.testing.model_server import Reply, Say


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path):
    """A git work tree with a file of its own and a folder in a folder."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "middle/leaf").mkdir(parents=True)
    write(root, 'model = "project"\n')
    return root.resolve()


def write(folder, text):
    (folder / ".codex").mkdir(exist_ok=True)
    (folder / ".codex/config.toml").write_text(text, "utf-8")


def loaded(home, cwd, text="", **options):
    (home / "config.toml").write_text(text, "utf-8")
    return load(home, {}, {}, cwd=cwd, **options)


class TestFinding:
    @pytest.mark.parametrize("below", ["", "middle", "middle/leaf"])
    def test_from_the_folder_up_to_the_root(self, home, project, below):
        assert project_root(project / below) == project
        assert project_file(project / below, home) == project / ".codex/config.toml"

    def test_the_nearest_counts(self, home, project):
        write(project / "middle", "")
        assert project_file(project / "middle/leaf", home) == project / "middle/.codex/config.toml"
        assert project_file(project, home) == project / ".codex/config.toml"

    def test_not_above_the_root(self, home, project):
        (project / "middle/.git").write_text("gitdir: elsewhere")  # a submodule or a linked work tree
        assert project_root(project / "middle/leaf") == project / "middle"
        assert project_file(project / "middle/leaf", home) is None

    def test_outside_a_work_tree_only_the_folder_itself(self, home, tmp_path):
        plain = tmp_path / "plain"
        (plain / "sub").mkdir(parents=True)
        write(plain, "")
        assert project_file(plain, home) == plain / ".codex/config.toml"
        assert project_file(plain / "sub", home) is None
        assert project_root(plain / "sub") == plain / "sub"

    def test_the_users_own_file_is_none(self, tmp_path):
        write(tmp_path, "")
        assert project_file(tmp_path, tmp_path / ".codex") is None
        (tmp_path / "link").symlink_to(tmp_path / ".codex")
        assert project_file(tmp_path, tmp_path / "link") is None

    def test_what_is_no_file_is_none(self, home, project):
        (project / ".codex/config.toml").unlink()
        os.mkfifo(project / ".codex/config.toml")  # reading it would wait
        assert project_file(project, home) is None

    def test_a_folder_that_is_missing_has_none(self, home, tmp_path):
        assert project_file(tmp_path / "gone/far", home) is None

    def test_links_are_followed_to_the_real_project(self, home, project, tmp_path):
        (tmp_path / "link").symlink_to(project / "middle")
        assert project_root(tmp_path / "link") == project
        loop = tmp_path / "loop"
        loop.symlink_to(loop)
        assert project_file(loop, home) is None


class TestTrust:
    def test_is_kept_as_real_paths_for_the_user_alone(self, home, project):
        assert trusted(home) == ()
        assert set_trusted(home, project, True)
        assert not set_trusted(home, project, True)
        assert is_trusted(home, project)
        file = home / "trusted-projects.json"
        assert json.loads(file.read_text()) == {"trusted": [str(project)]}
        assert {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in home.iterdir()} == {
            "trusted-projects.json": 0o600,
            "trusted-projects.json.lock": 0o600,
        }

    def test_ends_when_it_is_taken_back(self, home, project):
        set_trusted(home, project, True)
        assert set_trusted(home, project, False)
        assert not set_trusted(home, project, False)
        assert trusted(home) == ()

    def test_is_of_no_other_folder(self, home, project):
        set_trusted(home, project, True)
        assert not is_trusted(home, project.parent)
        assert not is_trusted(home, project / "middle")

    def test_makes_the_home(self, tmp_path):
        home = tmp_path / "new"
        set_trusted(home, tmp_path, True)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"trusted": "/"}', '{"trusted": [1]}', "\udcff"])
    def test_a_broken_list_is_named_and_kept(self, home, project, text):
        file = home / "trusted-projects.json"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        for call in (lambda: trusted(home), lambda: set_trusted(home, project, True)):
            with pytest.raises(ConfigError, match=r"trusted-projects\.json .*; remove it"):
                call()
        assert file.read_bytes() == text.encode("utf-8", "surrogateescape")

    def test_a_home_that_cannot_be_written(self, tmp_path, project):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match="cannot be written"):
            set_trusted(tmp_path / "file", project, True)

    def test_a_write_that_fails_leaves_the_old_list(self, home, project, monkeypatch):
        set_trusted(home, project, True)

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left"):
            set_trusted(home, project.parent, True)
        assert trusted(home) == (str(project),)
        assert sorted(file.name for file in home.iterdir()) == [
            "trusted-projects.json",
            "trusted-projects.json.lock",
        ]

    def test_nobody_loses_what_another_process_trusts_at_once(self, home):
        names = [Path(f"/project/{number}") for number in range(12)]
        context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")
        workers = [context.Process(target=_trust.set_trusted, args=(home, name, True)) for name in names]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert trusted(home) == tuple(sorted(map(str, names)))


class TestLayer:
    def test_an_untrusted_file_is_named_and_not_read(self, home, project):
        write(project, "this is = no TOML [")
        layers = loaded(home, project / "middle")
        assert layers.config == Config(home=home)
        assert layers.warnings == (
            f"{project}/.codex/config.toml is not read, since you have not said that you trust its project; "
            f"to read it from now on: codex config trust {project}",
        )

    def test_a_path_with_blanks_can_be_pasted(self, home, project):
        spaced = project.with_name("my project")
        project.rename(spaced)
        assert loaded(home, spaced).warnings[0].endswith(f"codex config trust '{spaced}'")

    def test_without_a_file_there_is_nothing_to_tell(self, home, project):
        (project / ".codex/config.toml").unlink()
        assert loaded(home, project).warnings == ()

    def test_a_trusted_one_stands_between_the_users_file_and_the_profile(self, home, project):
        set_trusted(home, project, True)
        text = 'model = "user"\nsession_store = "user"\nmodel_provider = "user"\n'
        text += '[profiles.p]\nmodel_provider = "profile"\n'
        write(project, 'model = "project"\nmodel_provider = "project"')
        config = loaded(home, project / "middle/leaf", text, profile="p").config
        assert (config.model, config.model_provider, config.session_store) == ("project", "profile", "user")

    def test_its_values_know_their_lines(self, home, project):
        set_trusted(home, project, True)
        layers = loaded(home, project, 'model = "user"')
        assert [origin.where for origin in layers.origins("model")] == [
            f"{project}/.codex/config.toml:1",
            f"{home}/config.toml:1",
        ]

    def test_its_mistakes_are_errors_like_the_users(self, home, project):
        set_trusted(home, project, True)
        write(project, "model = 3")
        with pytest.raises(ConfigError, match=rf"^{project}/\.codex/config\.toml:1: model: expected a text"):
            loaded(home, project)
        write(project, "model = ")
        with pytest.raises(ConfigError, match=rf"^{project}/\.codex/config\.toml is not valid TOML"):
            loaded(home, project)

    def test_unknown_keys_are_told(self, home, project):
        set_trusted(home, project, True)
        write(project, "modle = 3")
        expected = f"{project}/.codex/config.toml:1: unknown key 'modle' is ignored; did you mean 'model'?"
        assert loaded(home, project).warnings == (expected,)

    @pytest.mark.parametrize(
        "text",
        [
            "notify = ['x']",
            "mcp_servers.x = { command = 'x' }",
            "model_providers.x = { base_url = 'x' }",
            "plugins.shell.max_lines = 1",
            "approval_policy = 'never'",
            "sandbox_mode = 'danger-full-access'",
            "sandbox_permissions = ['disk-full-write-access']",
            "sandbox_backend = 'none'",
            "sandbox_workspace_write = { network_access = true }",
            "sandbox_workspace_write = true",
            "shell_environment_policy.ignore_default_excludes = true",
            "openai_base_url = 'http://evil'",
            "disabled_plugins = ['guard']",
            "profile = 'loose'",
            "profiles.tight.approval_policy = 'never'",
        ],
    )
    def test_what_only_the_user_can_set(self, home, project, text):
        set_trusted(home, project, True)
        write(project, f"model = 'project'\n{text}\n")
        mine = "[profiles.loose]\nmodel = 'x'\n[profiles.tight]\nfrontend = 'tight'"
        layers = loaded(home, project, mine, profile="tight")
        assert layers.config == Config(home=home, model="project", frontend="tight")
        name = text.split(" ")[0].split(".")[0]
        said = f"{project}/.codex/config.toml:2: {name!r} is ignored: only you can set it, not a project"
        assert layers.warnings == (said,)

    def test_a_new_key_is_the_users_until_somebody_says_otherwise(self):
        assert {key.name for key in KEYS if key.project} == {
            "model", "model_provider", "model_context_window", "model_reasoning_effort", "model_reasoning_summary",
            "disable_response_storage", "history.persistence", "history.max_bytes", "project_doc_max_bytes",
            "session_store", "frontend",
        }  # fmt: skip

    def test_a_broken_list_of_trust_trusts_nobody_and_is_told(self, home, project):
        (home / "trusted-projects.json").write_text("{")
        layers = loaded(home, project)
        assert layers.config.model == "o4-mini"
        assert layers.warnings[0].startswith(f"{project}/.codex/config.toml is not read: {home}/trusted-projects.json")

    def test_without_a_projects_file_the_list_is_not_even_read(self, home, tmp_path):
        (home / "trusted-projects.json").write_text("{")
        assert loaded(home, tmp_path).warnings == ()


class TestCommand:
    def test_trusts_the_project_of_the_folder(self, run_codex, codex_home, project):
        run = run_codex("config", "trust", cwd=project / "middle").assert_success()
        assert run.stdout == f"{project} is trusted now\n"
        assert trusted(codex_home) == (str(project),)
        assert run_codex("config", "trust", project).stdout == f"{project} was trusted already\n"

    def test_takes_trust_back_even_of_what_is_gone(self, run_codex, codex_home, project):
        run_codex("config", "trust", project).assert_success()
        project.rename(project.with_name("moved"))
        run = run_codex("config", "trust", "--remove", project).assert_success()
        assert run.stdout == f"{project} is no longer trusted\n"
        assert trusted(codex_home) == ()

    def test_takes_nothing_back_twice(self, run_codex, project):
        run = run_codex("config", "trust", "--remove", project / "middle").assert_success()
        assert run.stdout == f"{project} was not trusted\n"

    @pytest.mark.parametrize("options", [[], ["--remove"]])
    def test_what_is_no_folder(self, run_codex, tmp_path, options):
        run_codex("config", "trust", *options, "gone").assert_exit(2, f"codex: {tmp_path}/gone is no folder")

    def test_a_run_reads_it_then(self, run_codex, served, project):
        with served(Reply(Say("One.")), Reply(Say("Two."))) as server:
            run = run_codex("exec", "hi", cwd=project).assert_success()
            assert f"{project}/.codex/config.toml is not read" in run.stderr
            run_codex("config", "trust", cwd=project).assert_success()
            run = run_codex("exec", "hi", cwd=project).assert_success()
            assert "is not read" not in run.stderr
        assert [request.body["model"] for request in server.requests] == ["o4-mini", "project"]
