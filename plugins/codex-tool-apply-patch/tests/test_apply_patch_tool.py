"""The tool: arguments, what it asks of the host, and what the model is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import codex_tool_apply_patch
import pytest

from codex_host.actions import DeleteFile, Exec, Failed, FileDiff, Patch, Patched, Refused, Used
from codex_host.config import Config
from codex_host.errors import ToolError
from codex_host.items import Effects, ToolCall, ToolResult

PATCH = "*** Begin Patch\n*** Delete File: a\n*** End Patch"
CWD = Path("/project")


class Bench:
    """A workbench that notes what it is asked and answers with what it was given."""

    cwd = CWD

    def __init__(self, outcome):
        self.outcome = outcome
        self.asked = []

    async def perform(self, call_id, action):
        self.asked.append((call_id, action))
        return self.outcome

    def emit(self, event):
        raise AssertionError(event)


def toolset():
    return codex_tool_apply_patch.codex_toolset(name="apply_patch", config=Config(home=Path("/home")))


def called(outcome, arguments: str) -> tuple[ToolResult, Bench]:
    bench = Bench(outcome)

    async def run():
        async with toolset() as tools:
            (tool,) = await tools.open(bench)
            return await tool.call(ToolCall("c1", "apply_patch", arguments))

    return asyncio.run(run()), bench


def test_the_hook_knows_its_name():
    assert codex_tool_apply_patch.codex_toolset(name="other", config=Config(home=Path("/home"))) is None
    (tool,) = asyncio.run(toolset().open(Bench(None)))
    assert tool.spec.name == "apply_patch"
    assert tool.spec.effects is Effects.ACTIONS
    json.dumps(tool.spec.parameters)


@pytest.mark.parametrize("arguments", [json.dumps({"input": PATCH}), json.dumps({"patch": PATCH}), PATCH])
def test_the_patch_is_performed_and_summed_up(arguments):
    files = (
        FileDiff(CWD / "gone", "delete", ""),
        FileDiff(CWD / "changed", "update", ""),
        FileDiff(CWD / "from", "update", "", CWD / "sub/to"),
        FileDiff(Path("/else/new"), "add", ""),
    )
    result, bench = called(Patched(files), arguments)
    assert bench.asked == [("c1", Patch((DeleteFile(CWD / "a"),)))]
    assert result.success
    assert result.text.splitlines() == [
        "Success. Updated the following files:",
        "A /else/new",
        "M changed",
        "M sub/to",
        "D gone",
        "D from",
    ]


def test_what_went_wrong_is_told():
    result, _ = called(Refused("user", "not now"), PATCH)
    assert (result.success, result.text) == (False, "patch rejected by user: not now")
    result, _ = called(Failed("it does not fit"), PATCH)
    assert (result.success, result.text) == (False, "error: it does not fit")
    assert called(Patched(()), PATCH)[0].text == "Success. No file is different from before."
    with pytest.raises(ToolError, match="Used"):
        called(Used(ToolResult("")), PATCH)


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "[]", "{}", '{"input": 3}', '{"input": ["x"]}', "[" * 100_000, '{"input": "rubbish"}'],
)
def test_arguments_that_make_no_sense_are_explained(arguments):
    with pytest.raises(ToolError):
        called(Patched(()), arguments)


def test_commands_are_interpreted():
    tools = toolset()
    assert tools.interpret(Exec(("apply_patch", PATCH), CWD)) == Patch((DeleteFile(CWD / "a"),))
    assert tools.interpret(Exec(("ls",), CWD)) is None
