"""Patches on real files: planning, the fence, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from codex_host import _folders
from codex_host._files import Plan, carry_out, plan, roll_back
from codex_host.actions import AddFile, DeleteFile, FileChange, Hunk, Patch, UpdateFile
from codex_host.errors import PatchError
from codex_host.permissions import Fence

HERE = Path(__file__).parent


@pytest.fixture
def root(tmp_path):
    folder = tmp_path.resolve() / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "home" / "patches"


@pytest.fixture
def apply(root, journal):
    fence = Fence(None, (root,))

    def run(*changes: FileChange) -> Plan:
        made = plan(Patch(changes), fence)
        carry_out(made, fence, journal, journal)
        assert not list(root.rglob(".codex-patch-*"))
        assert not list(journal.glob("*"))
        return made

    return run


def swap(path: Path, old: str, new: str, move_to: Path | None = None) -> UpdateFile:
    return UpdateFile(path, (Hunk((old,), (new,)),), move_to)


def snapshot(folder: Path) -> dict[Path, object]:
    return {path: (path.read_bytes(), path.stat().st_mode) if path.is_file() else None for path in folder.rglob("*")}


def refusal(*changes: FileChange, fence: Fence | None = None) -> str:
    with pytest.raises(PatchError) as caught:
        plan(Patch(changes), fence or Fence(None, None))
    return str(caught.value)


# --- What a patch makes of files


def test_adds_updates_moves_and_deletes(root, apply):
    (root / "a").write_text("one\n")
    (root / "b").write_text("two\n")
    (root / "c").write_text("three\n")
    made = apply(
        AddFile(root / "deep/er/new", "text\n"),
        swap(root / "a", "one", "ONE"),
        swap(root / "b", "two", "TWO", root / "moved/b2"),
        DeleteFile(root / "c"),
    )
    assert {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()} == {
        "deep/er/new": "text\n",
        "a": "ONE\n",
        "moved/b2": "TWO\n",
    }
    assert [(file.path.name, file.kind, file.moved_to) for file in made.files] == [
        ("new", "add", None),
        ("a", "update", None),
        ("b", "update", root / "moved/b2"),
        ("c", "delete", None),
    ]
    assert made.files[2].diff == "@@ -1 +1 @@\n-two\n+TWO\n"
    assert set(made.writes) == {root / name for name in ("deep/er/new", "a", "b", "moved/b2", "c")}


def test_a_pure_rename_keeps_text_and_mode(root, apply):
    (root / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (root / "a").chmod(0o750)
    made = apply(UpdateFile(root / "a", (), root / "b"))
    assert (root / "b").read_bytes() == b"\xef\xbb\xbfone\r\ntwo"
    assert stat.S_IMODE((root / "b").stat().st_mode) == 0o750
    assert not (root / "a").exists()
    assert made.files[0].diff == ""


def test_mode_and_owner_are_kept_and_new_files_follow_the_umask(root, apply):
    (root / "run.sh").write_text("old\n")
    (root / "run.sh").chmod(0o751)
    if os.getuid() == 0:
        os.chown(root / "run.sh", 1234, 1234)
    owner = (root / "run.sh").stat().st_uid
    apply(swap(root / "run.sh", "old", "new"), AddFile(root / "n", ""))
    after = (root / "run.sh").stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid) == (0o751, owner)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((root / "n").stat().st_mode) == 0o666 & ~mask


def test_changes_of_one_file_work_in_order(root, apply):
    (root / "a").write_text("1\n2\n3\n")
    made = apply(
        swap(root / "a", "3", "three"),
        swap(root / "a", "1", "one", root / "b"),
        AddFile(root / "a", "new\n"),
        swap(root / "b", "2", "two"),
    )
    assert (root / "b").read_text() == "one\ntwo\nthree\n"
    assert (root / "a").read_text() == "new\n"
    assert ("a", "update", root / "b") in [(f.path.name, f.kind, f.moved_to) for f in made.files]


def test_delete_then_add_writes_a_file_anew(root, apply):
    (root / "a").write_text("1\n")
    (root / "a").chmod(0o700)
    made = apply(DeleteFile(root / "a"), AddFile(root / "a", "2\n"))
    assert [(file.kind, file.diff) for file in made.files] == [("update", "@@ -1 +1 @@\n-1\n+2\n")]
    assert (root / "a").read_text() == "2\n"
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o700


def test_files_can_change_places(root, apply):
    (root / "a").write_text("a\n")
    (root / "b").write_text("b\n")
    apply(
        UpdateFile(root / "a", (), root / "c"),
        UpdateFile(root / "b", (), root / "a"),
        UpdateFile(root / "c", (), root / "b"),
    )
    assert [(root / name).read_text() for name in "ab"] == ["b\n", "a\n"]
    assert not (root / "c").exists()


def test_what_cannot_be_patched_is_refused(root):
    (root / "text").write_text("x\n")
    (root / "binary").write_bytes(b"a\0b\n")
    (root / "latin").write_bytes(b"caf\xe9\n")
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    with (root / "huge").open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    assert "empty" in refusal()
    assert "exists already" in refusal(AddFile(root / "text", ""))
    assert "folder" in refusal(AddFile(root / "folder", ""))
    for name, reason in {
        "missing": "does not exist",
        "no/where": "does not exist",
        "text/below": "Not a directory",
        "folder": "folder",
        "binary": "not a text file",
        "latin": "not a text file",
        "huge": "10 MiB",
        "pipe": "not a regular file",
        "zero\0": "usable path",
        "n" * 300: "too long",
    }.items():
        assert reason in refusal(DeleteFile(root / name)), name
        assert reason in refusal(swap(root / name, "x", "y")), name
    assert "not a text file" in refusal(AddFile(root / "n", "a\0"))
    assert "surrogate" in refusal(AddFile(root / "n", "\ud800"))
    assert "neither" in refusal(UpdateFile(root / "text", ()))


def test_changes_that_contradict_each_other_are_refused(root):
    (root / "a").write_text("x\n")
    (root / "b").write_text("x\n")
    assert "earlier in this patch" in refusal(DeleteFile(root / "a"), swap(root / "a", "x", "y"))
    assert "earlier in this patch" in refusal(UpdateFile(root / "a", (), root / "c"), swap(root / "a", "x", "y"))
    assert "exists already" in refusal(AddFile(root / "n", ""), AddFile(root / "n", ""))
    assert "exists already" in refusal(UpdateFile(root / "a", (), root / "b"))
    assert "folder" in refusal(AddFile(root / "n", ""), AddFile(root / "n/m", ""))


# --- The fence


def test_the_fence_holds_reading_through_dots_and_links(root, tmp_path):
    secret = tmp_path.resolve() / "secret"
    secret.write_text("key\n")
    (root / "link").symlink_to(secret)
    (root / "up").symlink_to("..")
    fence = Fence((root,), (root,))
    for path in (secret, root / "../secret", root / "link", root / "up/secret"):
        text = refusal(swap(path, "guess", "x"), fence=fence)
        assert "may not be read" in text
        assert "key" not in text
    hidden = Fence(None, None, hidden=(secret,))
    assert "may not be read" in refusal(swap(root / "link", "key", "x"), fence=hidden)


def test_the_fence_holds_writing_and_both_ends_of_a_move(root, tmp_path, journal):
    outside = tmp_path.resolve() / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "a").write_text("x\n")
    fence = Fence(None, (root,))
    for change in (
        AddFile(root / "link/n", ""),
        AddFile(root / "../outside/n", ""),
        UpdateFile(root / "a", (), root / "link/a"),
    ):
        made = plan(Patch((change,)), fence)
        with pytest.raises(PatchError, match=r"may not be written.*disk-write-folder=.*outside"):
            carry_out(made, fence, journal, journal)
    assert not list(outside.iterdir())
    assert (root / "a").read_text() == "x\n"


def test_a_refusal_names_the_smallest_permission(root, journal):
    made = plan(Patch((AddFile(root / "sub/n", ""),)), Fence(None, ()))
    for fence, cwd, word in (
        (Fence(None, ()), root, "disk-write-cwd would"),
        (Fence(None, ()), journal, f"disk-write-folder={root} would"),
        (Fence(None, None, hidden=(root,)), root, "no permission"),
    ):
        with pytest.raises(PatchError, match=word):
            carry_out(made, fence, journal, cwd)
    made = plan(Patch((AddFile(Path("/no-such-folder/n"), ""),)), Fence(None, ()))
    with pytest.raises(PatchError, match="disk-full-write-access"):
        carry_out(made, Fence(None, ()), journal, journal)


def test_links_are_changed_where_they_lead_and_not_removed(root, apply):
    (root / "real").write_text("x\n")
    (root / "link").symlink_to("real")
    made = apply(swap(root / "link", "x", "y"))
    assert made.writes == (root / "real",)
    assert (root / "link").is_symlink()
    assert (root / "real").read_text() == "y\n"
    assert "symbolic link" in refusal(DeleteFile(root / "link"))
    assert "symbolic link" in refusal(UpdateFile(root / "link", (), root / "n"))
    (root / "loop").symlink_to("loop")
    assert "loop" in refusal(DeleteFile(root / "loop"))


@pytest.mark.parametrize("where", ["sub/a", "sub/new/n", "sub/n"])
def test_a_link_put_in_the_way_after_planning_leads_nowhere(root, tmp_path, journal, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("x\n")
    (root / "sub").mkdir()
    (root / "sub/a").write_text("x\n")
    fence = Fence(None, (root,))
    change = swap(root / where, "x", "y") if where == "sub/a" else AddFile(root / where, "")
    made = plan(Patch((change,)), fence)
    (root / "sub").rename(root / "sub2")
    (root / "sub").symlink_to(outside)
    with pytest.raises(PatchError):
        carry_out(made, fence, journal, journal)
    assert [path.name for path in outside.iterdir()] == ["a"]
    assert (outside / "a").read_text() == "x\n"


# --- All or nothing


@pytest.mark.parametrize("spoil", ["edit", "remove", "create", "link", "folder"])
def test_a_change_since_planning_stops_everything(root, journal, spoil):
    (root / "a").write_text("x\n")
    (root / "b").write_text("x\n")
    fence = Fence(None, (root,))
    made = plan(Patch((swap(root / "b", "x", "y"), swap(root / "a", "x", "y"), AddFile(root / "n", ""))), fence)
    if spoil == "create":
        (root / "n").write_text("mine")
    elif spoil == "edit":
        (root / "a").write_text("other\n")
    else:
        (root / "a").unlink()
    if spoil == "link":
        (root / "a").symlink_to("b")
    elif spoil == "folder":
        (root / "a").mkdir()
    before = snapshot(root)
    with pytest.raises(PatchError):
        carry_out(made, fence, journal, journal)
    assert snapshot(root) == before


def test_a_read_only_file_is_not_replaced(root, journal, monkeypatch):
    (root / "a").write_text("x\n")
    (root / "a").chmod(0o444)
    fence = Fence(None, (root,))
    made = plan(Patch((swap(root / "a", "x", "y"),)), fence)
    monkeypatch.setattr(_folders.Folder, "writable", lambda self, name: False)  # root may write anything
    with pytest.raises(PatchError, match="read-only"):
        carry_out(made, fence, journal, journal)


FAULTS = ("open", "fsync", "link", "replace", "unlink", "mkdir", "fchmod", "rmdir")


def faulty_patch(root: Path) -> Patch:
    (root / "a").write_text("x\n")
    (root / "b").write_text("x\n")
    (root / "c").write_text("x\n")
    return Patch(
        (
            swap(root / "a", "x", "y"),
            AddFile(root / "deep/er/n", "n\n"),
            swap(root / "b", "x", "y", root / "moved"),
            DeleteFile(root / "c"),
        )
    )


@pytest.mark.parametrize("name", FAULTS)
def test_every_failing_call_leaves_all_or_nothing(root, journal, monkeypatch, name):
    fence = Fence(None, (root,))
    made = plan(faulty_patch(root), fence)
    before = snapshot(root)
    real = getattr(os, name)
    calls = 0

    def failing(*args, **options):
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device", "somewhere")
        return real(*args, **options)

    for fail_at in range(1, 1000):
        calls = 0
        monkeypatch.setattr(os, name, failing)
        try:
            carry_out(made, fence, journal, journal)
            failed = ""
        except PatchError as error:
            failed = str(error)
        monkeypatch.setattr(os, name, real)
        assert not failed or "No space" in failed
        roll_back(journal)  # cleans up where cleaning up failed
        assert not list(journal.glob("*.json"))
        assert not list(root.rglob(".codex-patch-*"))
        assert (snapshot(root) == before) == bool(failed)
        if calls < fail_at:
            return
        shutil.rmtree(root)
        root.mkdir()
        faulty_patch(root)


def test_file_systems_without_second_names_work_too(root, apply, journal, monkeypatch):
    def no_link(*args, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    apply(*faulty_patch(root).changes)
    assert (root / "a").read_text() == "y\n"
    assert (root / "deep/er/n").read_text() == "n\n"
    made = plan(Patch((DeleteFile(root / "a"), AddFile(root / "n", ""))), Fence(None, None))
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b, **o: no_link() if b == "n" else real(a, b, **o))
    with pytest.raises(PatchError):
        carry_out(made, Fence(None, None), journal, journal)
    assert (root / "a").read_text() == "y\n"


def test_platforms_without_descriptors_work_too(root, apply, tmp_path, journal, monkeypatch):
    monkeypatch.setattr(_folders, "_BY_DESCRIPTOR", False)
    apply(*faulty_patch(root).changes)
    assert (root / "a").read_text() == "y\n"
    made = plan(Patch((AddFile(root / "sub/n", ""),)), Fence(None, None))
    (root / "sub").symlink_to(tmp_path)
    with pytest.raises(PatchError):
        carry_out(made, Fence(None, None), journal, journal)
    assert not (tmp_path / "n").exists()


def test_a_full_disk_changes_nothing(root, journal):
    resource = pytest.importorskip("resource")
    (root / "a").write_text("x\n")
    fence = Fence(None, (root,))
    made = plan(Patch((swap(root / "a", "x", "y"), AddFile(root / "n/n", "n" * 100_000))), fence)
    before = snapshot(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(PatchError, match="File too large"):
            carry_out(made, fence, journal, journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert snapshot(root) == before
    assert not list(journal.iterdir())


def test_an_interrupt_in_the_middle_rolls_back(root, journal, monkeypatch):
    fence = Fence(None, (root,))
    made = plan(faulty_patch(root), fence)
    before = snapshot(root)
    real = os.link

    def interrupted(source, target, **options):
        real(source, target, **options)
        if target == "n":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(made, fence, journal, journal)
    assert snapshot(root) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_any_point_it_is_before_or_after():
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # hundreds of patches, each synced to the disk
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), *sys.path]))}
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        program = [sys.executable, str(HERE / "kill_carry_out.py"), os.path.realpath(folder)]
        run = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=100)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


CHANGES = "UpdateFile(root / 'a', (Hunk(('x',), ('y',)),)), AddFile(root / 'sub/n', 'n')"


def _dead_entry(root: Path, journal: Path, changes: str = CHANGES) -> Path:
    """A process that was killed after it had made its changes, by default put `a` and `n` in place."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from codex_host._files import carry_out, plan\n"
        "from codex_host._journal import Entry\n"
        "from codex_host.actions import *\n"
        "from codex_host.permissions import Fence\n"
        "root = Path(sys.argv[1])\n"
        "fence = Fence(None, (root,))\n"
        f"changes = ({changes},)\n"
        "Entry.commit = lambda self: os.kill(os.getpid(), 9)\n"
        "carry_out(plan(Patch(changes), fence), fence, Path(sys.argv[2]), root)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), *sys.path]))}
    subprocess.run([sys.executable, "-c", script, root, journal], env=environment, timeout=30)
    return max(journal.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)


