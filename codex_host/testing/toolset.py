"""What a toolset must keep to: subclass `ToolsetContract` in a pytest module.

    class TestMyTools(ToolsetContract):
        module = codex_tool_mine
        name = "mine"
        calls = {"touch": '{"path": "a.txt"}'}

Each tool with `Effects.ACTIONS` needs a call that makes it perform an action, so that the contract can see
what it makes of the outcomes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from itertools import repeat
from pathlib import Path
from typing import ClassVar

import pytest

from codex_host.actions import (
    Action,
    Denial,
    Exec,
    Failed,
    FileDiff,
    Outcome,
    Output,
    Patch,
    Patched,
    Ran,
    Refused,
    Use,
    Used,
)
from codex_host.errors import SandboxError, ToolError
from codex_host.items import Effects, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset
from codex_host.testing.contract import Contract
from codex_host.testing.workbench import ScriptedWorkbench

__all__ = ["ToolsetContract"]

_SENSELESS = {
    "text": "ls -l",
    "list": "[]",
    "null": "null",
    "number": "1e999",
    "torn": '{"a": "b',
    "deep": "[" * 9999,
}
_NOT_DONE = (Refused("user", "not now"), Refused("some-policy", "not now"), Failed("not now"))
_DENIAL = Denial("/etc/passwd", "nothing outside the writable folders", "disk-full-write-access")
_DIFF = FileDiff(Path("/project/a.txt"), "add", "+a\n")


class ToolsetContract(Contract):
    """The promises of a `codex_host.parts.Toolset` and its tools."""

    kind = "toolset"
    base: ClassVar[type] = Toolset
    calls: ClassVar[Mapping[str, str]] = {}
    """For each tool that performs actions, by its name: the arguments of a call that performs one."""

    def test_offers_tools_that_can_be_called(self, tmp_path: Path) -> None:
        """Names are unique and such as every server takes, descriptions not empty, parameters an object's."""
        specs = self.specs(tmp_path)
        assert len({spec.name for spec in specs}) == len(specs)
        for spec in specs:
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", spec.name)
            assert spec.description.strip()
            assert spec.parameters.get("type") == "object"
            json.dumps(spec.parameters)

    def test_does_nothing_before_a_call(self, tmp_path: Path) -> None:
        """Opening performs no action, and a toolset that was opened can be left at once, again and again."""
        for _ in range(2):
            assert asyncio.run(self._use(ScriptedWorkbench(tmp_path), None)) is None

    def test_names_its_calls(self, tmp_path: Path) -> None:
        """`calls` holds a call for each tool with `Effects.ACTIONS`; the test's own duty."""
        acting = {spec.name for spec in self.specs(tmp_path) if spec.effects is Effects.ACTIONS}
        assert acting == set(self.calls)

    @pytest.mark.parametrize("arguments", _SENSELESS.values(), ids=_SENSELESS)
    def test_explains_senseless_arguments(self, tmp_path: Path, arguments: str) -> None:
        """Arguments that are no JSON object end in a text for the model, not in an action or an error."""
        for spec in self.specs(tmp_path):
            bench = ScriptedWorkbench(tmp_path)
            result = self.answer(bench, ToolCall("call", spec.name, arguments))
            assert result.text.strip(), spec.name
            assert bench.actions == []

    def test_performs_in_the_name_of_the_call(self, tmp_path: Path) -> None:
        """Watchers can tell by the call id whose an action is; paths in actions are absolute."""
        for tool in self.calls:
            bench = self._bench(tool, Refused("user", "no"), tmp_path)
            assert set(bench.call_ids) == {f"call of {tool}"}
            assert all(path.is_absolute() for action in bench.actions for path in _paths(action))

    @pytest.mark.parametrize("outcome", _NOT_DONE, ids=repr)
    def test_tells_why_nothing_was_done(self, tmp_path: Path, outcome: Outcome) -> None:
        """The model reads the reason of a refusal or a failure, and nobody takes it for success."""
        for tool in self.calls:
            result = self.answer(ScriptedWorkbench(tmp_path, repeat(outcome)), self._call(tool))
            assert "not now" in result.text, tool
            assert not result.success, tool

    def test_has_an_answer_to_each_outcome(self, tmp_path: Path) -> None:
        """Whatever can come of an action, and be it a killed command, the model is told something."""
        for tool in self.calls:
            for outcome in _outcomes(self._bench(tool, Failed("no"), tmp_path).actions[0]):
                result = self.answer(ScriptedWorkbench(tmp_path, repeat(outcome)), self._call(tool))
                assert result.text.strip(), (tool, outcome)

    @pytest.mark.parametrize("error", [SandboxError("set-up failed"), asyncio.CancelledError("interrupt")])
    def test_lets_the_end_of_a_task_through(self, tmp_path: Path, error: BaseException) -> None:
        """A tool is in the way neither of an interrupt nor of a sandbox that broke."""
        for tool in self.calls:
            with pytest.raises(type(error)):
                self.answer(ScriptedWorkbench(tmp_path, repeat(error)), self._call(tool))

    def test_leaves_other_commands_alone(self, tmp_path: Path) -> None:
        """`interpret` is None for commands that are nobody's, before and after it is opened."""
        for argv in [("true",), ("no-such-program-at-all", "x"), ("bash", "-lc", "true"), ("",)]:
            assert self.make().interpret(Exec(argv, tmp_path)) is None

    # --- What the tests are made of -----------------------------------------------------------------------

    def specs(self, cwd: Path) -> list[ToolSpec]:
        """What the toolset offers."""

        async def opened() -> list[ToolSpec]:
            async with self.make() as toolset:
                return [tool.spec for tool in await toolset.open(ScriptedWorkbench(cwd))]

        return asyncio.run(opened())

    def answer(self, bench: ScriptedWorkbench, call: ToolCall) -> ToolResult:
        """What the model reads after this call, as the host tells it: a ToolError's text is an answer too."""
        result = asyncio.run(self._use(bench, call))
        assert isinstance(result, ToolResult)
        return result

    async def _use(self, bench: ScriptedWorkbench, call: ToolCall | None) -> ToolResult | None:
        async with self.make() as toolset:
            tools: dict[str, Tool] = {tool.spec.name: tool for tool in await toolset.open(bench)}
            assert bench.actions == []
            try:
                return await tools[call.name].call(call) if call else None
            except ToolError as error:
                return ToolResult(str(error), success=False)

    def _call(self, tool: str) -> ToolCall:
        return ToolCall(f"call of {tool}", tool, self.calls[tool])

    def _bench(self, tool: str, outcome: Outcome, cwd: Path) -> ScriptedWorkbench:
        """A workbench after this tool's call in `calls`."""
        bench = ScriptedWorkbench(cwd, repeat(outcome))
        self.answer(bench, self._call(tool))
        assert bench.actions, f"calls[{tool!r}] performs nothing"
        return bench


def _paths(action: Action) -> Iterable[Path]:
    match action:
        case Exec(cwd=cwd):
            return [cwd]
        case Patch(changes=changes):
            return [change.path for change in changes]
        case Use():
            return []


def _outcomes(action: Action) -> list[Outcome]:
    """What the host may answer to such an action; a command may turn out to be a patch."""
    done = Patched((_DIFF,))
    used = Used(ToolResult("answer"))
    match action:
        case Exec():
            output = Output("beginning", "end", total=1_000_000, left_out=999_988)
            return [
                Ran(0, Output("fine\n", total=5), 0.1),
                Ran(1, output, 61.0, denial=_DENIAL),
                Ran(-9, Output(), 0.0),
                Ran(-15, output, 10.0, timed_out=True),
                Ran(0, Output("\x1b[1m\udc80\0\r", total=8), 0.1),
                done,
                used,
            ]
        case Patch():
            return [done, Patched((FileDiff(Path("/project/a"), "update", "", Path("/project/b")), _DIFF))]
        case Use():
            return [used]
