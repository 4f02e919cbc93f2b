"""What a command finds in its environment: by default everything but secrets and ways out, else what the user says."""

from pathlib import Path

import pytest

from codex_host._environment import child_environment
from codex_host.config import EnvironmentPolicy
from codex_host.permissions import Fence, Network

CLOSED = Fence(readable=None, writable=(), network=Network.NONE)
OPEN = Fence(readable=None, writable=(), network=Network.ALL)
ALWAYS = {"PAGER": "cat", "GIT_PAGER": "cat"}
USERS = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "Path_To_Key": "k",
    "AWS_REGION": "r",
    "aws_zone": "z",
    "MY_TOKEN": "t",
    "LANG": "C",
}


def given(environ=USERS, fence=OPEN, secrets=(), **policy):
    """What a command gets beside the pagers."""
    child = child_environment(environ, fence, secrets, EnvironmentPolicy(**policy))
    return {name: value for name, value in child.items() if (name, value) not in ALWAYS.items()}


def names(**policy):
    return set(given(**policy))


class TestByDefault:
    def test_everything_but_secrets(self):
        assert names() == {"PATH", "HOME", "AWS_REGION", "aws_zone", "LANG"}

    @pytest.mark.parametrize(
        "name",
        ["OPENAI_API_KEY", "gh_token", "DB_PASSWORD", "PGPASSWD", "CLIENT_SECRET", "GOOGLE_CREDENTIALS"],
    )
    def test_names_that_look_secret(self, name):
        assert given({name: "x", "a": "b"}) == {"a": "b"}

    def test_values_that_hold_a_known_secret(self):
        environ = {"HEADER": "Bearer sk-0123456789", "SHORT": "abc", "OTHER": "abcdef"}
        assert given(environ, secrets=["sk-0123456789", "abc", ""]) == {"OTHER": "abcdef"}

    @pytest.mark.parametrize("name", ["SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "XDG_RUNTIME_DIR"])
    def test_ways_out_where_anything_is_held_back(self, name):
        assert given({name: "/run/x"}, CLOSED) == {"CODEX_SANDBOX_NETWORK_DISABLED": "1"}
        assert given({name: "/run/x"}, Fence(readable=None, writable=(), network=Network.ALL)) == {}
        assert given({name: "/run/x"}, Fence(readable=None, writable=None, network=Network.ALL)) == {name: "/run/x"}

    @pytest.mark.parametrize(
        "value", ["http://user:pass@proxy:3128", "postgres://me:pw@db/x", "a https://:t0ken@host/"]
    )
    def test_addresses_with_a_password(self, value):
        assert given({"ADDRESS": value, "OTHER": "http://user@host:80/a@b"}) == {"OTHER": "http://user@host:80/a@b"}

    def test_the_temporary_folder_is_the_fences(self):
        fence = Fence(readable=None, writable=(), network=Network.ALL, temp=Path("/tmp/mine"))
        assert given({"TMPDIR": "/tmp/users"}, fence) == {"TMPDIR": "/tmp/mine"}
        assert given({"TMPDIR": "/tmp/users"}) == {"TMPDIR": "/tmp/users"}

    def test_nobody_can_leave_a_pager(self):
        assert child_environment({"PAGER": "less", "GIT_PAGER": "less"}, OPEN, ()) == ALWAYS


class TestPolicy:
    @pytest.mark.parametrize(
        ("inherit", "expected"),
        [
            ("all", {"PATH", "HOME", "AWS_REGION", "aws_zone", "LANG"}),
            ("core", {"PATH", "HOME"}),
            ("none", set()),
        ],
    )
    def test_inherit(self, inherit, expected):
        assert names(inherit=inherit) == expected

    def test_the_core(self):
        core = ["HOME", "LOGNAME", "PATH", "SHELL", "USER", "USERNAME", "TMPDIR", "TEMP", "TMP"]
        environ = dict.fromkeys([*core, "LANG", "PWD"], "x")
        assert set(given(environ, inherit="core")) == set(core)

    def test_default_excludes_may_be_ignored(self):
        assert names(ignore_default_excludes=True) == set(USERS)

    def test_a_known_secret_stays_out_even_then(self):
        environ = {"MY_TOKEN": "sk-0123456789", "OTHER_TOKEN": "x"}
        assert given(environ, secrets=["sk-0123456789"], ignore_default_excludes=True) == {"OTHER_TOKEN": "x"}

    @pytest.mark.parametrize(
        ("pattern", "gone"),
        [
            ("AWS_*", {"AWS_REGION", "aws_zone"}),
            ("lang", {"LANG"}),
            ("aws_?one", {"aws_zone"}),
            ("AWS", set()),
        ],
    )
    def test_exclude_is_a_pattern_for_the_whole_name_in_any_case(self, pattern, gone):
        assert names(exclude=(pattern,)) == names() - gone

    def test_set_comes_after_exclude(self):
        assert given(exclude=("LANG",), set={"LANG": "de", "MY_KEY": "k"})["LANG"] == "de"
        assert given(inherit="none", set={"MY_KEY": "k"}) == {"MY_KEY": "k"}

    def test_set_is_the_users_will_even_for_ways_out_and_pagers(self):
        policy = EnvironmentPolicy(inherit="none", set={"DOCKER_HOST": "tcp://x", "PAGER": "less"})
        assert child_environment({}, CLOSED, (), policy) == {
            "DOCKER_HOST": "tcp://x",
            "PAGER": "less",
            "GIT_PAGER": "cat",
            "CODEX_SANDBOX_NETWORK_DISABLED": "1",
        }

    def test_set_opens_nothing_that_the_fence_closes(self):
        fence = Fence(readable=None, writable=(), network=Network.NONE, temp=Path("/tmp/mine"))
        child = given({}, fence, set={"TMPDIR": "/", "CODEX_SANDBOX_NETWORK_DISABLED": ""})
        assert child == {"TMPDIR": "/tmp/mine", "CODEX_SANDBOX_NETWORK_DISABLED": "1"}

    def test_include_only_comes_last(self):
        assert names(include_only=("aws_*", "X*"), set={"x": "1", "y": "2"}) == {
            "AWS_REGION",
            "aws_zone",
            "x",
        }
        assert names(include_only=("*",)) == names()
        assert "MY_TOKEN" not in names(include_only=("MY_*",))

    def test_nothing_of_the_users_is_changed(self):
        before = dict(USERS)
        given(inherit="core", set={"PATH": "/x"})
        assert before == USERS