def test_roll_back_names_what_it_restored(root, journal):
    (root / "a").write_text("x\n")
    assert roll_back(journal) == ()
    _dead_entry(root, journal)
    assert (root / "a").read_text() == "y\n"
    assert set(roll_back(journal)) == {root / "a", root / "sub/n"}
    assert {path.name: path.read_text() for path in root.iterdir()} == {"a": "x\n"}
    assert roll_back(journal) == ()


def test_roll_back_spares_what_was_changed_since(root, journal):
    (root / "a").write_text("x\n")
    _dead_entry(root, journal)
    (root / "a").write_text("mine\n")
    (root / "sub/n").write_text("mine too\n")
    (root / "a.codex-saved").write_text("of another time\n")
    assert roll_back(journal) == (root / "a.codex-saved-2",)
    assert (root / "a").read_text() == "mine\n"
    assert (root / "a.codex-saved").read_text() == "of another time\n"
    assert (root / "a.codex-saved-2").read_text() == "x\n"
    assert (root / "sub/n").read_text() == "mine too\n"
    assert not list(root.rglob(".codex-patch-*"))
    assert roll_back(journal) == ()


def test_what_was_deleted_and_made_anew_is_kept_twice(root, journal):
    (root / "a").write_text("x\n")
    _dead_entry(root, journal, "DeleteFile(root / 'a')")
    assert not (root / "a").exists()
    (root / "a").write_text("mine\n")
    assert roll_back(journal) == (root / "a.codex-saved",)
    assert {path.name: path.read_text() for path in root.iterdir()} == {"a": "mine\n", "a.codex-saved": "x\n"}
    assert not list(journal.iterdir())


