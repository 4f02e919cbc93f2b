"""Progress for people: each event as lines on standard error, neutralised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from codex_frontend_exec._live import LiveText
from codex_host.actions import Action, Exec, Failed, FileDiff, Outcome, Patch, Patched, Ran, Refused, Use, Used
from codex_host.events import (
    ActionEnded,
    ActionStarted,
    CallFailed,
    Ending,
    EndingKind,
    Event,
    MessageDelta,
    MessageDone,
    Notice,
    NoticeLevel,
    PlanChanged,
    ReasoningSummaryDelta,
    ReasoningSummaryDone,
    ReplyDiscarded,
    SessionStarted,
    TaskEnded,
    TaskStarted,
)
from codex_host.items import Usage
from codex_host.parts import Audience
from codex_host.text import command_line, duration, neutralise, shorten, visible

__all__ = ["Progress"]

LINES = 20
"""Lines of a command's output that are shown, half from its beginning and half from its end."""
LONGEST = 2000
"""Characters of a command that are shown."""
_BOLD, _DIM, _RED, _GREEN, _MAGENTA, _CYAN = "1", "2", "31", "32", "35", "36"
_MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}
_LETTERS = {"add": "A", "update": "M", "delete": "D"}


class Progress(Audience):
    """Prints what happens, unless `stream` is None. Nobody answers questions, so each counts as refused.

    What the model says and thinks is printed as it comes, and not once more when it is complete.
    """

    def __init__(self, stream: TextIO | None, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._refused: list[str] = []
        self._live = LiveText(self._print)
        self._cwd = Path()
        self._writes_here = False

    def shows_on(self, stream: TextIO | None) -> bool:
        """Whether `stream` is the terminal on which everything has been shown already."""
        if stream is None or self._stream is None or not (stream.isatty() and self._stream.isatty()):
            return False
        return os.path.sameopenfile(stream.fileno(), self._stream.fileno())

    def show(self, event: Event) -> None:
        match event:
            case MessageDelta(text):
                self._live.grow("codex", self._painted("codex", _MAGENTA), text)
            case ReasoningSummaryDelta(text):
                self._live.grow("thinking", self._painted("thinking", _DIM), text)
            case MessageDone(text):
                if not self._live.finish("codex"):
                    self._line("codex", _MAGENTA, text)
            case ReasoningSummaryDone(text):
                if not self._live.finish("thinking"):
                    self._line("thinking", _DIM, text)
            case ReplyDiscarded():
                if self._live.discard():
                    self._line("note", _DIM, "what was said last is void, the model is asked again")
            case _:
                self._complete(event)

    def _complete(self, event: Event) -> None:
        """Show what comes in one piece."""
        match event:
            case SessionStarted():
                self._session(event)
            case TaskStarted(_, prompt):
                self._line("user", _CYAN, neutralise(prompt))
            case ActionStarted(_, action, files):
                self._action(action, files, outside=event.outside)
            case ActionEnded(_, action, outcome):
                self._outcome(action, outcome)
            case CallFailed(_, tool, reason):
                self._line(f"{visible(tool)} failed", _RED, neutralise(reason))
            case Notice(message, level):
                self._line("warning" if level is NoticeLevel.WARNING else "note", _DIM, neutralise(message))
            case PlanChanged(steps, explanation):
                self._line("plan", _CYAN, neutralise(explanation))
                self._block([f"{_MARKS[step.status.value]} {neutralise(shorten(step.text, 200))}" for step in steps])
            case TaskEnded(ending=ending, usage=usage):
                self._live.discard()
                if ending.kind is EndingKind.INTERRUPTED:
                    self._line("interrupted", _RED, "")
                if usage != Usage():
                    self._line("tokens", _DIM, _counted(usage))
            case _:
                pass

    def summary(self, ending: Ending) -> None:
        """The last lines: what was refused on the way, and what went wrong."""
        for refusal in self._refused:
            self._line("refused", _RED, refusal)
        if not self._writes_here and any("--full-auto" in refusal for refusal in self._refused):
            self._line("hint", _DIM, "`codex exec --full-auto` lets it write to the working folder")
        if ending.kind is not EndingKind.ANSWERED:
            self._line("error", _RED, neutralise(ending.message))

    def _session(self, event: SessionStarted) -> None:
        self._cwd = event.cwd
        self._writes_here = bool({"disk-write-cwd", "disk-full-write-access"}.intersection(event.permissions))
        sandbox = event.sandbox or "none"
        granted = ", ".join(event.permissions) or "nothing"
        self._line("codex", _BOLD, f"{event.model} at {event.provider}, in {visible(str(event.cwd))}")
        self._line("may", _DIM, f"{granted} (sandbox: {sandbox}; approval: {event.approval_policy})")

    def _action(self, action: Action, files: tuple[FileDiff, ...], *, outside: bool) -> None:
        match action:
            case Exec(argv, cwd):
                where = " outside the sandbox" if outside else ""
                folder = "" if cwd == self._cwd else f" in {visible(str(cwd))}"
                self._line(f"exec{where}", _MAGENTA, f"{_cut(command_line(argv))}{folder}")
            case Patch():
                self._line("apply_patch", _MAGENTA, ", ".join(map(self._named, files)))
                for file in files:
                    self._diff(file)
            case Use(tool, arguments):
                self._line("tool", _MAGENTA, f"{visible(tool)}({visible(shorten(arguments, 200))})")

    def _outcome(self, action: Action, outcome: Outcome) -> None:
        match outcome:
            case Ran(exit_code, output, seconds):
                self._line(f"{_ended(outcome)} in {duration(seconds)}", _GREEN if exit_code == 0 else _RED, "")
                self._excerpt(output.text)
                if outcome.denial is not None:
                    self._line("denied", _RED, f"{visible(outcome.denial.what)}: {outcome.denial.rule}")
            case Patched(files):
                self._line("applied", _GREEN, ", ".join(map(self._named, files)))
            case Used(result):
                self._excerpt(result.text)
            case Refused(by, reason):
                what = _described(action)
                self._refused.append(f"{what}: {neutralise(reason)}")
                self._line(f"refused by {by}", _RED, f"{what}: {neutralise(reason)}")
            case Failed(reason):
                self._line("failed", _RED, neutralise(reason))

    def _diff(self, file: FileDiff) -> None:
        for line in neutralise(file.diff).splitlines():
            colour = _GREEN if line.startswith("+") else _RED if line.startswith("-") else _DIM
            self._write(self._painted(f"    {line}", colour))

    def _excerpt(self, text: str) -> None:
        """Show the beginning and the end of an output, and say what is left out."""
        lines = neutralise(text).splitlines()
        left_out = len(lines) - LINES
        if left_out > 1:
            half = LINES // 2
            lines = [*lines[:half], f"... {left_out} more lines", *lines[-half:]]
        self._block(lines)

    def _named(self, file: FileDiff) -> str:
        moved = f" -> {self._path(file.moved_to)}" if file.moved_to else ""
        return f"{_LETTERS.get(file.kind, file.kind)} {self._path(file.path)}{moved}"

    def _path(self, path: Path) -> str:
        return visible(str(path.relative_to(self._cwd) if path.is_relative_to(self._cwd) else path))

    def _block(self, lines: list[str]) -> None:
        for line in lines:
            self._write(self._painted(f"    {line}", _DIM))

    def _line(self, label: str, colour: str, text: str) -> None:
        """Print a line under a label; further lines of the text are indented, so that they cannot pass for ours."""
        text = neutralise(text).strip("\n").replace("\n", "\n  ")
        label = neutralise(label).replace("\n", " ")
        self._write(f"{self._painted(label, colour)}{': ' + text if text else ''}")

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and text else text

    def _write(self, line: str) -> None:
        """Print a line of its own."""
        self._live.close()
        self._print(f"{line}\n")

    def _print(self, text: str) -> None:
        """Print a text; once that fails nobody watches any more, and the work goes on."""
        if self._stream is None:
            return
        try:
            print(text, end="", file=self._stream, flush=True)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # else Python tries it again at its end
            self._stream = None


def _counted(usage: Usage) -> str:
    return f"{usage.input} in ({usage.cached_input} cached), {usage.output} out ({usage.reasoning} reasoning)"


def _ended(outcome: Ran) -> str:
    if outcome.timed_out:
        return "timed out"
    if outcome.exit_code < 0:
        return f"ended by signal {-outcome.exit_code}"
    return f"exited {outcome.exit_code}" if outcome.exit_code else "succeeded"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text) - LONGEST} more characters)"


def _described(action: Action) -> str:
    match action:
        case Exec(argv):
            return _cut(command_line(argv))
        case Patch(changes):
            return "apply_patch " + ", ".join(visible(str(change.path)) for change in changes)
        case Use(tool):
            return visible(tool)
