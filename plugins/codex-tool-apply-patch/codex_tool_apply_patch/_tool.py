"""The tool `apply_patch`, and the wording of what became of a patch."""

from __future__ import annotations

import json
from collections.abc import Sequence

from codex_host.actions import Action, Exec, Failed, Patched, Refused
from codex_host.errors import ToolError
from codex_host.items import Effects, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset, Workbench
from codex_tool_apply_patch._language import parse
from codex_tool_apply_patch._recognition import recognise

__all__ = ["PatchTool", "PatchToolset"]

_DESCRIPTION = """\
Create, change, rename and delete text files. The whole patch is applied, or nothing of it.

*** Begin Patch
*** Add File: path/new.txt
+every line of the new file, each after a plus sign
*** Update File: path/app.py
*** Move to: path/main.py
@@ class App
@@ def run(self):
 a line that stays
-a line that goes
+a line that comes
*** Delete File: path/old.txt
*** End Patch

An update has one or more hunks. A hunk quotes old lines exactly as they are in the file: about three \
lines of context before and after each change (' '), and the lines to remove ('-') and to add ('+'). Hunks \
stand in the order of the file. Where the quoted lines are not unique, name what they are in by one or \
more '@@ LINE' before them, each a whole line of the file; every hunk after the first begins with '@@'. \
After the last line of a file '*** End of File' may follow. '*** Move to:' is optional. Paths are relative \
to the working directory."""


class PatchToolset(Toolset):
    """The one tool, and the recognition of its command form."""

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """The tool, for this session."""
        return (PatchTool(workbench),)

    def interpret(self, command: Exec) -> Action | None:
        """`apply_patch TEXT`, or a shell script that is nothing but apply_patch with a heredoc."""
        return recognise(command)


class PatchTool(Tool):
    """Reads the patch, has the host apply it, and tells the model what became of it."""

    spec = ToolSpec(
        name="apply_patch",
        description=_DESCRIPTION,
        parameters={
            "type": "object",
            "properties": {"input": {"type": "string", "description": "The whole text of the patch."}},
            "required": ["input"],
            "additionalProperties": False,
        },
        effects=Effects.ACTIONS,
    )

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    async def call(self, call: ToolCall) -> ToolResult:
        """Apply one patch. Raises ToolError for arguments or a patch that cannot be read."""
        patch = parse(_text(call.arguments), self._workbench.cwd)
        outcome = await self._workbench.perform(call.call_id, patch)
        match outcome:
            case Patched():
                return ToolResult(outcome.summary(self._workbench.cwd))
            case Refused(by, reason):
                return ToolResult(f"patch rejected by {by}: {reason}", success=False)
            case Failed(reason):
                return ToolResult(f"error: {reason}", success=False)
            case _:
                raise ToolError(f"a patch cannot end as {type(outcome).__name__}")


def _text(arguments: str) -> str:
    """The patch in the arguments: of the field `input` or `patch`, or the arguments themselves."""
    if arguments.lstrip().startswith("*** Begin Patch"):
        return arguments
    try:
        fields = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"the arguments are not valid JSON: {error}") from None
    if isinstance(fields, dict):
        for name in ("input", "patch"):
            if isinstance(fields.get(name), str):
                return str(fields[name])
    raise ToolError('the arguments have to be {"input": PATCH}, with the whole patch as one string')
