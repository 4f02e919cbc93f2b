import os

import codex_instructions_agents_md
import pytest
from codex_instructions_agents_md import AgentsMd

from codex_host.parts import Instructions
from codex_host.testing.instructions import InstructionsContract

MUCH = 32 * 1024


class TestAgentsMd(InstructionsContract):
    module = codex_instructions_agents_md
    name = "agents-md"

    def furnish(self, folder):
        self.config.home.mkdir()
        (self.config.home / "instructions.md").write_text("user text " * 1000)
        (folder / "AGENTS.md").write_text("é" * 50_000)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def tree(tmp_path):
    """A git work tree with a folder in a folder, below a folder that is none of its business."""
    (tmp_path / "AGENTS.md").write_text("above the root")
    root = tmp_path / "root"
    (root / "middle/leaf").mkdir(parents=True)
    (root / ".git").mkdir()
    return root


def test_comes_with_the_project():
    assert AgentsMd.rank == Instructions.PROJECT


def test_nothing_is_none(home, tree):
    assert AgentsMd(home).text(tree, MUCH) is None


def test_joins_the_folders_from_the_root_down(home, tree):
    (tree / "AGENTS.md").write_text("root\n")
    (tree / "middle/AGENTS.md").write_text("  \n\t\n")
    (tree / "middle/leaf/AGENTS.md").write_text("\nleaf")
    assert AgentsMd(home).text(tree / "middle/leaf", MUCH) == "root\n\nleaf"
    assert AgentsMd(home).text(tree / "middle", MUCH) == "root"


def test_a_git_file_is_a_root_too(home, tree):
    (tree / ".git").rmdir()
    (tree / ".git").write_text("gitdir: /elsewhere\n")
    (tree / "AGENTS.md").write_text("root")
    assert AgentsMd(home).text(tree / "middle", MUCH) == "root"


def test_outside_a_work_tree_only_the_folder_itself_speaks(home, tmp_path):
    folder = tmp_path / "plain/sub"
    folder.mkdir(parents=True)
    (tmp_path / "plain/AGENTS.md").write_text("above")
    assert AgentsMd(home).text(folder, MUCH) is None
    (folder / "AGENTS.md").write_text("here")
    assert AgentsMd(home).text(folder, MUCH) == "here"


def test_only_the_exact_name_counts(home, tree):
    (tree / "agents.md").write_text("no")
    (tree / "AGENTS.MD").write_text("no")
    assert AgentsMd(home).text(tree, MUCH) is None


@pytest.mark.parametrize(
    ("user", "project", "text"),
    [
        ("user\n", "project", "user\n\n--- project-doc ---\n\nproject"),
        (" \n", "project", "project"),
        ("\nuser ", None, "user"),
        (None, None, None),
    ],
)
def test_the_users_own_text_comes_first(home, tree, user, project, text):
    if user:
        (home / "instructions.md").write_text(user)
    if project:
        (tree / "AGENTS.md").write_text(project)
    assert AgentsMd(home).text(tree, MUCH) == text


def test_a_budget_of_0_leaves_the_users_text(home, tree):
    (home / "instructions.md").write_text("user " * 100_000)
    (tree / "AGENTS.md").write_text("project")
    assert AgentsMd(home).text(tree, 0) == ("user " * 100_000).strip()


@pytest.mark.parametrize("before", ["", "\ufeff"], ids=["plain", "byte-order-mark"])
@pytest.mark.parametrize("budget", range(1, 9))
def test_is_cut_at_a_character_and_says_so(home, tree, budget, before):
    text = "aé\U0001f600b"  # 8 bytes
    (tree / "AGENTS.md").write_text(before + text, encoding="utf-8")
    found = AgentsMd(home).text(tree, budget)
    kept, _, remark = found.partition("[cut here")
    assert kept.strip() == text.encode()[:budget].decode("utf-8", "ignore")
    assert (remark != "") == (budget < 8)
    assert not remark or f"project_doc_max_bytes); all of it is in {tree / 'AGENTS.md'}]" in remark


