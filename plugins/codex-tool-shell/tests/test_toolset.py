import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import codex_tool_shell
import pytest
from codex_tool_shell import codex_toolset

from codex_host.actions import Exec, Output, Ran
from codex_host.config import Config
from codex_host.errors import ConfigError
from codex_host.items import ToolCall
from codex_host.testing.toolset import ToolsetContract
from codex_host.testing.workbench import ScriptedWorkbench


class TestShell(ToolsetContract):
    module = codex_tool_shell
    name = "shell"
    calls: ClassVar = {"shell": '{"command": ["ls", "-l"]}'}


def call(arguments, outcome=None, **settings):
    """The actions and the answer of one call."""
    config = Config(home=Path("/nowhere"), plugins={"shell": settings})
    bench = ScriptedWorkbench(Path("/project"), [outcome or Ran(0, Output("fine\n", total=5), 0.04)])

    async def run():
        [tool] = await codex_toolset("shell", config).open(bench)
        return await tool.call(ToolCall("c", "container.exec", json.dumps(arguments)))

    return bench.actions, asyncio.run(run())


def test_runs_the_command_and_shows_its_output():
    actions, result = call({"command": ["ls", "-l"], "workdir": "src", "timeout": 1500})
    assert actions == [Exec(("ls", "-l"), Path("/project/src"), 1.5)]
    assert json.loads(result.text) == {
        "output": "fine\n",
        "metadata": {"exit_code": 0, "duration_seconds": 0.0},
    }
    assert result.success


def test_limits_come_from_the_config():
    output = Output("".join(f"line {number}\n" for number in range(1000)))
    long = replace(output, total=len(output.head))
    _, result = call({"command": ["x"]}, Ran(0, long, 0.1), max_bytes=500)
    assert len(json.loads(result.text)["output"].encode()) <= 500
    _, result = call({"command": ["x"]}, Ran(0, long, 0.1), max_lines=10)
    assert json.loads(result.text)["output"].count("\n") == 10


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_lines": "many"}, "max_lines"),
        ({"max_lines": True}, "max_lines"),
        ({"max_byte": 100}, "max_byte"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        call({"command": ["x"]}, **settings)
