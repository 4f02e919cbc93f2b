"""The tool with which the model runs commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from codex_host.config import Config
from codex_host.hookspecs import hookimpl
from codex_host.items import Effects, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset, Workbench
from codex_tool_shell._answer import answer
from codex_tool_shell._arguments import parse
from codex_tool_shell._excerpt import Limits

__all__ = ["ShellTool", "ShellToolset"]

_SPEC = ToolSpec(
    name="shell",
    description='Runs a program and returns its output. For a line of shell use ["bash", "-lc", LINE].',
    parameters={
        "type": "object",
        "properties": {
            "command": {"type": "array", "items": {"type": "string"}},
            "workdir": {"type": "string"},
            "timeout": {"type": "number", "description": "milliseconds; 10000 if left out"},
        },
        "required": ["command"],
        "additionalProperties": False,
    },
    effects=Effects.ACTIONS,
)


class ShellTool(Tool):
    """Runs one command on the workbench and shows the model its outcome."""

    spec = _SPEC
    synonyms: ClassVar[tuple[str, ...]] = ("container.exec",)
    """Names that some models call this tool by, although only `shell` is offered."""

    def __init__(self, workbench: Workbench, limits: Limits) -> None:
        self._workbench = workbench
        self._limits = limits

    async def call(self, call: ToolCall) -> ToolResult:
        """Run what the arguments ask for. Raises ToolError if they ask for nothing that can be run."""
        command = parse(call.decoded(), self._workbench.cwd)
        return answer(await self._workbench.perform(call.call_id, command), self._limits, self._workbench.cwd)


class ShellToolset(Toolset):
    """The shell tool alone."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """One tool, `shell`."""
        return [ShellTool(workbench, self._limits)]


@hookimpl
def codex_toolset(name: str, config: Config) -> Toolset | None:
    """The toolset `shell`; `[plugins.shell]` takes `max_bytes` and `max_lines`."""
    return ShellToolset(Limits.of(config, "shell")) if name == "shell" else None
