"""What a frontend must keep to: subclass `FrontendContract` in a pytest module.

The contract plays a scripted session, without a model or a network: the frontend opens it as it would any
other, and its audience is shown events and asked questions while it runs on a terminal of its own (a
pseudo-terminal, so not on Windows).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from codex_host.actions import AddFile, Denial, Exec, FileDiff, Output, Patch, Patched, Ran, Refused, Use
from codex_host.config import KEYS, Config
from codex_host.errors import PluginError
from codex_host.events import (
    ActionEnded,
    ActionStarted,
    Ending,
    EndingKind,
    Event,
    MessageDelta,
    MessageDone,
    OutputDelta,
    ReasoningSummaryDelta,
    ReasoningSummaryDone,
    TaskEnded,
)
from codex_host.items import Usage
from codex_host.parts import (
    Abort,
    Approval,
    Approve,
    Audience,
    Confirm,
    Conversation,
    Deny,
    Frontend,
    Question,
)
from codex_host.testing.contract import Contract
from codex_host.testing.recorder import EVENTS

__all__ = ["HOSTILE", "FrontendContract", "hostile"]

HOSTILE = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[37;41;5m\x9b5m\u202edesrever\u2066\u2028"
"""Text that a terminal would obey: its title, the clipboard, blinking colours, reversed text."""
_RAW = ("\x1b]0;", "\x1b]52;", "\x1b[37;41;5m", "\x9b", "\u202e", "\u2066", "\u2028")

_CWD = Path("/project")
_DIFF = FileDiff(_CWD / "a", "update", "-a\n+b\n", _CWD / "b")
_PATCH = Patch((AddFile(_CWD / "a", "text\n"),))
_DENIED = Ran(
    1,
    Output("no", "end", 10, 5),
    0.1,
    denial=Denial("/etc", "it may not be written", "disk-write-folder=/etc"),
)
_SESSION: tuple[Event, ...] = (
    *EVENTS[:-2],
    ReasoningSummaryDelta("a piece"),
    ReasoningSummaryDone("a piece"),
    MessageDelta("a piece"),
    MessageDone("a piece"),
    OutputDelta("a", "a piece"),
    ActionStarted("p", _PATCH, (_DIFF,)),
    ActionEnded("p", _PATCH, Patched((_DIFF,))),
    ActionStarted("o", Exec(("make", "install"), _CWD), outside=True),
    ActionEnded("o", Exec(("make", "install"), _CWD), _DENIED),
    ActionEnded("r", _PATCH, Refused("never", "not in a writable folder; --full-auto")),
)
_QUESTIONS: tuple[Question, ...] = (
    Approval("a", Exec(("make",), _CWD), "it is not known"),
    Approval("p", _PATCH, "it changes files", (_DIFF,)),
    Approval("o", Exec(("make",), _CWD), "outside?", outside=True, denial=_DENIED.denial),
    Approval("u", Use("search", "{}"), "it acts outside"),
    Confirm("Go on?"),
)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """An event, or a question, of a later version."""

    text: str = "from-a-later-version"


def hostile(value: Any) -> Any:
    """The same event, or part of one, with HOSTILE behind every text in it."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: hostile(getattr(value, f.name)) for f in fields(value) if f.init})
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, Path):
        return Path(f"{value}{HOSTILE}")
    return tuple(map(hostile, value)) if isinstance(value, tuple) else value


class _Session:
    """The host and the one conversation of a test; both are what `codex_host.parts` calls so."""

    def __init__(
        self, config: Config, cwd: Path, ending: Ending, script: Sequence[Any], error: Exception | None
    ) -> None:
        self.config = config
        self.cwd = cwd
        self.session_id = "0b6e"
        self.usage = Usage()
        self.ending = ending
        self.submitted: list[str] = []
        self.answers: list[tuple[Any, Any]] = []
        self._script = script
        self._error = error
        self._audience: Audience | None = None

    @asynccontextmanager
    async def open(self, audience: Audience) -> AsyncIterator[Conversation]:
        if self._error is not None:
            raise self._error
        self._audience = audience
        yield self

    def history(self) -> Sequence[Any]:
        return ()

    def interrupt(self) -> None:
        """Nothing runs that could be interrupted."""

    async def submit(self, prompt: str) -> Ending:
        """Show and ask what the script says, then end."""
        assert self._audience is not None
        self.submitted.append(prompt)
        for step in self._script:
            if isinstance(step, Question) or step is _Unknown:
                question: Any = _Unknown() if step is _Unknown else step
                with anyio.move_on_after(0.5):
                    self.answers.append((step, await self._audience.ask(question)))
            else:
                self._audience.show(step)
        self._audience.show(TaskEnded("1", (prompt,), self.ending))
        return self.ending


