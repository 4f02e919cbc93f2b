"""Commands that are kept running: with an input, in a terminal if that is wanted, and ended with the session.

Each has a task of its own beside the session's, so the interrupt of a task does not reach it. A terminal (pty) is made
here and handed over as open descriptors, so it works in a sandbox that closes /dev. It is nobody's controlling
terminal: Ctrl-C is a signal that the host sends (`RunningCommand.interrupt`) and not a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from codex_host._output import OutputKeeper
from codex_host._process import INTERRUPT_GRACE, Ended, Running, Streams, run
from codex_host.actions import Failed, Output, Ran
from codex_host.errors import ToolError
from codex_host.parts import Launch

__all__ = ["LiveCommand", "RunningCommands", "Work"]

WRITING_TIME = 5.0
WRITING_INTERVAL = 0.01
"""Seconds that a command has to read what it is sent, and how often it is looked whether it does."""
_ROWS, _COLUMNS = 24, 80
_END_OF_INPUT = b"\x04"  # of a terminal


@dataclass(frozen=True, slots=True)
class Work:
    """One command to keep running. `finish` makes of its end what watchers and the model are told.

    `fed` is whether it may be written to.
    """

    launch: Launch
    timeout: float | None
    terminal: bool
    fed: bool
    show: Callable[[str], None]
    finish: Callable[[Ended], Ran | Failed]


class LiveCommand:
    """The host's side of the protocol `codex_host.running.RunningCommand`; made by `RunningCommands.start`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._over = anyio.Event()
        self._running: Running | None = None
        self._outcome: Ran | Failed | None = None
        self._unread = _keeper()
        self._input: int | None = None
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def outcome(self) -> Ran | Failed | None:
        return self._outcome

    async def output(self, wait: float) -> Output:
        with anyio.move_on_after(wait):
            await self._over.wait()
        unread, self._unread = self._unread, _keeper()
        return unread.output()

    async def write(self, text: str) -> None:
        if not self._work.fed:
            raise ToolError(
                "nothing can be sent to it: it runs without a sandbox, and nobody could review what is sent"
            )
        data = text.encode("utf-8", "replace")
        with anyio.move_on_after(WRITING_TIME):
            while data:
                data = data[self._written(data) :]
                if data:
                    await anyio.sleep(WRITING_INTERVAL)
        if data:
            raise ToolError(f"it does not read what it is sent; {len(data)} bytes are left")

    def _written(self, data: bytes) -> int:
        if self._input is None:
            raise ToolError("it has ended, or its input was closed")
        try:
            return os.write(self._input, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ToolError(f"it reads nothing any more: {error.strerror}") from None

    def close_input(self) -> None:
        if self._input is not None and self._work.terminal:
            with contextlib.suppress(OSError):
                os.write(self._input, _END_OF_INPUT)
        else:
            self._drop_input()

    def interrupt(self) -> None:
        if self._running is not None:
            self._running.signal(signal.SIGINT)

    def end(self, grace: float | None = None) -> None:
        if self._running is not None:
            self._running.grace = grace if grace is not None else self._running.grace
            self._running.over.set()

    async def live(self) -> None:
        """The command's whole life; raises as `_process.run` does if it does not even start."""
        work = self._work
        launch = replace(work.launch, env={**work.launch.env, "TERM": "dumb"}) if work.terminal else work.launch
        try:
            ended = await run(launch, self._work.timeout, self._show, self._streams, self._begin)
            self._outcome = self._work.finish(ended)
        finally:
            if self._outcome is None:
                self._outcome = Failed("how it ended is not known")
            self._drop_input()
            self._over.set()

    def _streams(self) -> Streams:
        streams, self._input = _terminal() if self._work.terminal else _pipes()
        return streams

    def _begin(self, running: Running) -> None:
        self._running = running
        self.begun.set_result(None)

    def _show(self, text: str) -> None:
        self._unread.feed(text.encode("utf-8", "replace"))
        self._work.show(text)

    def _drop_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None


class RunningCommands:
    """All commands of a session that are kept running."""

    def __init__(self) -> None:
        self._lives: dict[asyncio.Future[None], LiveCommand] = {}

    async def close(self) -> None:
        """End those that still run; may be called again."""
        with anyio.CancelScope(shield=True):
            for command in self._lives.values():
                command.end(INTERRUPT_GRACE)
            if lives := tuple(self._lives):
                await asyncio.wait(lives)
            for life in lives:
                life.result()  # a bug of ours is not hidden

    async def start(self, work: Work) -> LiveCommand:
        """Start a command; it runs when this returns. Raises as `_process.run` does."""
        command = LiveCommand(work)
        life = asyncio.ensure_future(command.live())
        try:
            await asyncio.wait([life, command.begun], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            life.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([life])
            raise
        if not command.begun.done():
            life.result()
        self._lives[life] = command
        life.add_done_callback(self._lives.pop)
        return command


def _keeper() -> OutputKeeper:
    return OutputKeeper(lambda text: None, flooded=lambda: None)


def _pipes() -> tuple[Streams, int]:
    """A pipe to the command and one from it; the second value is our end to write to."""
    reading, output = os.pipe()
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    return Streams(theirs, output, reading), ours


def _terminal() -> tuple[Streams, int]:
    """A terminal of its own for the command, of the usual size."""
    if not hasattr(os, "openpty"):
        raise ValueError("this platform has no terminals to give to a command; start it without one")
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    writing = os.dup(ours)
    os.set_blocking(writing, False)
    return Streams(theirs, theirs, ours), writing
