"""Running commands: start, output, time-out, end of the whole tree. The one place where processes begin.

A sandbox describes how a command is started (`Launch`); everything about the running process is here, the same for all
sandboxes. A command has no standard input unless it is given `Streams`, one pipe for both output streams (so that they
stay in order), and a session of its own. Its output is always read, whoever is slow; a descendant that keeps the pipe
open holds up nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread

from codex_host._output import OutputKeeper
from codex_host._tree import MARKER, end_tree, signal_tree, tree_lives
from codex_host.actions import Exec, Output
from codex_host.errors import SandboxError
from codex_host.parts import Launch
from codex_host.text import shorten

__all__ = ["Ended", "Running", "Streams", "end_all", "is_nowhere", "not_started", "run", "run_attached"]

TERM_GRACE = 2.0
INTERRUPT_GRACE = 0.5
DRAIN_TIME = 0.2
UNKILLABLE_TIME = 2.0
LOOKING_INTERVAL = 0.05
"""Seconds: from the polite signal to the other one, on a time-out and on an interrupt; how long the output of a command
that has ended is still waited for, and the end of one that was killed; and how often it is looked whether something is
left of a command under a signal."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `exit_code` is 0 to 255, or minus the number of a signal."""

    exit_code: int
    output: Output
    seconds: float
    timed_out: bool = False


@dataclass(slots=True)
class Running:
    """A process under way. `ended` is set when it has ended, `over` then or when it is to be ended.

    `grace` is how many seconds it has then to end by itself.
    """

    process: subprocess.Popen[bytes]
    marker: str
    ended: anyio.Event
    over: anyio.Event
    grace: float = TERM_GRACE

    def signal(self, number: int) -> None:
        """Send a signal to all that came of it; nothing once it is over."""
        if not self.over.is_set():
            signal_tree(self.process.pid, self.marker, number)


@dataclass(slots=True)
class Streams:
    """What a command reads and writes: its own ends, and ours to read its output from. `run` closes them all."""

    input: int
    output: int
    reading: int


def _output_alone() -> Streams:
    """The null device to read, and a pipe to write."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        reading, output = os.pipe()
    except OSError:
        os.close(null)
        raise
    return Streams(null, output, reading)


async def run(
    launch: Launch,
    timeout: float | None,
    show: Callable[[str], None],
    streams: Callable[[], Streams] = _output_alone,
    begun: Callable[[Running], object] = lambda running: None,
) -> Ended:
    """Run a launch to its end; `show` gets its output as text while it comes.

    `streams` opens what it reads and writes, `begun` gets the process once there is one. `timeout` is in seconds.
    Raises OSError or ValueError if the program cannot be started, and SandboxError if `launch.restrict` fails. When
    cancelled it ends the whole tree before it lets go. `launch.close` is called in every case.
    """
    marker = uuid.uuid4().hex
    launch = replace(launch, env={**launch.env, MARKER: marker})
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if launch.close is not None:
            stack.callback(launch.close)
        ends = streams()
        stack.callback(os.close, ends.reading)
        with anyio.CancelScope(shield=True):  # a process that has started must not be forgotten
            try:
                process = await anyio.to_thread.run_sync(_start, launch, ends)
            finally:
                for descriptor in {ends.input, ends.output}:
                    os.close(descriptor)
        running = Running(process, marker, anyio.Event(), anyio.Event())
        keeper = OutputKeeper(show, flooded=running.over.set)
        closed = stack.enter_context(_reading(ends.reading, keeper))
        begun(running)
        _live[process.pid] = running
        stack.callback(_live.pop, process.pid)
        with _watching(running):
            timed_out = await _until_over(running, timeout)
        with anyio.move_on_after(DRAIN_TIME, shield=True):
            await closed.wait()
    return Ended(process.returncode, keeper.output(), time.monotonic() - began, timed_out)


def end_all() -> None:
    """Kill every command that is under way, without waiting; for a process that is about to end at once."""
    for running in list(_live.values()):
        end_tree(running.process.pid, running.marker, search=True)


async def _until_over(running: Running, timeout: float | None) -> bool:
    """Wait for the end or bring it about, and leave nothing running; whether the time ran out."""
    grace = INTERRUPT_GRACE
    try:
        with anyio.move_on_after(timeout) as limit:
            await running.over.wait()
        grace = running.grace
        return limit.cancelled_caught
    finally:
        with anyio.CancelScope(shield=True):
            forced = not running.ended.is_set()
            if forced:
                signal_tree(running.process.pid, running.marker, signal.SIGTERM)
                with anyio.move_on_after(grace):
                    await running.ended.wait()
                    while tree_lives(running.process.pid, running.marker):  # noqa: ASYNC110 - nothing would set an event
                        await anyio.sleep(LOOKING_INTERVAL)
            end_tree(running.process.pid, running.marker, search=forced)
            with anyio.move_on_after(UNKILLABLE_TIME):
                await running.ended.wait()
            if running.process.poll() is None:  # not ours to kill (it runs as somebody else), or stuck in the kernel
                running.process.returncode = -signal.SIGKILL


_live: dict[int, Running] = {}


@contextlib.contextmanager
def _reading(descriptor: int, keeper: OutputKeeper) -> Iterator[anyio.Event]:
    """Read the pipe whenever there is something; the event is set at its end."""
    loop = asyncio.get_running_loop()
    closed = anyio.Event()

    def readable() -> None:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        except OSError:  # how a terminal says that nobody writes to it any more
            data = b""
        if data:
            keeper.feed(data)
        else:
            loop.remove_reader(descriptor)
            closed.set()

    os.set_blocking(descriptor, False)
    loop.add_reader(descriptor, readable)
    try:
        yield closed
    finally:
        loop.remove_reader(descriptor)
        keeper.close()


@contextlib.contextmanager
def _watching(running: Running) -> Iterator[None]:
    """Set the events when the process ends, without waiting for it: until then its number can mean nothing else."""
    loop = asyncio.get_running_loop()

    def ended() -> None:
        if descriptor is not None:
            loop.remove_reader(descriptor)
        running.ended.set()
        running.over.set()

    descriptor = _process_descriptor(running.process.pid)
    if descriptor is None:
        threading.Thread(target=_wait_elsewhere, args=(running.process, loop, ended), daemon=True).start()
        yield
        return
    loop.add_reader(descriptor, ended)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _process_descriptor(process: int) -> int | None:
    """A descriptor that becomes readable at the process's end, None where there is none (no descriptors left, say)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(process)
    return None


