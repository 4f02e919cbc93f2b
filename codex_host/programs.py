"""Running programs of the user's own, for plugins: a notifier, an editor.

Not for what the model asks for: that goes through `Workbench.perform`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from codex_host._tree import USERS_OWN
from codex_host.errors import CodexError

__all__ = ["run", "run_attended"]


def run(argv: Sequence[str], *, wait: float) -> int | None:
    """Run a program with the user's whole environment and no standard input; its exit code, None if it goes on.

    Blocking. Waits at most `wait` seconds, then lets the program go on by itself. What it prints goes to this process's
    standard error, so that it never mixes with an answer on standard output. Raises CodexError if it cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
            stderr=sys.__stderr__,
            start_new_session=True,
            env={**os.environ, USERS_OWN: "1"},
        )
    except (OSError, ValueError) as error:
        raise CodexError(f"{argv[0]} cannot be started: {error}") from None
    try:
        return process.wait(wait)
    except subprocess.TimeoutExpired:
        process.returncode = 0  # it is on its own now; without this Python would warn that nobody waited for it
        return None


def run_attended(argv: Sequence[str]) -> int:
    """Run a program that the user works with, such as an editor, in this process's terminal; its exit code.

    Blocking, and for the main thread only. Ctrl-C is meant for the program meanwhile; a negative code is the signal
    that ended it. Raises CodexError if it cannot be started.
    """
    ours = signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN, which the program would inherit
    try:
        return subprocess.call(list(argv))
    except (OSError, ValueError) as error:
        raise CodexError(f"{argv[0]} cannot be started: {error}") from None
    finally:
        signal.signal(signal.SIGINT, ours)
