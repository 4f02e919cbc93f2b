"""The frontend `exec`: what every frontend promises, and how it words what happens."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click
import codex_frontend_exec
import pytest
from codex_frontend_exec._exec import Exec
from codex_frontend_exec._progress import LINES, Progress

from codex_host.actions import (
    Action,
    AddFile,
    Denial,
    Failed,
    FileDiff,
    Output,
    Patch,
    Patched,
    Ran,
    Refused,
    Use,
    Used,
)
from codex_host.actions import Exec as Command
from codex_host.config import Config
from codex_host.events import (
    ActionEnded,
    ActionStarted,
    Ending,
    EndingKind,
    Event,
    MessageDone,
    Notice,
    NoticeLevel,
    SessionStarted,
)
from codex_host.items import ToolResult
from codex_host.testing.frontend import FrontendContract

CWD = Path("/project")
LS = Command(("ls", "-l"), CWD)
ANSWERED = Ending(EndingKind.ANSWERED, "done", 0)


class TestExec(FrontendContract):
    module = codex_frontend_exec
    name = "exec"


def lines(*events: Event, ending: Ending | None = None, colour: bool = False) -> list[str]:
    """What is printed for these events, and for the end if one is given."""
    stream = io.StringIO()
    progress = Progress(stream, colour=colour)
    for event in events:
        progress.show(event)
    if ending is not None:
        progress.summary(ending)
    return stream.getvalue().splitlines()


def test_a_session_begins_with_what_it_may_do() -> None:
    started = SessionStarted("id", "gpt", "OpenAI", CWD, "never", ("disk-full-read-access",), None)
    shown = "\n".join(lines(started))
    assert "gpt at OpenAI, in /project" in shown
    assert "disk-full-read-access (sandbox: none; approval: never)" in shown


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Ran(0, Output("a\nb\n"), 0.2), ["succeeded in 200ms", "    a", "    b"]),
        (Ran(3, Output(), 1.5), ["exited 3 in 1.50s"]),
        (Ran(-9, Output(), 1.5), ["ended by signal 9 in 1.50s"]),
        (Ran(-15, Output(), 10.0, timed_out=True), ["timed out in 10.00s"]),
        (Patched((FileDiff(CWD / "a", "add", "+x"),)), ["applied: A /project/a"]),
        (Patched((FileDiff(CWD / "a", "update", "", CWD / "b"),)), ["applied: M /project/a -> /project/b"]),
        (Used(ToolResult("found\nit")), ["    found", "    it"]),
        (Refused("never", "no"), ["refused by never: ls -l: no"]),
        (Failed("no such program"), ["failed: no such program"]),
    ],
)
def test_an_outcome_in_words(outcome: Any, said: list[str]) -> None:
    assert lines(ActionEnded("1", LS, outcome)) == said


def test_a_denial_is_told() -> None:
    denied = Ran(1, Output("no\n"), 0.1, denial=Denial("/etc/x", "it may not be written", None))
    assert lines(ActionEnded("1", LS, denied))[-1] == "denied: /etc/x: it may not be written"


def test_only_the_first_lines_of_an_output_are_shown() -> None:
    shown = lines(ActionEnded("1", LS, Ran(0, Output("line\n" * 1000), 0.1)))
    assert shown.count("    line") == LINES


def test_an_action_begins() -> None:
    assert lines(ActionStarted("1", Command(("bash", "-lc", "ls | wc"), CWD))) == ["exec: ls | wc in /project"]
    assert lines(ActionStarted("1", LS, outside=True)) == ["exec outside the sandbox: ls -l in /project"]
    assert lines(ActionStarted("1", Use("search", '{"q": 1}'))) == ['tool: search({"q": 1})']
    diff = FileDiff(CWD / "a", "update", "@@\n-x\n+y\n")
    patch = Patch((AddFile(CWD / "a", ""),))
    assert lines(ActionStarted("1", patch, (diff,))) == [
        "apply_patch: M /project/a",
        "    @@",
        "    -x",
        "    +y",
    ]


def test_the_summary_lists_refusals_and_the_way_out() -> None:
    patch: Action = Patch((AddFile(CWD / "a", ""),))
    events = [
        ActionEnded("1", patch, Refused("never", "read-only; `--full-auto` would do")),
        ActionEnded("2", LS, Refused("x", "no")),
    ]
    shown = lines(*events, ending=ANSWERED)[2:]
    assert shown[0] == "refused: apply_patch /project/a: read-only; `--full-auto` would do"
    assert shown[1] == "refused: ls -l: no"
    assert shown[2].startswith("hint: `codex exec --full-auto`")
    assert len(shown) == 3


def test_a_failure_is_the_last_line() -> None:
    assert lines(ending=Ending(EndingKind.FAILED, "no network", 4)) == ["error: no network"]
    assert lines(ending=ANSWERED) == []


def test_notices_by_their_level() -> None:
    assert lines(Notice("a"), Notice("b", NoticeLevel.WARNING)) == ["note: a", "warning: b"]


def test_colours_only_if_wanted() -> None:
    assert "\x1b[" in lines(MessageDone("hi"), colour=True)[0]
    assert "\x1b" not in lines(MessageDone("hi"))[0]


def test_nobody_watches() -> None:
    Progress(None, colour=False).show(MessageDone("hi"))


@pytest.mark.parametrize("policy", ["unless-allow-listed", "on-failure", "never", "of-a-plugin"])
def test_it_asks_nothing_unless_a_policy_of_ones_own_does(tmp_path: Path, policy: str) -> None:
    settings = Exec().settings({}, Config(home=tmp_path, approval_policy=policy))
    assert settings == ({} if policy == "of-a-plugin" else {"approval_policy": "never"})


def test_its_options() -> None:
    assert [parameter.name for parameter in Exec().parameters()] == ["prompt", "color"]
    assert all(isinstance(parameter, click.Parameter) for parameter in Exec().parameters())
