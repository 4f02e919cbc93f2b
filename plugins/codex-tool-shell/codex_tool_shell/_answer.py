"""From the outcome of a command to what the model reads."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from codex_host.actions import Denial, Failed, Outcome, Output, Patched, Ran, Refused, Used
from codex_host.items import ToolResult
from codex_host.text import duration
from codex_tool_shell._excerpt import Limits, excerpt

__all__ = ["answer", "still_running"]

_NO_REMEDY = "no permission would allow it"
_TIMED_OUT = 124  # as timeout(1) says it


def answer(outcome: Outcome, limits: Limits, cwd: Path) -> ToolResult:
    """What the model is told.

    Of a command that ran: JSON, `{"output": ..., "metadata": {"exit_code": ..., "duration_seconds": ...}}`,
    with a `note` where the exit code alone would mislead. Of everything else: one plain sentence. The host
    may have found that the command was really a patch; then the changed files are listed, relative to `cwd`.
    """
    match outcome:
        case Ran():
            return ToolResult(_ran(outcome, limits), success=outcome.exit_code == 0 and not outcome.timed_out)
        case Refused(by="user", reason=reason):
            return ToolResult(_sentence("not run: rejected by the user", reason), success=False)
        case Refused(by=by, reason=reason):
            return ToolResult(_sentence(f"not run: rejected by {by}", reason), success=False)
        case Failed(reason=reason):
            return ToolResult(_sentence("execution error", reason), success=False)
        case Patched():
            return ToolResult(outcome.summary(cwd))
        case Used(result=result):
            return result


def still_running(output: Output, session_id: int, limits: Limits) -> ToolResult:
    """What the model is told of a command that goes on; `output` is what came since it was told before."""
    told = {"output": excerpt(output, limits), "session_id": session_id, "note": "It is still running."}
    return ToolResult(_json(told))


def _ran(outcome: Ran, limits: Limits) -> str:
    told: dict[str, Any] = {
        "output": excerpt(outcome.output, limits),
        "metadata": {"exit_code": _exit_code(outcome), "duration_seconds": round(outcome.seconds, 1)},
    }
    if notes := _notes(outcome):
        told["note"] = " ".join(notes)
    return _json(told)


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace").decode()


def _exit_code(outcome: Ran) -> int:
    """The code as a shell would report it."""
    if outcome.timed_out:
        return _TIMED_OUT
    return outcome.exit_code if outcome.exit_code >= 0 else 128 - outcome.exit_code


def _notes(outcome: Ran) -> list[str]:
    notes = []
    if outcome.timed_out:
        spent = duration(outcome.seconds)
        notes.append(f"Ended after {spent}: time-out. A longer `timeout` (ms) can be given.")
    elif outcome.exit_code < 0:
        notes.append(f"Ended by signal {_signal(-outcome.exit_code)}.")
    if outcome.denial:
        notes.append(_denied(outcome.denial))
    return notes


def _denied(denial: Denial) -> str:
    remedy = f"the permission {denial.permission} would allow it"
    return f"The sandbox denied {denial.what} ({denial.rule}); {remedy if denial.permission else _NO_REMEDY}."


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _sentence(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what
