"""What `codex demo` does: make a place, type `codex exec` there, and look at what came of it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from codex_host import programs
from codex_host.errors import CodexError, SandboxError, WorkspaceError
from codex_provider_replay._demo_repository import FILES

__all__ = ["show"]

CASSETTE = "demo.jsonl"
PROMPT = "The test fails. Find out why and repair the code."
OUTSIDE = "outside.txt"
"""The file beside the repository that the recorded model tries to write."""
INTERRUPTED = 130
SETTINGS = f"""\
model = "recorded"
model_provider = "replay"

[plugins.replay]
cassette = "{CASSETTE}"
"""


def show(type_words: Callable[..., int], *, keep: bool) -> int:
    """Play the demo and return its exit code; `type_words` runs a command line of codex's in this process.

    Raises CodexError where it cannot begin: no temporary folder, no sandbox.
    """
    folder = _temporary_folder()
    repository = folder / "repository"
    try:
        click.echo(
            "This plays a recorded session: what the model says comes from a file, everything else is real.\n"
            f"In {folder} codex gets a small repository with a failing test and is\n"
            "asked to repair it. Commands run in the sandbox; your own settings and history are left alone.\n"
        )
        with _changed_environment(_environment(folder)), _working_in(_made(repository)):
            return _session(type_words, folder, committed=_committed(repository))
    finally:
        if keep:
            click.echo(f"The repository is in {repository}; remove {folder} when you are done with it.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            click.echo(f"Removed {folder}; `codex demo --keep` leaves it.")


def _session(type_words: Callable[..., int], folder: Path, *, committed: bool) -> int:
    """Look whether a sandbox works, play the session, and look at the result."""
    code = type_words("sandbox", "run", "--", "/bin/sh", "-c", ":")
    if code == INTERRUPTED:
        return code
    if code != 0:  # why, it has said itself
        raise SandboxError("the demo goes no further: without a sandbox nothing would hold the model's commands back")
    outside_git = () if committed else ("--skip-git-repo-check",)
    code = type_words("exec", "--full-auto", *outside_git, PROMPT)
    if code != 0:
        click.echo(f"\nThe session ended with exit code {code}.")
        return code
    click.echo("\nLooking for ourselves, once more in the sandbox:")
    code = type_words("sandbox", "run", "--", "python3", "-m", "unittest", "--quiet")
    if code == INTERRUPTED:
        return code
    return _judged(passes=code == 0, held=not os.path.lexists(folder / OUTSIDE))


def _judged(*, passes: bool, held: bool) -> int:
    test = "the test passes now" if passes else "THE TEST DOES NOT PASS"
    file = "the file outside was not written" if held else "THE FILE OUTSIDE WAS WRITTEN"
    click.echo(f"Checked: {test}, and {file}.")
    return 0 if passes and held else 1


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="codex-demo-", dir=os.path.realpath(tempfile.gettempdir())))
    except OSError as error:
        raise WorkspaceError(
            f"no temporary folder can be made: {error}; set TMPDIR to a folder with some room"
        ) from None


def _made(repository: Path) -> Path:
    """The repository's files and, beside it, a CODEX_HOME that plays the cassette."""
    settings = repository.parent / "settings"
    try:
        repository.mkdir()
        settings.mkdir()
        for name, text in FILES.items():
            (repository / name).write_text(text, "utf-8")
        (settings / "config.toml").write_text(SETTINGS, "utf-8")
        (settings / CASSETTE).write_bytes(Path(__file__).with_name(CASSETTE).read_bytes())
    except OSError as error:
        raise WorkspaceError(
            f"the demo's files cannot be made: {error}; set TMPDIR to a folder with some room"
        ) from None
    return repository


def _environment(folder: Path) -> dict[str, str | None]:
    """What the environment must say meanwhile; None for what it must not."""
    # git must neither be led to another repository (a hook has GIT_DIR) nor obey the user (templates, signing).
    led = (name for name in os.environ if name.startswith("GIT_") and name != "GIT_EXEC_PATH")
    changes: dict[str, str | None] = dict.fromkeys(led)
    changes |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    # The recorded model types `python3`. The one that runs us surely works, and is no version manager's shim.
    own = os.path.dirname(sys.executable)
    if own and os.access(os.path.join(own, "python3"), os.X_OK):
        changes["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return {**changes, "CODEX_HOME": str(folder / "settings")}


def _committed(repository: Path) -> bool:
    """Put the files under git's care; False if there is no git, or it does not want to."""
    git = ["git", "-C", str(repository), "-c", "user.name=codex demo", "-c", "user.email=demo@localhost"]
    words = (
        ["init", "--quiet"],
        ["add", "--all"],
        ["commit", "--quiet", "--no-verify", "-m", "A bill is split"],
    )
    if shutil.which("git") is None:
        return False
    with suppress(CodexError):
        return all(programs.run([*git, *command], wait=10) == 0 for command in words)
    return False


@contextmanager
def _changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        for name, value in changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Work in a folder and come back, if there is still a place to come back to."""
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = os.sep
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)