STEP = {"path": "{root}/a", "new": None, "old": ".codex-patch-0123456789ab-0.old", "digest": ""}
DAMAGED = {
    "empty": "",
    "no text": "\0",
    "no object": "[]",
    "nothing in it": "{}",
    "too deep": "[" * 100_000,
    "no list": {"folders": 1, "steps": []},
    "no folder": {"folders": [1], "steps": []},
    "a relative folder": {"folders": ["a"], "steps": []},
    "no step": {"folders": [], "steps": ["x"]},
    "a field missing": {"folders": [], "steps": [{"path": "{root}/a"}]},
    "an unknown field": {"folders": [], "steps": [{**STEP, "more": 1}]},
    "a number for a path": {"folders": [], "steps": [{**STEP, "path": 1}]},
    "a relative path": {"folders": [], "steps": [{**STEP, "path": "a"}]},
    "a path with dots": {"folders": [], "steps": [{**STEP, "path": "{root}/sub/../a"}]},
    "a path with a null": {"folders": [], "steps": [{**STEP, "path": "{root}/s\0/a"}]},
    "a path for a name": {"folders": [], "steps": [{**STEP, "old": "{root}/mine"}]},
    "dots in a name": {"folders": [], "steps": [{**STEP, "old": ".codex-patch-0-0.old/../mine"}]},
    "a name of the user's": {"folders": [], "steps": [{**STEP, "old": "mine"}]},
    "the user's for a new name": {"folders": [], "steps": [{**STEP, "new": "mine"}]},
    "a number for a name": {"folders": [], "steps": [{**STEP, "new": 1}]},
    "the first step is good": {"folders": [], "steps": [STEP, {**STEP, "new": "mine"}]},
}


