"""The frontend itself: where the prompt comes from, the run, and where the answer goes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codex_frontend_exec._progress import Progress
from codex_host.config import STANDARD_POLICIES, Config
from codex_host.errors import CodexError, UsageError, WorkspaceError
from codex_host.events import Ending, EndingKind
from codex_host.parts import Frontend, Host
from codex_host.text import neutralise

__all__ = ["Exec"]


class Exec(Frontend):
    """Run one prompt without asking anything: progress goes to standard error, the answer to standard output.

    Where both are the same terminal the answer is there already, as a part of the progress, and is not printed again.
    The three standard approval policies are replaced by `never`; another configured one stays, and each question it
    asks counts as refused.
    """

    def parameters(self) -> Sequence[click.Parameter]:
        return [
            click.Argument(["prompt"], required=False),
            click.Option(
                ["--color"],
                type=click.Choice(["always", "never", "auto"]),
                default="auto",
                help="Colours in the progress; `auto` asks the terminal and NO_COLOR.",
            ),
        ]

    def settings(self, options: Mapping[str, Any], config: Config) -> Mapping[str, Any]:
        return {"approval_policy": "never"} if config.approval_policy in STANDARD_POLICIES else {}

    async def run(self, host: Host, options: Mapping[str, Any]) -> Ending | None:
        prompt = await _prompt(options["prompt"])
        if not options["skip_git_repo_check"] and not _in_git_work_tree(host.cwd):
            raise WorkspaceError(
                f"{host.cwd} is in no git work tree, so changes could not be taken back; "
                "run `git init` there, or add --skip-git-repo-check"
            )
        progress = Progress(sys.stderr, colour=_colour(options["color"]))
        async with host.open(progress) as conversation:
            ending = await conversation.submit(prompt)
        progress.summary(ending)
        if ending.kind is EndingKind.ANSWERED and not progress.shows_on(sys.stdout):
            _print(ending.message)
        return ending


def _print(answer: str) -> None:
    """Write the answer to standard output, as it is unless that is a terminal. Raises CodexError if it cannot be."""
    stream = sys.stdout
    if stream is None:
        raise CodexError("standard output is closed, so the answer cannot be written to it")
    shown = neutralise(answer) if stream.isatty() else answer
    encoding = stream.encoding or "utf-8"
    try:
        print(shown.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python tries it once more at its end
        raise CodexError(f"the answer cannot be written to standard output: {error.strerror}") from error


async def _prompt(given: str | None) -> str:
    """The prompt from the command line; from standard input for `-`, or if there is none and it is no terminal."""
    if given is not None and given != "-":
        prompt = given
    elif sys.stdin is None or (given is None and sys.stdin.isatty()):
        raise UsageError("there is no prompt; give it as an argument, or on standard input with `codex exec -`")
    else:
        prompt = (await _standard_input()).decode("utf-8", "replace")
    if not prompt.strip():
        raise UsageError("the prompt is empty")
    return prompt


async def _standard_input() -> bytes:
    """All of standard input, read by a thread that holds up nobody: a signal ends the wait, and the program."""
    loop = asyncio.get_running_loop()
    read: asyncio.Future[bytes] = loop.create_future()

    def done(data: bytes) -> None:
        if not read.done():
            read.set_result(data)

    def work() -> None:
        pieces = []
        with contextlib.suppress(OSError):
            while piece := os.read(0, 1 << 16):  # not `sys.stdin`, whose lock Python wants at its end
                pieces.append(piece)
        with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
            loop.call_soon_threadsafe(done, b"".join(pieces))

    threading.Thread(target=work, name="standard input", daemon=True).start()
    return await read


def _in_git_work_tree(folder: Path) -> bool:
    """Whether the folder or one above it has an entry `.git`; git itself is not needed for that."""
    return any(os.path.lexists(ancestor / ".git") for ancestor in (folder, *folder.parents))


def _colour(choice: str) -> bool:
    """Whether progress is coloured (no-color.org)."""
    if choice == "auto":
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return wanted and sys.stderr is not None and sys.stderr.isatty()
    return choice == "always"
