"""Settings at work: what a run makes of them."""

import pytest

from codex_host.testing.model_server import Call, Reply, Say


@pytest.fixture
def work(tmp_path):
    """A folder beside CODEX_HOME, which no command may reach."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("start", ["exec", "sandbox"])
def test_commands_get_the_environment_that_the_policy_says(run_codex, served, codex_home, work, start):
    words = ["sh", "-c", "echo $MINE-$GIVEN-$OTHER-$MY_TOKEN > out"]
    arguments = ["exec", "--skip-git-repo-check", "hi"] if start == "exec" else ["sandbox", "run", "--", *words]
    with served(Reply(Call("shell", {"command": words})), Reply(Say("Done."))):
        text = (codex_home / "config.toml").read_text()
        above = "sandbox_permissions = ['disk-full-read-access', 'disk-write-cwd']\n"
        below = "[shell_environment_policy]\nexclude = ['oth*']\nignore_default_excludes = true\nset = { MINE = 'a' }\n"
        (codex_home / "config.toml").write_text(above + text + below)
        env = {"GIVEN": "b", "OTHER": "c", "MY_TOKEN": "d"}
        run_codex(*arguments, env=env, cwd=work).assert_success()
    assert (work / "out").read_text() == "a-b--d\n"


def test_the_project_of_the_folder_that_is_worked_in(run_codex, served, tmp_path):
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".codex").mkdir()
    (project / ".codex/config.toml").write_text("model = 'project'")
    run_codex("config", "trust", project).assert_success()
    with served(Reply(Say("One.")), Reply(Say("Two."))) as server:
        run_codex("exec", "-C", project, "hi").assert_success()
        run_codex("exec", "--skip-git-repo-check", "hi", cwd=tmp_path).assert_success()
    assert [request.body["model"] for request in server.requests] == ["project", "o4-mini"]


def test_the_preset_on_the_command_line_is_changed_by_its_table(run_codex, codex_home, tmp_path, work):
    root = tmp_path / "root"
    root.mkdir()
    table = f"[sandbox_workspace_write]\nwritable_roots = ['{root}']\nexclude_slash_tmp = true"
    (codex_home / "config.toml").write_text(table)
    command = ("sandbox", "run", "--sandbox", "workspace-write", "--", "touch")
    run_codex(*command, root / "x", cwd=work).assert_success()
    assert (root / "x").exists()
    assert run_codex(*command, tmp_path / "y", cwd=work).exit_code == 1