@pytest.mark.parametrize("suffix", ["json", "done"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_entry_is_told_and_touches_nothing(root, journal, content, suffix):
    (root / "a").write_text("x\n")
    (root / "mine").write_text("mine\n")
    text = content if isinstance(content, str) else json.dumps(content)
    journal.mkdir(parents=True)
    entry = journal / f"0.{suffix}"
    entry.write_text(text.replace("{root}", str(root)))
    _dead_entry(root, journal, "UpdateFile(root / 'a', (Hunk(('x',), ('y',)),))")
    (root / ".codex-patch-0123456789ab-0.old").write_text("set aside\n")
    with pytest.raises(PatchError, match="it is damaged") as caught:
        roll_back(journal)
    assert str(entry) in str(caught.value)
    assert f"these could: {root / 'a'}" in str(caught.value)
    assert list(journal.iterdir()) == [entry]
    texts = {path.name: path.read_text() for path in root.iterdir()}
    assert texts == {"a": "x\n", "mine": "mine\n", ".codex-patch-0123456789ab-0.old": "set aside\n"}


def test_roll_back_follows_no_link(root, journal, tmp_path):
    (root / "a").write_text("x\n")
    entry = _dead_entry(root, journal)
    root.rename(tmp_path / "elsewhere")
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PatchError, match="could not be put back"):
        roll_back(journal)
    assert entry.exists()
    root.unlink()
    (tmp_path / "elsewhere").rename(root)
    assert root / "a" in roll_back(journal)


def test_roll_back_leaves_a_living_process_alone(root, journal, monkeypatch):
    (root / "a").write_text("x\n")
    fence = Fence(None, (root,))
    made = plan(Patch((swap(root / "a", "x", "y"),)), fence)
    real = os.replace
    seen = []

    def looking(source, target, **options):
        real(source, target, **options)
        if target == "a":
            seen.append(roll_back(journal))

    monkeypatch.setattr(os, "replace", looking)
    carry_out(made, fence, journal, journal)
    assert seen == [()]
    assert (root / "a").read_text() == "y\n"
