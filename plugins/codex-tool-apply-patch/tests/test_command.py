"""The program apply_patch, run as one."""

from __future__ import annotations

import os
import pty
import subprocess
import sysconfig
from pathlib import Path

import pytest

PROGRAM = Path(sysconfig.get_path("scripts")) / "apply_patch"
PATCH = """\
*** Begin Patch
*** Add File: new/a
+one
*** Update File: b
@@
-old
+new
*** Delete File: c
*** Update File: d
*** Move to: e
*** End Patch
"""


def run(cwd: Path, *words: str, stdin: bytes | int = b"", **env: str) -> subprocess.CompletedProcess[str]:
    how = {"stdin": stdin} if isinstance(stdin, int) else {"input": stdin}
    done = subprocess.run([PROGRAM, *words], cwd=cwd, env={**os.environ, **env}, capture_output=True, timeout=30, **how)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in (("b", "old\n"), ("c", "gone\n"), ("d", "moved\n")):
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("by", ["argument", "standard input"])
def test_applies_and_lists_the_files(work, by):
    done = run(work, PATCH) if by == "argument" else run(work, stdin=PATCH.encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Success. Updated the following files:\nA new/a\nM b\nM e\nD c\nD d\n"
    assert {str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()} == {
        "new/a": "one\n",
        "b": "new\n",
        "e": "moved\n",
    }


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (PATCH.replace("-old", "-other"), "other"),
        (PATCH.replace("Delete File: c", "Delete File: missing"), "missing does not exist"),
        ("rubbish", "invalid patch, line 1"),
        ("*** Begin Patch\n*** End Patch", "the patch is empty"),
        ("", "invalid patch"),
    ],
)
def test_what_does_not_fit_changes_nothing_and_is_explained(work, patch, reason):
    before = {path: path.read_text() for path in work.iterdir()}
    done = run(work, stdin=patch.encode())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr
    assert {path: path.read_text() for path in work.iterdir()} == before


def test_what_is_no_text_is_refused(work):
    done = run(work, stdin=PATCH.encode().replace(b"+one", b"+\xff"))
    assert done.returncode == 1
    assert "UTF-8" in done.stderr
    assert not (work / "new").exists()


def test_words_that_make_no_sense(work):
    assert run(work, PATCH, "more").returncode == 2
    assert "usage" in run(work, PATCH, "more").stderr
    assert run(work, "--help").stdout.startswith("usage: ")
    ours, theirs = pty.openpty()
    try:
        assert run(work, stdin=theirs).returncode == 2
    finally:
        os.close(ours)
        os.close(theirs)


def test_any_language_is_written_as_it_came(work):
    patch = "*** Begin Patch\n*** Add File: größe\n+日本 €\n*** End Patch"
    assert run(work, patch, LC_ALL="C").returncode == 0
    assert (work / "größe").read_text("utf-8") == "日本 €\n"


def test_nothing_is_left_in_the_temporary_folder(work, tmp_path):
    folder = tmp_path / "temp"
    folder.mkdir()
    assert run(work, PATCH, TMPDIR=str(folder)).returncode == 0
    assert list(folder.iterdir()) == []
