"""Commands that are known to only read do only read: the programs themselves are run with all their options."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from codex_approval_standard._known_safe import objection

TRAPS = "gpg gpgsm man less more pager editor vi ssh gzip bzip2 xz lz4 lzma zstd brotli uncompress hostname xdg-open"
"""Programs that others may start; each is replaced by one that leaves a mark."""

VALUES = ["./run", "out", "%G?", "1"]
ENDLESS = {"--follow", "-f", "-F", "--retry", "--pid"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A repository with a commit that claims to be signed, and traps first on the PATH."""
    folder = tmp_path_factory.mktemp("place")
    traps, work = folder / "traps", folder / "work"
    traps.mkdir()
    work.mkdir()
    for trap in [*(traps / name for name in TRAPS.split()), work / "run"]:
        trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {folder}/sprung\n')
        trap.chmod(0o755)
    for name in ("a.txt", "b.txt", "a.gz", "%G?"):
        (work / name).write_text("one\ntwo\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], cwd=work, check=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)})
    plain = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=work, check=True, capture_output=True).stdout
    signed = plain.replace(
        b"\n\n", b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n a\n -----END PGP SIGNATURE-----\n\n", 1
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=work,
        check=True,
        capture_output=True,
        input=signed,
    )
    subprocess.run(["git", "update-ref", "HEAD", made.stdout.decode().strip()], cwd=work, check=True)
    (work / "b.txt").write_text("three\n")
    return folder


def harm(place: Path, argv) -> str:
    """What a command did beside reading; empty if nothing."""
    work, sprung = place / "work", place / "sprung"
    env = {"PATH": f"{place / 'traps'}:{os.environ['PATH']}", "HOME": str(place), "LC_ALL": "C.UTF-8"}
    before = state(work)
    try:
        subprocess.run(argv, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=5)
    except subprocess.TimeoutExpired:
        return "it does not end"
    except ValueError:  # a NUL
        return ""
    marks = sprung.read_text() if sprung.exists() else ""
    sprung.unlink(missing_ok=True)
    changed = sorted(path for path, _ in before ^ state(work))
    return f"started {marks}" if marks else f"changed {changed}" if changed else ""


def state(work: Path):
    """All files, and what would show a change; git's own cache of what files look like may change."""
    files = [path for path in work.rglob("*") if path.name not in {"index", ".git"}]
    return {(str(path), (path.stat().st_mtime_ns, path.stat().st_size)) for path in files}


def options(*command: str) -> list[str]:
    """Every option that a program's help or manual names."""
    told = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.findall(r"(?<![\w-])(--?[A-Za-z0-9][\w-]*)", told.stdout + told.stderr)
    return sorted({option for option in found if option not in ENDLESS})


GIT = {
    verb: [["git", verb, "-h"], ["git", verb, "--git-completion-helper-all"], ["git", "rev-list", "-h"]]
    for verb in ("status", "log", "diff", "show", "branch")
}
HELP = {
    **{(name,): [[name, "--help"]] for name in ("cat", "grep", "head", "ls", "tail", "wc", "find", "rg", "sed")},
    ("which",): [["which", "-h"]],
    **{("git", verb): helps for verb, helps in GIT.items()},
}
EXTRA = {
    (
        "git",
        "log",
    ): "--remerge-diff --diff-merges=remerge --show-signature --ext-diff --output --format --pretty",
    ("find",): "-exec -execdir -ok -okdir -delete -fls -fprint -fprint0 -fprintf -files0-from -printf -newerXY",
}


def variants(option: str):
    """An option as it is spelled with and without values, and abbreviated."""
    yield [option]
    for value in VALUES:
        yield [f"{option}={value}"]
        yield [option, value]
        if not option.startswith("--"):
            yield [option + value]
    for end in range(4, len(option)):
        yield [option[:end]]
        yield [f"{option[:end]}=./run"]


@pytest.mark.slow
@pytest.mark.parametrize("program", HELP, ids=" ".join)
def test_no_option_of_a_safe_command_does_harm(place, program):
    if not shutil.which(program[0]):
        pytest.skip(f"there is no {program[0]}")
    names = {name for command in HELP[program] for name in options(*command)} | set(EXTRA.get(program, "").split())
    argvs = [(*program, *variant) for name in sorted(names) for variant in variants(name)]
    safe = [argv for argv in argvs if objection(argv) is None]
    found = {argv: done for argv in safe if (done := harm(place, argv))}
    assert found == {}
    assert len(safe) > 50 or program[0] in {"sed", "which"}


@pytest.mark.parametrize(
    "argv", [("rg", "--pre", "./run", "one"), ("git", "log", "--output=out"), ("git", "branch", "a")]
)
def test_what_is_not_safe_would_be_noticed(place, argv):
    if not shutil.which(argv[0]):
        pytest.skip(f"there is no {argv[0]}")
    assert harm(place, argv)


HOSTILE = ["--pre=xz", "--output=out", "-delete", "-exec", "-z", "-i", "--help", "a b", "-o"]
SCRIPTS = [
    "ls *",
    "cat *",
    "grep one *",
    "head -n 1 * | wc *",
    "rg one ./* a*",
    "find ./* -name '*'",
    "git log -- ./*",
]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_names_of_files_do_no_harm(place, script):
    """Whatever lies in a folder, what a wildcard makes of it changes nothing and starts nothing."""
    for name in HOSTILE:
        (place / "work" / name).write_text("one\n")
    assert objection(("bash", "-c", script)) is None
    assert harm(place, ("bash", "-c", script)) == ""


def test_the_names_of_files_could_do_harm(place):
    if not shutil.which("rg"):
        pytest.skip("there is no rg")
    (place / "work" / "--pre=xz").write_text("one\n")
    assert "started" in harm(place, ("bash", "-c", "rg one *xz a.txt"))
    assert objection(("bash", "-c", "rg one *xz a.txt"))
