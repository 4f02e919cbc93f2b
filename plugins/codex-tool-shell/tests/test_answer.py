import json
from pathlib import Path

import pytest
from codex_tool_shell._answer import answer
from codex_tool_shell._excerpt import Limits

from codex_host.actions import Denial, Failed, FileDiff, Output, Patched, Ran, Refused, Used
from codex_host.items import ToolResult

LIMITS = Limits()
CWD = Path("/w")
DENIAL = Denial("/etc/hosts", "not below a writable folder", "disk-write-folder=/etc")


def told(outcome):
    return json.loads(answer(outcome, LIMITS, CWD).text)


def test_a_failing_command_keeps_both_streams_and_its_code():
    outcome = Ran(3, Output("out\nerr\n", total=8), 61.26)
    assert told(outcome) == {
        "output": "out\nerr\n",
        "metadata": {"exit_code": 3, "duration_seconds": 61.3},
    }
    assert not answer(outcome, LIMITS, CWD).success


@pytest.mark.parametrize(
    ("outcome", "code", "note"),
    [
        (Ran(-9, Output(), 1.0), 137, "Ended by signal 9 (SIGKILL)."),
        (Ran(-63, Output(), 1.0), 191, "Ended by signal 63."),
        (
            Ran(-15, Output(), 10.0, timed_out=True),
            124,
            "Ended after 10.00s: time-out. A longer `timeout` (ms) can be given.",
        ),
        (
            Ran(1, Output(), 1.0, denial=DENIAL),
            1,
            "The sandbox denied /etc/hosts (not below a writable folder); "
            "the permission disk-write-folder=/etc would allow it.",
        ),
        (
            Ran(1, Output(), 1.0, denial=Denial("a key", "it is hidden")),
            1,
            "The sandbox denied a key (it is hidden); no permission would allow it.",
        ),
    ],
)
def test_what_the_code_alone_would_not_say_is_noted(outcome, code, note):
    result = told(outcome)
    assert result["metadata"]["exit_code"] == code
    assert result["note"] == note
    assert not answer(outcome, LIMITS, CWD).success


def test_a_time_out_is_no_success_even_with_code_0():
    assert not answer(Ran(0, Output(), 10.0, timed_out=True), LIMITS, CWD).success


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Refused("user", ""), "not run: rejected by the user"),
        (Refused("user", "use make"), "not run: rejected by the user: use make"),
        (Refused("never", "no sandbox"), "not run: rejected by never: no sandbox"),
        (Failed("no program ls2 in PATH"), "execution error: no program ls2 in PATH"),
    ],
)
def test_what_did_not_run_is_said_plainly(outcome, text):
    assert answer(outcome, LIMITS, CWD) == ToolResult(text, success=False)


def test_a_command_that_was_a_patch_lists_its_files():
    files = (
        FileDiff(Path("/w/a"), "add", ""),
        FileDiff(Path("/w/b"), "update", "", Path("/w/c")),
        FileDiff(Path("/w/d"), "update", ""),
        FileDiff(Path("/w/e"), "delete", ""),
    )
    result = answer(Patched(files), LIMITS, CWD)
    assert result.success
    assert result.text.splitlines()[1:] == ["A a", "M c", "M d", "D b", "D e"]


def test_a_command_that_was_a_tool_call_gives_its_answer():
    result = ToolResult("found", success=False)
    assert answer(Used(result), LIMITS, CWD) is result