def test_a_cut_behind_blanks_is_still_said(home, tree):
    (tree / "AGENTS.md").write_text("abc" + "\n" * 1000 + "def")
    assert AgentsMd(home).text(tree, 500).startswith("abc\n[cut here")


def test_the_nearest_folder_claims_the_budget_first(home, tree):
    (tree / "AGENTS.md").write_text("r" * 100)
    (tree / "middle/AGENTS.md").write_text("m" * 60)
    text = AgentsMd(home).text(tree / "middle", 100)
    assert text.startswith("r" * 40 + "\n[cut here")
    assert text.endswith("\n\n" + "m" * 60)
    text = AgentsMd(home).text(tree / "middle", 60)
    assert text.startswith("[cut here")
    assert text.endswith("m" * 60)


def test_bytes_that_are_no_text_are_replaced(home, tree):
    (tree / "AGENTS.md").write_bytes(b"a\xff\xfeb")
    assert AgentsMd(home).text(tree, MUCH) == "a\ufffd\ufffdb"


def test_what_cannot_be_read_is_skipped(home, tree):
    (home / "instructions.md").mkdir()
    os.mkfifo(tree / "AGENTS.md")
    (tree / "middle/AGENTS.md").symlink_to(tree / "middle/AGENTS.md")
    (tree / "middle/leaf/AGENTS.md").write_text("leaf")
    assert AgentsMd(home).text(tree / "middle/leaf", MUCH) == "leaf"


def test_a_link_is_followed(home, tree):
    (tree / "CLAUDE.md").write_text("linked")
    (tree / "AGENTS.md").symlink_to("CLAUDE.md")
    assert AgentsMd(home).text(tree, MUCH) == "linked"


def test_a_link_out_of_the_project_is_not_followed(home, tree, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tree / "AGENTS.md").symlink_to(tmp_path / "secret")
    (tree / "middle/AGENTS.md").symlink_to("/proc/self/environ")
    (tree / "middle/leaf/AGENTS.md").symlink_to("../../../secret")
    assert AgentsMd(home).text(tree / "middle/leaf", MUCH) is None


def test_a_link_out_of_a_folder_below_the_root_is_followed(home, tree):
    (tree / "CLAUDE.md").write_text("linked")
    (tree / "middle/AGENTS.md").symlink_to("../CLAUDE.md")
    assert AgentsMd(home).text(tree / "middle", MUCH) == "linked"


def test_outside_a_work_tree_a_link_stays_in_the_folder_itself(home, tmp_path):
    folder = tmp_path / "plain/sub"
    folder.mkdir(parents=True)
    (tmp_path / "plain/notes").write_text("above")
    (folder / "AGENTS.md").symlink_to("../notes")
    assert AgentsMd(home).text(folder, MUCH) is None


def test_nothing_of_the_home_is_sent_for_a_project(tree):
    home = tree / "home"
    home.mkdir()
    (home / "auth.json").write_text("key")
    (tree / "AGENTS.md").symlink_to("home/auth.json")
    assert AgentsMd(home).text(tree, MUCH) is None


def test_a_working_directory_may_be_reached_through_a_link(home, tree, tmp_path):
    (tree / "AGENTS.md").write_text("root")
    (tmp_path / "link").symlink_to(tree)
    assert AgentsMd(home).text(tmp_path / "link", MUCH) == "root"


def test_the_users_own_text_may_be_kept_elsewhere(home, tree, tmp_path):
    (tmp_path / "dotfiles").write_text("user")
    (home / "instructions.md").symlink_to(tmp_path / "dotfiles")
    assert AgentsMd(home).text(tree, MUCH) == "user"


@pytest.mark.parametrize("name", ["instructions.md", "AGENTS.md"])
def test_what_becomes_a_pipe_while_it_is_looked_at_is_not_waited_for(home, tree, monkeypatch, name):
    """What is opened is what is judged, not what stood there before."""
    os.mkfifo(home / name)
    os.mkfifo(tree / name)
    monkeypatch.setattr(os, "stat", lambda path, **_: os.lstat(__file__))
    assert AgentsMd(home).text(tree, MUCH) is None
