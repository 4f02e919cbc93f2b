"""What a recorder must keep to: subclass `RecorderContract` in a pytest module."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, get_args

from codex_host.actions import Exec, Output, Patch, Patched, Ran, Refused, Use
from codex_host.events import (
    ActionEnded,
    ActionStarted,
    CallFailed,
    Delta,
    Ending,
    EndingKind,
    Event,
    MessageDone,
    Notice,
    PlanChanged,
    PlanStep,
    ReasoningSummaryDone,
    ReplyDiscarded,
    ReplyEnded,
    SessionStarted,
    StepStatus,
    TaskEnded,
    TaskStarted,
)
from codex_host.items import Usage
from codex_host.parts import Recorder
from codex_host.testing.contract import Contract

__all__ = ["EVENTS", "RecorderContract"]

_CWD = Path("/project")
_EXEC = Exec(("ls", "-l"), _CWD)

EVENTS: tuple[Event, ...] = (
    SessionStarted("0b6e", "model", "provider", _CWD, "never", ("disk-full-read-access",), None),
    Notice("a plugin was left out"),
    PlanChanged((PlanStep("look"), PlanStep("mend", StepStatus.IN_PROGRESS)), "a beginning"),
    TaskStarted("1", "List the files.\nAll of them: é, \U0001f600, \ud83d"),
    ReasoningSummaryDone("They want a list."),
    ReplyDiscarded("the connection broke"),
    ActionStarted("a", _EXEC),
    ActionEnded("a", _EXEC, Ran(0, Output("a.txt\n", total=6), 0.1)),
    ActionEnded("b", Patch(()), Patched(())),
    ActionEnded("c", Use("search", "{}"), Refused("user", "no")),
    CallFailed("d", "no_such_tool", "there is no such tool"),
    ReplyEnded(Usage(10, 0, 5)),
    MessageDone("There is one file."),
    TaskEnded("1", ("List the files.",), Ending(EndingKind.ANSWERED, "There is one file.", 0), Usage(9)),
    TaskStarted("2", ""),
    TaskEnded("2", ("",), Ending(EndingKind.INTERRUPTED, "interrupted", 130)),
)
"""A short session with every kind of event that recorders see."""


class RecorderContract(Contract):
    """The promises of a `codex_host.parts.Recorder`."""

    kind = "recorder"
    base: ClassVar[type] = Recorder

    def test_takes_every_event(self) -> None:
        """All complete events can be recorded, in order and not from the main thread; then it closes."""
        kinds = set(get_args(Event)) - set(get_args(Delta))
        assert kinds == {type(event) for event in EVENTS}, "the contract itself has to be brought up to date"
        with ThreadPoolExecutor(1) as thread:
            recorder = thread.submit(self.make).result()
            for event in EVENTS:
                thread.submit(recorder.record, event).result()
            thread.submit(recorder.close).result()

    def test_closes_without_an_event(self) -> None:
        """A session in which nothing happened ends like any other."""
        self.make().close()

    def test_serves_sessions_at_once(self) -> None:
        """Recorders of several sessions at a time do not stand in each other's way."""
        recorders = [self.make() for _ in range(3)]
        for event in EVENTS:
            for recorder in recorders:
                recorder.record(event)
        for recorder in recorders:
            recorder.close()
