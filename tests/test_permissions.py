"""What the user grants, and the fence that it means for one session."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_host.errors import SandboxError
from codex_host.permissions import (
    DANGER_FULL_ACCESS,
    FULL_AUTO,
    PRESETS,
    READ_ONLY,
    WORKSPACE_WRITE,
    Fence,
    Guarantee,
    Network,
    Permissions,
    permission_for,
    resolve,
)

WORDS = {
    "disk-full-read-access": Permissions(full_read=True),
    "disk-full-write-access": Permissions(full_write=True),
    "disk-write-cwd": Permissions(write_cwd=True),
    "disk-write-platform-user-temp-folder": Permissions(write_user_temp=True),
    "disk-write-platform-global-temp-folder": Permissions(write_global_temp=True),
    "network-full-access": Permissions(full_network=True),
    "disk-write-folder=/some/folder": Permissions(write_folders=(Path("/some/folder"),)),
}
FOLDERS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
GRANTS = st.builds(
    Permissions,
    **{field: st.booleans() for field in Permissions.__slots__ if field != "write_folders"},
    write_folders=st.lists(FOLDERS.map(lambda text: Path("/") / text.lstrip("/")), max_size=3).map(tuple),
)


@pytest.fixture
def cwd(tmp_path):
    return made(tmp_path / "work")


@pytest.fixture
def temp(tmp_path):
    return made(tmp_path / "temp")


def made(folder):
    folder.mkdir(parents=True)
    return folder


class TestWords:
    @pytest.mark.parametrize(("word", "granted"), WORDS.items())
    def test_each_grants_one_thing(self, word, granted):
        assert Permissions.parse([word], Path("/base")) == granted
        assert granted.words() == (word,)

    def test_none_grant_nothing(self):
        assert Permissions.parse([], Path("/base")) == Permissions()
        assert Permissions().words() == ()

    def test_a_relative_folder_belongs_to_its_base(self):
        granted = Permissions.parse(["disk-write-folder=a", "disk-write-folder=../b"], Path("/base"))
        assert granted.write_folders == (Path("/base/a"), Path("/base/../b"))

    def test_a_folder_of_the_users(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        assert Permissions.parse(["disk-write-folder=~/a"], Path("/b")).write_folders == (Path("/home/me/a"),)

    @pytest.mark.parametrize(
        "word",
        [
            "disk-write-folder=",
            "disk-write-folder= ",
            "disk-write-folder",
            "disk-write-folder=~nobody-at-all/x",
        ],
    )
    def test_no_folder(self, word):
        with pytest.raises(ValueError, match="names no folder; write disk-write-folder=/some/folder"):
            Permissions.parse([word], Path("/base"))

    @pytest.mark.parametrize("word", ["", "disk-write-cwd=x", "disk-write-cwd=", "DISK-WRITE-CWD", "full-auto"])
    def test_an_unknown_one_is_named_with_those_there_are(self, word):
        with pytest.raises(ValueError, match="no permission is called") as caught:
            Permissions.parse([word], Path("/base"))
        assert repr(word) in str(caught.value)
        assert all(known.partition("/")[0] in str(caught.value) for known in WORDS)

    @given(GRANTS)
    def test_words_are_read_as_they_were_written(self, granted):
        assert Permissions.parse(granted.words(), Path("/elsewhere")) == granted

    @given(GRANTS, GRANTS)
    def test_two_grants_together_are_both(self, one, other):
        together = one | other
        assert set(together.words()) == {*one.words(), *other.words()}
        assert together.unrestricted >= (one.unrestricted or other.unrestricted)

    def test_presets(self):
        assert PRESETS == {
            "read-only": READ_ONLY,
            "workspace-write": WORKSPACE_WRITE,
            "danger-full-access": DANGER_FULL_ACCESS,
        }
        assert [grant for grant in (*PRESETS.values(), FULL_AUTO) if grant.unrestricted] == [DANGER_FULL_ACCESS]
        assert not any(grant.full_network for grant in (READ_ONLY, WORKSPACE_WRITE, FULL_AUTO))


class TestResolve:
    def test_read_only(self, cwd, temp):
        fence = resolve(READ_ONLY, cwd, temp)
        assert fence == Fence(readable=None, writable=(), network=Network.NONE, temp=None)
        assert fence.allows_read(Path("/etc/hosts"))
        assert not fence.allows_write(cwd / "x")

    def test_full_auto(self, cwd, temp):
        fence = resolve(FULL_AUTO, cwd, temp)
        assert fence == Fence(readable=None, writable=(cwd, temp), network=Network.NONE, temp=temp)
        assert fence.allows_write(cwd / "deep" / "x")
        assert not fence.allows_write(cwd.with_name("work2"))

    def test_workspace_write_adds_the_global_temporary_folder(self, cwd, temp):
        writable = resolve(WORKSPACE_WRITE, cwd, temp).writable
        assert writable == (cwd, temp, Path("/tmp").resolve())

    def test_everything_needs_no_fence(self, cwd, temp):
        fence = resolve(DANGER_FULL_ACCESS, cwd, temp, hidden=[temp])
        assert fence == Fence(readable=None, writable=None, network=Network.ALL)
        assert fence.open
        assert fence.demands() == frozenset()

    @pytest.mark.parametrize("lacking", ["full_read", "full_write", "full_network"])
    def test_everything_but_one_thing_is_a_fence(self, cwd, temp, lacking):
        granted = {"full_read": True, "full_write": True, "full_network": True, lacking: False}
        fence = resolve(Permissions(**granted), cwd, temp)
        assert not fence.open
        demanded = {
            "full_read": Guarantee.READS,
            "full_write": Guarantee.WRITES,
            "full_network": Guarantee.NETWORK,
        }
        assert fence.demands() == {demanded[lacking]}

    def test_nothing_still_lets_programs_start(self, cwd, temp):
        fence = resolve(Permissions(), cwd, temp)
        assert fence.allows_read(cwd / "x")
        assert fence.allows_read(Path(os.path.realpath("/bin/sh")))
        assert not fence.allows_read(temp / "x")
        assert not fence.allows_read(Path("/var/x"))
        assert (fence.writable, fence.network) == ((), Network.NONE)

    def test_what_may_be_written_may_be_read(self, cwd, temp):
        assert resolve(Permissions(write_user_temp=True), cwd, temp).allows_read(temp / "x")

    def test_roots_are_real(self, cwd, temp, tmp_path):
        (tmp_path / "link").symlink_to(cwd)
        fence = resolve(Permissions(write_folders=(tmp_path / "link" / ".." / "work",)), tmp_path / "link", temp)
        assert fence.writable == (cwd,)
        assert cwd in fence.readable

    def test_hidden_wins_over_everything(self, cwd, temp):
        secret = made(cwd / "secret")
        (cwd / "link").symlink_to(secret)
        fence = resolve(FULL_AUTO, cwd, temp, hidden=[cwd / "link", cwd / "missing"])
        assert fence.hidden == (secret,)
        assert not fence.allows_read(secret / "x")
        assert not fence.allows_write(secret / "x")
        assert fence.allows_write(cwd / "x")
        assert Guarantee.HIDDEN in fence.demands()

    @pytest.mark.parametrize("folder", ["missing", "bad\0name", "loop"])
    def test_a_root_that_is_not_there_fails_for_every_backend(self, cwd, temp, tmp_path, folder):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(SandboxError, match=r"disk-write-folder=.* cannot be opened .*; create it or leave it out"):
            resolve(Permissions(write_folders=(tmp_path / folder,)), cwd, temp)

    def test_a_relative_root(self, cwd, temp):
        with pytest.raises(SandboxError, match="is relative; give an absolute folder"):
            resolve(Permissions(write_folders=(Path("x"),)), cwd, temp)

    def test_the_root_of_all_files(self, cwd, temp, tmp_path):
        (tmp_path / "link").symlink_to("/")
        for folder in (Path("/"), tmp_path / "link"):
            with pytest.raises(SandboxError, match="say disk-full-write-access if you mean it"):
                resolve(Permissions(write_folders=(folder,)), cwd, temp)


class TestPermissionFor:
    def test_the_least_word(self, cwd, tmp_path):
        fence = Fence(readable=None, writable=(), hidden=(tmp_path / "secret",))
        assert permission_for(cwd / "deep" / "x", cwd, fence) == "disk-write-cwd"
        assert permission_for(tmp_path / "other" / "x", cwd, fence) == f"disk-write-folder={tmp_path}"
        assert permission_for(Path("/tmp/x"), cwd, fence) == "disk-write-platform-global-temp-folder"
        assert permission_for(Path("/x"), cwd, fence) == "disk-full-write-access"
        assert permission_for(tmp_path / "secret" / "x", cwd, fence) is None

    def test_each_word_is_one(self, cwd, tmp_path):
        for path in (cwd / "x", tmp_path / "x", Path("/tmp/x"), Path("/x")):
            Permissions.parse([permission_for(path, cwd, Fence(None, ()))], cwd)
