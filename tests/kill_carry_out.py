"""Run by test_files: kill a child at every changing call of carry_out, and of roll_back; see what is left.

A program of its own, since it forks and must have no threads. Prints one line per failure.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from codex_host._files import carry_out, plan, roll_back
from codex_host.actions import AddFile, DeleteFile, Hunk, Patch, UpdateFile
from codex_host.permissions import Fence

CALLS = ("open", "fsync", "link", "replace", "unlink", "mkdir", "rmdir", "fchmod")


def snapshot(root: Path) -> dict[str, object]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode) if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def make(root: Path) -> None:
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\n")
    (root / "a.txt").chmod(0o755)
    (root / "sub/b.txt").write_text("three\n")
    (root / "gone.txt").write_text("four\n")


def patch(root: Path) -> Patch:
    return Patch(
        (
            UpdateFile(root / "a.txt", (Hunk(("two",), ("zwei",)),)),
            AddFile(root / "new/deep/c.txt", "five\n"),
            UpdateFile(root / "sub/b.txt", (Hunk(("three",), ("drei",)),), root / "moved.txt"),
            DeleteFile(root / "gone.txt"),
            AddFile(root / "sub/d.txt", "six\n"),
        )
    )


def dying_at(call: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies just before its call number `call`; whether it got that far."""
    child = os.fork()
    if child == 0:
        left = [call]

        def wrap(real: Callable[..., object]) -> Callable[..., object]:
            def wrapped(*args: object, **options: object) -> object:
                if real.__name__ != "open" or int(str(args[1])) & os.O_CREAT:  # others change nothing
                    left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)

            return wrapped

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def dying_after(seconds: float, work: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(folder: Path) -> None:
    root, journal = folder / "work", folder / "journal"
    fence = Fence(None, (folder,))

    def reset() -> dict[str, object]:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(journal, ignore_errors=True)
        make(root)
        return snapshot(root)

    def work() -> None:
        carry_out(plan(patch(root), fence), fence, journal, journal)

    def undo() -> None:
        roll_back(journal)

    def check(label: str) -> None:
        roll_back(journal)
        found = snapshot(root)
        if found not in (before, after):
            print(f"{label}: {sorted(found)}")
        if list(journal.glob("*")):
            print(f"{label}: entries left")
        seen.add(found == after)

    reset()
    work()
    after = snapshot(root)
    seen: set[bool] = set()
    call = 0
    before = reset()
    while dying_at(call, work):
        inner = 0
        while dying_at(inner, undo) and call % 4 == 3:
            inner += 1
        check(f"killed at call {call}, then {inner}")
        before = reset()
        call += 1
    chance = random.Random(call)
    for _ in range(30):
        before = reset()
        seconds = chance.uniform(0, 0.01)
        dying_after(seconds, work)
        check(f"killed after {seconds}")
    if seen != {True, False}:
        print(f"not both states were seen: {seen}")
    if call < 30:
        print(f"only {call} calls")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
