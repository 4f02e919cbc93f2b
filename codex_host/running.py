"""A command that goes on while the model does something else: what `Workbench.start` lends."""

from __future__ import annotations

from typing import Protocol

from codex_host.actions import Failed, Output, Ran

__all__ = ["RunningCommand"]


class RunningCommand(Protocol):
    """A server, a REPL, a long build: it outlives the call that started it, and the session ends it at the latest.

    An interrupt of the task leaves it alone. Its output is always read, and kept as a beginning and an end.
    """

    @property
    def outcome(self) -> Ran | Failed | None:
        """How it ended, with its output from its beginning; None while it runs."""

    async def output(self, wait: float) -> Output:
        """What it wrote since the last time this was asked; waits `wait` seconds, or until it has ended."""

    async def write(self, text: str) -> None:
        """Let it read this. Raises ToolError if it does not: its input is closed, full or not to be used."""

    def close_input(self) -> None:
        """Let it read the end of its input, after what was written."""

    def interrupt(self) -> None:
        """Send SIGINT to it and all that came of it, as the key Ctrl-C does."""

    def end(self) -> None:
        """Begin to end it and all that came of it: politely, then for good; `output` waits for that too."""
