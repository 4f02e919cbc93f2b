"""The tool with which the model keeps a list of steps that people can watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from codex_host.errors import ToolError
from codex_host.events import PlanChanged, PlanStep, StepStatus
from codex_host.hookspecs import hookimpl
from codex_host.items import Effects, Json, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset, Workbench

__all__ = ["PlanTool", "PlanToolset"]

_STATUSES = [status.value for status in StepStatus]
_SPEC = ToolSpec(
    name="update_plan",
    description="""\
Shows the user the steps of your plan. Use it for work of several steps: call it with all steps when you begin, and \
again when one is completed or the plan changes. Each call replaces the plan; at most one step is in_progress.""",
    parameters={
        "type": "object",
        "properties": {
            "plan": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "step": {"type": "string"},
                        "status": {"type": "string", "enum": _STATUSES},
                    },
                    "required": ["step", "status"],
                    "additionalProperties": False,
                },
            },
            "explanation": {"type": "string", "description": "why the plan changed, if it did"},
        },
        "required": ["plan"],
        "additionalProperties": False,
    },
    effects=Effects.NONE,
)


class PlanTool(Tool):
    """Tells watchers the plan; the model's own copy of it is its call."""

    spec = _SPEC
    synonyms: ClassVar[tuple[str, ...]] = ("todo_list",)

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    async def call(self, call: ToolCall) -> ToolResult:
        """Show one plan. Raises ToolError for a plan that makes no sense."""
        self._workbench.emit(_plan(call.decoded()))
        return ToolResult("Plan updated.")


class PlanToolset(Toolset):
    """The plan tool alone."""

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """One tool, `update_plan`."""
        return [PlanTool(workbench)]


@hookimpl
def codex_toolset(name: str) -> Toolset | None:
    """The toolset `plan`; it has no settings."""
    return PlanToolset() if name == "plan" else None


def _plan(arguments: Json) -> PlanChanged:
    entries = arguments.get("plan")
    if not isinstance(entries, list):
        raise ToolError('`plan`: expected a list of {"step": TEXT, "status": STATUS}')
    steps = tuple(_step(number, entry) for number, entry in enumerate(entries))
    if sum(step.status is StepStatus.IN_PROGRESS for step in steps) > 1:
        raise ToolError("`plan`: at most one step can be in_progress; the others are pending or completed")
    explanation = arguments.get("explanation")
    return PlanChanged(steps, explanation if isinstance(explanation, str) else "")


def _step(number: int, entry: Any) -> PlanStep:
    """One entry; a bare text is a step that is still to be done."""
    if isinstance(entry, str):
        entry = {"step": entry}
    text = entry.get("step") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise ToolError(f"`plan`: entry {number} has no `step` that is a text")
    status = entry.get("status", StepStatus.PENDING.value)
    if status not in _STATUSES:
        raise ToolError(f"`plan`: entry {number}: `status` is one of {', '.join(_STATUSES)}")
    return PlanStep(text, StepStatus(status))