def _wait_elsewhere(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, ended: Callable[[], None]
) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()
    with contextlib.suppress(RuntimeError):  # the loop may be gone
        loop.call_soon_threadsafe(ended)


def _start(launch: Launch, streams: Streams) -> subprocess.Popen[bytes]:
    """Start a launch, in a fresh thread if it restricts itself; called in a worker thread."""
    if not launch.argv:
        raise ValueError("the command is empty")
    ends = {"stdin": streams.input, "stdout": streams.output, "stderr": streams.output}
    return _restricted(launch, {**ends, "start_new_session": True})


def _restricted(launch: Launch, how: dict[str, Any]) -> subprocess.Popen[bytes]:
    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(launch.argv, env=launch.env, cwd=launch.cwd, pass_fds=launch.pass_fds, **how)

    if launch.restrict is None:
        return popen()
    restrict = launch.restrict
    started: list[subprocess.Popen[bytes]] = []
    failed: list[Exception] = []

    def restricted() -> None:
        try:
            restrict()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may run now
            failed.append(SandboxError(f"the sandbox could not be set up, so the command was not run: {error}"))
            return
        try:
            started.append(popen())
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked, not to this thread
            failed.append(error)

    thread = threading.Thread(target=restricted, name="restricted start")
    with _without_garbage_collection():
        thread.start()
        thread.join()
    if failed:
        raise failed[0]
    return started[0]


_starting = threading.Lock()


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Finalizers would run in whichever thread allocates, and in a restricted one they fail; one start at a time."""
    with _starting:
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()


def is_nowhere(program: str) -> bool:
    """Whether no folder of PATH has such a program; a folder that may not be entered makes that a PermissionError."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.sep not in program and not any(os.path.exists(os.path.join(folder, program)) for folder in folders)


def not_started(command: Exec, error: Exception) -> str:
    """Why a command did not start, for the model."""
    if not command.argv:
        return "the command is empty"
    if isinstance(error, OSError) and str(error.filename) == str(command.cwd):
        return f"the folder {command.cwd} cannot be entered: {error.strerror}"
    program = shorten(command.argv[0], 200)
    if isinstance(error, FileNotFoundError) or (isinstance(error, PermissionError) and is_nowhere(command.argv[0])):
        return f"there is no program called {program!r}"
    return f"{program!r} cannot be started: {getattr(error, 'strerror', None) or error}"


async def run_attached(launch: Launch) -> int:
    """Run a launch in this terminal, with its streams, and wait for it: 0 to 255, or minus a signal's number.

    For `sandbox run`. Signals from the keyboard reach the command itself, so the caller ignores them meanwhile; SIGTERM
    and SIGHUP are passed on to it. Raises as `run` does.
    """
    loop = asyncio.get_running_loop()
    try:
        process = await anyio.to_thread.run_sync(_restricted, launch, {})
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, process.send_signal, number)
        return await anyio.to_thread.run_sync(process.wait)
    finally:
        if launch.close is not None:
            launch.close()