class FrontendContract(Contract):
    """The promises of a `codex_host.parts.Frontend`."""

    kind = "frontend"
    base: ClassVar[type] = Frontend

    arguments: ClassVar[Sequence[str]] = ("do something",)
    """What the user types after the frontend's name, so that it submits one prompt."""
    typed: ClassVar[bytes] = b""
    """What the user then types into the terminal, so that it ends."""

    @pytest.fixture(autouse=True)
    def _workspace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "work/.git").mkdir(parents=True)
        self._work = tmp_path / "work"
        self._patching = monkeypatch

    def play(
        self, ending: Ending, script: Sequence[Any] = (), error: Exception | None = None
    ) -> tuple[Any, str, _Session]:
        """Run the frontend once in a terminal: what `run` returned, what the terminal got, and the session."""
        import click

        from codex_host._frontends import _shared_options

        frontend = self.make()
        command = click.Command(self.name, params=[*frontend.parameters(), *_shared_options()])
        options: Mapping[str, Any] = command.make_context(self.name, list(self.arguments)).params
        session = _Session(self.config, self._work, ending, script, error)

        async def run() -> Any:
            with anyio.fail_after(20):
                return await frontend.run(session, options)

        with _terminal(self._patching, self.typed) as shown:
            returned = anyio.run(run)
        return returned, shown().decode("utf-8", "replace"), session

    def test_settings_are_config_keys(self) -> None:
        """What it sets above all other layers are keys of config.toml, whatever is configured."""
        import click

        from codex_host._frontends import _shared_options

        frontend = self.make()
        command = click.Command(self.name, params=[*frontend.parameters(), *_shared_options()])
        options = command.make_context(self.name, list(self.arguments)).params
        for policy in ("unless-allow-listed", "on-failure", "never", "of-a-plugin"):
            settings = frontend.settings(options, replace(self.config, approval_policy=policy))
            assert set(settings) <= {key.name for key in KEYS}

    @pytest.mark.parametrize("kind", list(EndingKind))
    def test_run_returns_the_ending(self, kind: EndingKind) -> None:
        """The ending of the last task decides the exit code, so it comes back as it is."""
        codes = {
            EndingKind.ANSWERED: 0,
            EndingKind.FAILED: 4,
            EndingKind.REFUSED: 6,
            EndingKind.INTERRUPTED: 130,
        }
        ending = Ending(kind, "so it ended", codes[kind])
        returned, shown, session = self.play(ending, [MessageDone("so it ended")])
        assert returned == ending
        assert len(session.submitted) == 1
        assert "so it ended" in shown

    def test_shows_every_event(self) -> None:
        """Every kind of event can be shown, deltas too, and the prompt arrives."""
        script = [*_SESSION, MessageDone("the answer")]
        returned, shown, session = self.play(Ending(EndingKind.ANSWERED, "the answer", 0), script)
        assert returned.exit_code == 0
        assert session.submitted == [self.arguments[-1]] or self.typed
        assert "the answer" in shown

    def test_lets_errors_out(self) -> None:
        """A session that does not open is an error that the command line prints; it must come out of `run`."""
        ending = Ending(EndingKind.ANSWERED, "", 0)
        with pytest.raises(PluginError, match="nothing is installed"):
            self.play(ending, error=PluginError("nothing is installed"))

    def test_nothing_is_shown_for_unknown_events(self) -> None:
        """Later versions add events; one that it does not know is ignored."""
        returned, shown, _ = self.play(Ending(EndingKind.ANSWERED, "done", 0), [_Unknown(), MessageDone("done")])
        assert returned.exit_code == 0
        assert _Unknown().text not in shown

    def test_hostile_text_does_not_reach_the_terminal(self) -> None:
        """Nothing in any text of any event is obeyed by the terminal, not even if it comes in two pieces."""
        said = [MessageDelta("\x1b"), MessageDelta("]0;owned\x07"), MessageDone("\x1b]0;owned\x07")]
        cut = [*said, OutputDelta("a", "\x1b[37;41"), OutputDelta("a", ";5m")]
        for kind in EndingKind:
            ending = Ending(kind, f"ended{HOSTILE}", 0 if kind is EndingKind.ANSWERED else 1)
            _, shown, _ = self.play(ending, [*map(hostile, _SESSION), *cut, hostile(MessageDone("ended"))])
            assert "ended" in shown
            assert [text for text in _RAW if text in shown] == []

    def test_hostile_questions_do_not_reach_the_terminal(self) -> None:
        """What a person decides on is shown without anything that the terminal obeys."""
        _, shown, _ = self.play(Ending(EndingKind.ANSWERED, "done", 0), list(map(hostile, _QUESTIONS)))
        assert [text for text in _RAW if text in shown] == []

    def test_answers_questions_or_lets_them_be(self) -> None:
        """An approval is answered by a decision, a confirmation by a bool, and either by None; unknown ones by None.

        Without a person it answers at once; one that waits for a person takes the question down when it is cancelled.
        """
        script = [*_QUESTIONS, _Unknown]
        _, _, session = self.play(Ending(EndingKind.ANSWERED, "done", 0), script)
        assert self.make().interactive or len(session.answers) == len(script)
        for question, answer in session.answers:
            fits = {Approval: (Approve, Deny, Abort), Confirm: (bool,)}.get(type(question), ())
            assert answer is None or isinstance(answer, fits), question


@contextmanager
def _terminal(patching: pytest.MonkeyPatch, typed: bytes) -> Iterator[Any]:
    """Standard streams that are a terminal; yields a function that tells, afterwards, what was written to it."""
    if sys.platform == "win32":
        pytest.skip("there are no pseudo-terminals on Windows")
    import pty

    leader, follower = pty.openpty()
    written = bytearray()

    def read() -> None:
        with suppress(OSError):  # the other end is closed: that is how a terminal ends
            while data := os.read(leader, 1 << 16):
                written.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    os.write(leader, typed)
    streams = [os.fdopen(os.dup(follower), mode, encoding="utf-8", errors="replace") for mode in ("r", "w", "w")]
    os.close(follower)
    try:
        with patching.context() as patch:
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            yield lambda: bytes(written)
    finally:
        for stream in streams:
            stream.close()
        reader.join(10)
        os.close(leader)
