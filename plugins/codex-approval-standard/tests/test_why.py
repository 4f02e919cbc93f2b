"""`codex approvals why`, as a user types it."""

import pytest


def said(run):
    """What stands behind each label; lines without one belong to the label above."""
    rows, label = {}, ""
    for line in run.assert_success().stdout.splitlines():
        label = line[:9].strip() or label
        rows.setdefault(label, []).append(line[9:])
    return rows


def test_names_policy_parse_verdict_and_rule(run_codex):
    rows = said(run_codex("approvals", "why", "--", "ls", "-l"))
    assert rows["policy"][0].startswith("unless-allow-listed, in /")
    assert rows["granted"] == ["disk-full-read-access (in the sandbox)"]
    assert rows["commands"] == ["ls -l  known to only read"]
    assert rows["verdict"] == ["runs without a question"]
    assert rows["rule"] == ["this command is known to only read"]


def test_names_the_command_of_a_script_that_decides(run_codex):
    rows = said(run_codex("approvals", "why", "--script", "cd src && make all | cat"))
    assert [line.split("  ")[0] for line in rows["commands"]] == ["cd src", "make all", "cat"]
    assert rows["verdict"] == ["you are asked; with nobody to ask it is refused"]
    assert rows["rule"] == ["`make` is not on the list of commands that only read"]


def test_a_script_is_what_the_model_would_send(run_codex):
    typed = said(run_codex("approvals", "why", "-c", "ls > a"))
    assert typed == said(run_codex("approvals", "why", "--", "bash", "-lc", "ls > a"))
    assert typed["rule"] == ["the script has a redirection"]


@pytest.mark.parametrize(
    ("policy", "verdict", "rule"),
    [
        (
            "unless-allow-listed",
            "you are asked; with nobody to ask it is refused",
            "`make` is not on the list",
        ),
        ("on-failure", "runs without a question", "it runs inside the sandbox"),
        ("never", "runs without a question", "it runs inside the sandbox"),
    ],
)
def test_any_policy_can_be_asked(run_codex, policy, verdict, rule):
    rows = said(run_codex("approvals", "why", "--policy", policy, "make"))
    assert rows["verdict"] == [verdict]
    assert rows["rule"][0].startswith(rule)


def test_the_configuration_counts(run_codex, codex_home):
    (codex_home / "config.toml").write_text('approval_policy = "never"\nsandbox_mode = "danger-full-access"\n')
    rows = said(run_codex("approvals", "why", "make"))
    assert rows["policy"][0].startswith("never")
    assert rows["granted"][0].endswith("(no sandbox)")
    assert rows["rule"] == ["the permissions are danger-full-access"]


def test_without_a_sandbox_it_says_so_of_git(run_codex, codex_home):
    (codex_home / "config.toml").write_text('sandbox_mode = "danger-full-access"\n')
    rows = said(run_codex("approvals", "why", "git", "status"))
    assert rows["verdict"] == ["you are asked; with nobody to ask it is refused"]
    assert rows["commands"] == [f"git status  {rows['rule'][0]}"]


def test_control_characters_are_spelled_out(run_codex):
    assert "\x1b" not in run_codex("approvals", "why", "--", "ls", "\x1b[31m").assert_success().stdout


@pytest.mark.parametrize("arguments", [(), ("--script", "ls", "ls"), ("--policy", "no-such", "ls"), ("--nope", "ls")])
def test_wrong_use_is_explained(run_codex, arguments):
    run_codex("approvals", "why", *arguments).assert_exit(2)
