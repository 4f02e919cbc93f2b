"""The tool: what it understands, what watchers and the model get, and a whole session with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import codex_tool_plan
import pytest

from codex_host.errors import ToolError
from codex_host.events import ActionStarted, PlanChanged, PlanStep, StepStatus
from codex_host.items import Effects, ToolCall
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play
from codex_host.testing.toolset import ToolsetContract
from codex_host.testing.workbench import ScriptedWorkbench

PLAN = {
    "explanation": "tests first",
    "plan": [
        {"step": "Look", "status": "completed"},
        {"step": "Write a test", "status": "in_progress"},
        {"step": "Repair", "status": "pending"},
    ],
}
SHOWN = PlanChanged(
    (
        PlanStep("Look", StepStatus.COMPLETED),
        PlanStep("Write a test", StepStatus.IN_PROGRESS),
        PlanStep("Repair", StepStatus.PENDING),
    ),
    "tests first",
)


class TestPlan(ToolsetContract):
    module = codex_tool_plan
    name = "plan"


def called(arguments) -> tuple[str, list[PlanChanged]]:
    bench = ScriptedWorkbench(Path("/project"))

    async def run():
        (tool,) = await codex_tool_plan.PlanToolset().open(bench)
        assert tool.spec.effects is Effects.NONE
        return await tool.call(ToolCall("c", "update_plan", json.dumps(arguments)))

    result = asyncio.run(run())
    assert result.success
    return result.text, bench.plans


def test_the_plan_is_shown():
    assert called(PLAN) == ("Plan updated.", [SHOWN])
    assert called({"plan": []})[1] == [PlanChanged(())]


def test_careless_forms():
    shown = [PlanChanged((PlanStep("Look"), PlanStep("Act")))]
    assert called({"plan": ["Look", {"step": "Act"}], "explanation": None})[1] == shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "expected a list"),
        ({"plan": "look"}, "expected a list"),
        ({"plan": [{"step": " "}]}, "entry 0 has no `step`"),
        ({"plan": ["a", 3]}, "entry 1 has no `step`"),
        ({"plan": [{"step": "a", "status": "done"}]}, "`status` is one of pending, in_progress, completed"),
        ({"plan": [{"step": "a", "status": ["x"]}]}, "`status` is one of"),
        ({"plan": [{"step": text, "status": "in_progress"} for text in "ab"]}, "at most one step"),
    ],
)
def test_a_plan_that_makes_no_sense_is_explained(arguments, reason):
    with pytest.raises(ToolError, match=reason):
        called(arguments)


@pytest.mark.parametrize("wire", ["responses", "chat"])
def test_in_a_session_nobody_is_asked_and_everybody_is_told(tmp_path, wire):
    audience = Watching()
    script = [
        Reply(Call("update_plan", PLAN, "first")),
        Reply(Call("todo_list", {"plan": []})),
        Reply(Say("Done.")),
    ]
    with ModelServer(script) as server:
        (ending,) = play(make_host(tmp_path, server.base_url, wire=wire), audience, "go")
    assert ending.exit_code == 0
    assert audience.of(PlanChanged) == [SHOWN, PlanChanged(())]
    assert (audience.questions, audience.of(ActionStarted)) == ([], [])
    assert "update_plan" in server.requests[0].tool_names
    assert server.requests[1].tool_outputs["first"] == "Plan updated."


def test_codex_exec_prints_it(tmp_path, run_codex):
    with ModelServer([Reply(Call("update_plan", PLAN)), Reply(Say("Done."))]) as server:
        table = f"model_providers.t={{name='T',base_url='{server.base_url}',wire_api='responses'}}"
        words = ["-m", "m", "--model-provider", "t", "-c", table, "go"]
        done = run_codex("exec", "--skip-git-repo-check", *words).assert_success()
    shown = "plan: tests first\n    [x] Look\n    [>] Write a test\n    [ ] Repair\n"
    assert shown in done.stderr
    assert done.stdout == "Done.\n"
