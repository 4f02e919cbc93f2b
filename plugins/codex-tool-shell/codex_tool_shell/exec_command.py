"""The tools for commands that take long or never end: start one, send it input, look what it wrote, end it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from codex_host.actions import Failed, Output, Patched, Ran, Refused, Used
from codex_host.config import Config
from codex_host.errors import ToolError
from codex_host.hookspecs import hookimpl
from codex_host.items import Effects, Json, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset, Workbench
from codex_host.running import RunningCommand
from codex_tool_shell._answer import answer, still_running
from codex_tool_shell._arguments import milliseconds, parse_line, truth
from codex_tool_shell._excerpt import Limits

__all__ = ["ExecCommandTool", "ExecCommandToolset", "WriteStdinTool"]

MOST_RUNNING = 16
LONGEST_WAIT = 30_000
FIRST_WAIT = 10_000
NEXT_WAIT = 1_000  # all three in milliseconds
ENDING_TIME = 5.0  # seconds, more than the host takes
_INTERRUPT = "\x03"
_TEXT, _NUMBER, _TRUTH = {"type": "string"}, {"type": "number"}, {"type": "boolean"}

_EXEC_COMMAND = ToolSpec(
    name="exec_command",
    description="""\
Runs a line of shell that may take long or never end: a server, a REPL, a long build. Returns its output when it has \
ended or after yield_time_ms (10000 if left out); if it still runs, with a session_id for write_stdin.""",
    parameters={
        "type": "object",
        "properties": {
            "cmd": _TEXT,
            "workdir": _TEXT,
            "tty": {**_TRUTH, "description": "give it a terminal"},
            "yield_time_ms": _NUMBER,
        },
        "required": ["cmd"],
        "additionalProperties": False,
    },
    effects=Effects.ACTIONS,
)
_WRITE_STDIN = ToolSpec(
    name="write_stdin",
    description="""\
Sends chars to a command that exec_command left running (Ctrl-C is \\u0003), waits yield_time_ms (1000 if left out) \
and returns what it wrote since the last time. Without chars it only looks.""",
    parameters={
        "type": "object",
        "properties": {
            "session_id": _NUMBER,
            "chars": _TEXT,
            "close": {**_TRUTH, "description": "close its standard input after chars"},
            "end": {**_TRUTH, "description": "end it and all that it started"},
            "yield_time_ms": _NUMBER,
        },
        "required": ["session_id"],
        "additionalProperties": False,
    },
    effects=Effects.ACTIONS,
)


class Sessions:
    """The commands that were left running, by the number that the model knows; one that has ended is told once."""

    def __init__(self, workbench: Workbench, limits: Limits) -> None:
        self.workbench = workbench
        self._limits = limits
        self._left: dict[int, RunningCommand] = {}
        self._numbers = count(1)

    def add(self, command: RunningCommand) -> int:
        """A number for a command that goes on."""
        number = next(self._numbers)
        self._left[number] = command
        return number

    def check(self) -> None:
        """Raises ToolError if one more would be too many; one that has ended and was not told yet takes no room."""
        running = [number for number, command in self._left.items() if command.outcome is None]
        if len(running) >= MOST_RUNNING:
            raise ToolError(f"{MOST_RUNNING} commands are running, among them {min(running)}; end one first")

    def find(self, name: Any) -> tuple[int, RunningCommand]:
        """The command that a model means, with its number. Raises ToolError if there is none."""
        for number, command in self._left.items():
            if name in (number, str(number)) and name is not True:  # which equals 1
                return number, command
        known = ", ".join(map(str, self._left)) or "none"
        raise ToolError(f"`session_id`: no command {name!r} is running; there are: {known}")

    async def tell(self, number: int, wait: float) -> ToolResult:
        """What a command wrote since it was told before, and how it ended if it has."""
        command = self._left[number]
        output = await command.output(wait)
        output = replace(output, head=_plain(output.head), tail=_plain(output.tail))
        match command.outcome:
            case None:
                return still_running(output, number, self._limits)
            case outcome:
                del self._left[number]
                return self.told(outcome, output)

    def told(self, outcome: Ran | Patched | Used | Refused | Failed, output: Output | None = None) -> ToolResult:
        """What the model reads of a command that is over."""
        if isinstance(outcome, Ran) and output is not None:
            outcome = replace(outcome, output=output)
        return answer(outcome, self._limits, self.workbench.cwd)


class ExecCommandTool(Tool):
    """Starts a command and waits a while for its end."""

    spec = _EXEC_COMMAND

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def call(self, call: ToolCall) -> ToolResult:
        """Start what the arguments ask for. Raises ToolError if they ask for nothing that can be run."""
        arguments, bench = call.decoded(), self._sessions.workbench
        command = parse_line(arguments, bench.cwd)
        terminal = truth(arguments, "tty")
        wait = milliseconds(arguments, "yield_time_ms", FIRST_WAIT, LONGEST_WAIT) / 1000
        self._sessions.check()
        started = await bench.start(call.call_id, command, terminal=terminal)
        if isinstance(started, (Ran, Patched, Used, Refused, Failed)):
            return self._sessions.told(started)
        try:
            return await self._sessions.tell(self._sessions.add(started), wait)
        except asyncio.CancelledError:
            started.end()  # the model would never know its number
            raise


class WriteStdinTool(Tool):
    """Looks after a command that was left running.

    It needs no review: the command has had one, and whatever it is sent stays in the same sandbox.
    """

    spec = _WRITE_STDIN

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def call(self, call: ToolCall) -> ToolResult:
        """Do what the arguments ask for, in their order. Raises ToolError if there is no such command."""
        arguments = call.decoded()
        number, command = self._sessions.find(arguments.get("session_id"))
        end, wait = (
            truth(arguments, "end"),
            milliseconds(arguments, "yield_time_ms", NEXT_WAIT, LONGEST_WAIT) / 1000,
        )
        await _send(command, arguments)
        if end:
            command.end()
        return await self._sessions.tell(number, ENDING_TIME if end else wait)


async def _send(command: RunningCommand, arguments: Json) -> None:
    chars, close = arguments.get("chars") or "", truth(arguments, "close")
    if not isinstance(chars, str):
        raise ToolError("`chars`: expected a text")
    if command.outcome is not None:
        return  # it has ended: how, is told
    if chars == _INTERRUPT:
        command.interrupt()
    elif chars:
        await command.write(chars)
    if close:
        command.close_input()


def _plain(text: str) -> str:
    """Without the carriage returns that a terminal puts before each newline."""
    return text.replace("\r\n", "\n")


class ExecCommandToolset(Toolset):
    """The pair of tools."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """`exec_command` and `write_stdin`."""
        sessions = Sessions(workbench, self._limits)
        return [ExecCommandTool(sessions), WriteStdinTool(sessions)]


@hookimpl
def codex_toolset(name: str, config: Config) -> Toolset | None:
    """The toolset `exec_command`; `[plugins.exec_command]` takes `max_bytes` and `max_lines`."""
    return ExecCommandToolset(Limits.of(config, "exec_command")) if name == "exec_command" else None
