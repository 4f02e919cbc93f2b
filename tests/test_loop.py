"""The agent's loop against the strict model server, on both wires: every call gets one output, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from codex_host.actions import Exec
from codex_host.errors import RefusalError, SandboxError, StoreError, ToolError
from codex_host.events import (
    ActionEnded,
    ActionStarted,
    CallFailed,
    Ending,
    EndingKind,
    Event,
    MessageDone,
    Notice,
    ReasoningSummaryDone,
    ReplyEnded,
    TaskEnded,
    TaskStarted,
)
from codex_host.items import Effects, ToolCall, ToolOutput, ToolResult, ToolSpec, Usage
from codex_host.parts import Instructions, SessionLog, SessionStore, Tool, Toolset, Workbench
from codex_host.records import ItemAdded, Record, ReplyCompleted, SessionBegan, TaskBegan, TaskOver
from codex_host.testing.model_server import (
    Call,
    ModelServer,
    Received,
    Reply,
    Say,
    Stall,
    Status,
    Step,
    Think,
)
from codex_host.testing.session import Watching, make_host, play

OPEN = {"sandbox_mode": "danger-full-access"}


@pytest.fixture(params=["responses", "chat"])
def wire(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class One(Toolset):
    """One tool that does what the test says."""

    def __init__(self, name: str, answer: Callable[[ToolCall], Any], effects: Effects = Effects.NONE) -> None:
        spec = ToolSpec(name, "Does it.", {"type": "object", "properties": {}}, effects)
        self.calls: list[ToolCall] = []
        toolset = self

        class Doing(Tool):
            async def call(self, call: ToolCall) -> ToolResult:
                toolset.calls.append(call)
                result = answer(call)
                return await result if hasattr(result, "__await__") else result  # type: ignore[no-any-return]

        self.tool = Doing()
        self.tool.spec = spec
        self.workbench: Workbench | None = None

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        self.workbench = workbench
        return [self.tool]


def raising(error: BaseException) -> Callable[[ToolCall], Any]:
    def answer(call: ToolCall) -> ToolResult:
        raise error

    return answer


def run(
    folder: Path, script: Sequence[Step], *prompts: str, audience: Watching | None = None, **how: Any
) -> tuple[list[Ending], Watching, list[Received]]:
    audience = audience or Watching()
    with ModelServer(script) as server:
        endings = play(make_host(folder, server.base_url, **{**OPEN, **how}), audience, *(prompts or ("go",)))
    return endings, audience, server.requests


# --- Calls that come to nothing


def test_an_unknown_tool_is_told_to_the_model(wire: str, tmp_path: Path) -> None:
    script = [Reply(Call("browse", {}, "c1")), Reply(Say("then not"))]
    (ending,), audience, requests = run(tmp_path, script, wire=wire)
    assert (ending.kind, ending.message, ending.exit_code) == (EndingKind.ANSWERED, "then not", 0)
    told = requests[1].tool_outputs["c1"]
    assert "there is no tool called 'browse'" in told
    assert "shell" in told
    assert audience.of(CallFailed) == [CallFailed("c1", "browse", told)]


@pytest.mark.parametrize("arguments", ["{no", "[]", '"text"', "{}", '{"command": 3}'])
def test_arguments_that_make_no_sense_are_told_to_the_model(wire: str, tmp_path: Path, arguments: str) -> None:
    script = [Reply(Call("shell", arguments, "c1")), Reply(Say("sorry"))]
    (ending,), audience, requests = run(tmp_path, script, wire=wire)
    assert ending.exit_code == 0
    assert "command" in requests[1].tool_outputs["c1"] or "arguments of shell" in requests[1].tool_outputs["c1"]
    assert len(audience.of(CallFailed)) == 1
    assert audience.of(ActionStarted) == []


@pytest.mark.parametrize("effects", [Effects.NONE, Effects.ACTIONS, Effects.OUTSIDE])
def test_a_tool_error_is_told_to_the_model(wire: str, tmp_path: Path, effects: Effects) -> None:
    one = One("lookup", raising(ToolError("no such word")), effects)
    script = [Reply(Call("lookup", {}, "c1")), Reply(Say("sorry"))]
    (ending,), _, requests = run(tmp_path, script, wire=wire, parts={"toolset.one": one})
    assert ending.exit_code == 0
    assert "no such word" in requests[1].tool_outputs["c1"]


@pytest.mark.parametrize("effects", [Effects.NONE, Effects.ACTIONS, Effects.OUTSIDE])
def test_a_tool_that_raises_is_named_and_the_task_goes_on(wire: str, tmp_path: Path, effects: Effects) -> None:
    one = One("lookup", raising(KeyError("a bug")), effects)
    script = [Reply(Call("lookup", {}, "c1")), Reply(Say("sorry"))]
    (ending,), audience, requests = run(tmp_path, script, wire=wire, parts={"toolset.one": one})
    assert (ending.message, ending.exit_code) == ("sorry", 0)
    for text in (requests[1].tool_outputs["c1"], str(audience.events)):
        assert "the toolset 'one' given in process failed in the tool 'lookup'" in text
        assert "a bug" in text


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [(SandboxError("no fence"), EndingKind.FAILED, 5), (RefusalError("not this"), EndingKind.REFUSED, 6)],
)
def test_errors_that_a_tool_must_let_through_end_the_task(
    tmp_path: Path, error: Exception, kind: EndingKind, code: int
) -> None:
    one = One("lookup", raising(error))
    script = [Reply(Call("lookup", {}, "c1")), Reply(Say("still there"))]
    (first, second), _, requests = run(tmp_path, script, "go", "and now?", parts={"toolset.one": one})
    assert (first.kind, first.message, first.exit_code) == (kind, str(error), code)
    assert second.message == "still there"
    assert requests[1].tool_outputs == {"c1": "aborted"}


def test_a_reviewed_tool_that_is_refused(wire: str, tmp_path: Path) -> None:
    one = One("lookup", lambda call: ToolResult("found"), Effects.OUTSIDE)
    script = [Reply(Call("lookup", {}, "c1")), Reply(Say("well"))]
    how = {"parts": {"toolset.one": one}, "approval_policy": "unless-allow-listed", "wire": wire}
    (ending,), _, requests = run(tmp_path, script, **how)
    assert ending.exit_code == 0
    assert one.calls == []
    assert "nobody is there" in requests[1].tool_outputs["c1"]


# --- Several calls


def test_calls_are_answered_in_order(wire: str, tmp_path: Path) -> None:
    calls = [
        Call("shell", {"command": ["/bin/sh", "-c", f"echo {n} >>order; echo out {n}"]}, f"c{n}") for n in range(4)
    ]
    (ending,), audience, requests = run(tmp_path, [Reply(Say("All four."), *calls), Reply(Say("done"))], wire=wire)
    assert ending.message == "done"
    assert (tmp_path / "work/order").read_text() == "0\n1\n2\n3\n"
    outputs = requests[1].tool_outputs
    assert list(outputs) == ["c0", "c1", "c2", "c3"]
    assert all(f"out {n}" in text for n, text in enumerate(outputs.values()))
    kinds = [
        (type(event), event.call_id) for event in audience.events if isinstance(event, (ActionStarted, ActionEnded))
    ]
    assert kinds == [(kind, f"c{n}") for n in range(4) for kind in (ActionStarted, ActionEnded)]


def test_a_failed_call_does_not_stop_the_others(wire: str, tmp_path: Path) -> None:
    calls = [Call("nothing", {}, "c0"), Call("shell", {"command": ["echo", "fine"]}, "c1")]
    _, _, requests = run(tmp_path, [Reply(*calls), Reply(Say("done"))], wire=wire)
    outputs = requests[1].tool_outputs
    assert "no tool called" in outputs["c0"]
    assert "fine" in outputs["c1"]


def test_many_turns(wire: str, tmp_path: Path) -> None:
    turns: list[Step] = [Reply(Call("shell", {"command": ["echo", str(n)]})) for n in range(12)]
    (ending,), audience, requests = run(tmp_path, [*turns, Reply(Say("done"))], wire=wire)
    assert (ending.message, len(requests)) == ("done", 13)
    assert len(audience.of(ReplyEnded)) == 13


# --- Interrupts


class Interrupting:
    """Plays a script, interrupts the first task when `when` says so, then submits a second one."""

    def __init__(self, when: Callable[[Event], bool]) -> None:
        self.when = when
        self.audience = Watching(on_event=self._look)
        self.live: Any = None
        self.done = False

    def _look(self, event: Event) -> None:
        if not self.done and self.when(event):
            self.done = True
            self.live.interrupt()

    def play(self, folder: Path, script: Sequence[Step], **how: Any) -> tuple[list[Ending], list[Received]]:
        async def main(base_url: str) -> list[Ending]:
            with anyio.fail_after(20):
                async with make_host(folder, base_url, **{**OPEN, **how}).open(self.audience) as self.live:
                    return [await self.live.submit("first"), await self.live.submit("second")]

        with ModelServer(script) as server:
            return anyio.run(main, server.base_url), server.requests


@pytest.mark.parametrize("stateless", [False, True])
def test_after_an_interrupt_every_open_call_is_aborted_and_the_conversation_goes_on(
    wire: str, tmp_path: Path, stateless: bool
) -> None:
    """What was done before the interrupt is told as it was; the strict server takes the next request."""
    calls = [
        Call("shell", {"command": ["echo", "done before"]}, "c0"),
        Call("shell", {"command": ["sleep", "60"], "timeout": 60000}, "c1"),
        Call("shell", {"command": ["touch", "never"]}, "c2"),
    ]
    interrupting = Interrupting(lambda event: isinstance(event, ActionStarted) and event.call_id == "c1")
    script = [Reply(*calls), Reply(Say("on we go"))]
    (first, second), requests = interrupting.play(tmp_path, script, wire=wire, disable_response_storage=stateless)
    assert first == Ending(EndingKind.INTERRUPTED, "interrupted", 130)
    assert (second.message, second.exit_code) == ("on we go", 0)
    outputs = requests[1].tool_outputs
    assert "done before" in outputs["c0"]
    assert (outputs["c1"], outputs["c2"]) == ("aborted", "aborted")
    assert requests[1].user_texts[-1] == "second"
    assert not (tmp_path / "work/never").exists()
    assert [task.ending.kind.value for task in interrupting.audience.of(TaskEnded)] == [
        "interrupted",
        "answered",
    ]


def test_an_interrupt_while_the_model_answers(wire: str, tmp_path: Path) -> None:
    interrupting = Interrupting(lambda event: type(event).__name__ == "MessageDelta")
    script = [Reply(Say("halfathought", deltas=1), Stall()), Reply(Say("whole"))]
    (first, second), requests = interrupting.play(tmp_path, script, wire=wire)
    assert (first.kind, second.message) == (EndingKind.INTERRUPTED, "whole")
    assert "halfathought" not in str(requests[1].body)
    assert requests[1].user_texts == ["first", "second"]


def test_an_interrupt_in_a_pause_before_a_retry(wire: str, tmp_path: Path) -> None:
    interrupting = Interrupting(lambda event: isinstance(event, Notice) and "asking again" in event.message)
    script = [Status(429, headers={"Retry-After": "30"}), Reply(Say("whole"))]
    (first, second), requests = interrupting.play(tmp_path, script, wire=wire)
    assert (first.kind, second.message, len(requests)) == (EndingKind.INTERRUPTED, "whole", 2)


# --- Endings


@pytest.mark.parametrize(
    "reply", [Reply(), Reply(Say(" \n")), Reply(Think("hm"))], ids=["nothing", "blanks", "thoughts"]
)
def test_an_empty_answer_is_a_failure(wire: str, tmp_path: Path, reply: Reply) -> None:
    (ending,), _, _ = run(tmp_path, [reply], wire=wire)
    assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, 1)


def test_an_answer_cut_for_want_of_room_is_a_failure(wire: str, tmp_path: Path) -> None:
    (ending,), _, _ = run(tmp_path, [Reply(Say("The reason is"), finish="length")], wire=wire)
    assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, 1)
    assert "cut off" in ending.message


def test_the_conversation_goes_on_after_a_failure(wire: str, tmp_path: Path) -> None:
    script = [Status(400), Reply(Say("better"))]
    (first, second), _, requests = run(tmp_path, script, "first", "second", wire=wire)
    assert (first.exit_code, second.message) == (4, "better")
    assert requests[1].user_texts == ["first", "second"]


def test_the_events_of_a_task(wire: str, tmp_path: Path) -> None:
    usage = Usage(input=50, cached_input=20, output=10, reasoning=5)
    script = [
        Reply(Think("I should look."), Say("I look."), Call("shell", {"command": ["echo", "x"]}), usage=usage),
        Reply(Say("Done."), usage=usage),
    ]
    (ending,), audience, _ = run(tmp_path, script, "do it", wire=wire)
    complete = [event for event in audience.events if type(event).__name__[-5:] != "Delta"]
    names = [type(event).__name__ for event in complete]
    assert names[0] == "SessionStarted"
    expected = [
        "TaskStarted",
        "ReasoningSummaryDone",
        "MessageDone",
        "ReplyEnded",
        "ActionStarted",
        "ActionEnded",
    ]
    assert names[1:] == [*expected, "MessageDone", "ReplyEnded", "TaskEnded"]
    assert audience.of(TaskStarted)[0].prompt == "do it"
    assert audience.of(ReasoningSummaryDone) == [ReasoningSummaryDone("I should look.")]
    assert audience.of(MessageDone) == [MessageDone("I look."), MessageDone("Done.")]
    (ended,) = audience.of(TaskEnded)
    assert (ended.messages, ended.ending) == (("do it",), ending)
    assert ended.usage == usage + usage


# --- What a request holds


class Whistling(Instructions):
    rank = Instructions.PROJECT

    def text(self, cwd: Path, budget: int) -> str | None:
        return "Always whistle."


@pytest.mark.parametrize("stateless", [False, True])
def test_every_request_has_the_instructions_and_the_tools(wire: str, tmp_path: Path, stateless: bool) -> None:
    script = [Reply(Call("shell", {"command": ["true"]})), Reply(Say("a")), Reply(Say("b"))]
    how = {
        "parts": {"instructions.whistling": Whistling()},
        "disable_response_storage": stateless,
        "wire": wire,
    }
    _, _, requests = run(tmp_path, script, "one", "two", **how)
    assert len(requests) == 3
    for request in requests:
        body = request.body
        assert "Always whistle." in (body["instructions"] if wire == "responses" else body["messages"][0]["content"])
        assert set(request.tool_names) >= {"shell", "apply_patch"}
        assert (body["model"], body["stream"]) == ("test-model", True)


def test_a_server_that_remembers_is_told_only_what_is_new(tmp_path: Path) -> None:
    script = [Reply(Call("shell", {"command": ["true"]}, "c1")), Reply(Say("a")), Reply(Say("b"))]
    _, _, requests = run(tmp_path, script, "one", "two")
    assert requests[0].body.get("previous_response_id") is None
    assert all(request.body["store"] is True for request in requests)
    assert len({request.body.get("previous_response_id") for request in requests}) == 3
    assert [len(request.body["input"]) for request in requests] == [1, 1, 1]
    assert requests[2].user_texts == ["two"]


@pytest.mark.parametrize(("wire", "stateless"), [("responses", True), ("chat", False), ("chat", True)])
def test_any_other_server_is_told_everything(tmp_path: Path, wire: str, stateless: bool) -> None:
    script = [
        Reply(Say("I look."), Call("shell", {"command": ["true"]}, "c1")),
        Reply(Say("a")),
        Reply(Say("b")),
    ]
    _, _, requests = run(tmp_path, script, "one", "two", wire=wire, disable_response_storage=stateless)
    assert not any(request.body.get("previous_response_id") for request in requests)
    assert not any(request.body.get("store") for request in requests)
    assert requests[2].user_texts == ["one", "two"]
    assert list(requests[2].tool_outputs) == ["c1"]


# --- The log


class Memory(SessionStore, SessionLog):
    """Keeps records in memory; fails from the append number `failing` on."""

    def __init__(self, failing: int | None = None, error: Exception | None = None) -> None:
        self.records: list[Record] = []
        self.appends = 0
        self.closed = 0
        self._failing = failing
        self._error = error or StoreError("the disk is full")

    def open(self, session_id: str) -> SessionLog:
        return self

    def append(self, records: Sequence[Record]) -> None:
        self.appends += 1
        if self._failing is not None and self.appends > self._failing:
            raise self._error
        self.records += records

    def close(self) -> None:
        self.closed += 1

    def sessions(self) -> Any:
        return iter(())

    def load(self, session_id: str) -> Any:
        return iter(self.records)


def kept(store: Memory) -> dict[str, Any]:
    return {"kept": True, "session_store": "memory", "parts": {"session_store.memory": store}}


def test_the_log_holds_everything_in_order(wire: str, tmp_path: Path) -> None:
    store = Memory()
    script = [Reply(Say("I look."), Call("shell", {"command": ["true"]}, "c1")), Reply(Say("done"))]
    run(tmp_path, script, wire=wire, **kept(store))
    assert [type(record) for record in store.records] == [
        *(SessionBegan, TaskBegan, ItemAdded, ItemAdded, ItemAdded, ReplyCompleted),
        *(ItemAdded, ItemAdded, ReplyCompleted, TaskOver),
    ]
    assert store.closed == 1


def test_nothing_is_done_before_the_log_holds_it(tmp_path: Path) -> None:
    """A call is in the log when its action begins, its output when the model is asked again."""
    store = Memory()

    def look(received: Received) -> Reply:
        assert any(isinstance(record, ItemAdded) and isinstance(record.item, ToolOutput) for record in store.records)
        return Reply(Say("done"))

    def started(event: Event) -> None:
        if isinstance(event, ActionStarted):
            seen.append(any(isinstance(r, ItemAdded) and isinstance(r.item, ToolCall) for r in store.records))

    seen: list[bool] = []
    audience = Watching(on_event=started)
    run(tmp_path, [Reply(Call("shell", {"command": ["true"]})), look], audience=audience, **kept(store))
    assert seen == [True]


@pytest.mark.parametrize("error", [StoreError("the disk is full"), OSError(28, "No space left"), KeyError("a bug")])
@pytest.mark.parametrize(("failing", "requests"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)])
def test_a_log_that_fails_ends_the_task(tmp_path: Path, failing: int, requests: int, error: Exception) -> None:
    """After the session's beginning: the task's, the prompt, the reply with its call, the output, the next reply."""
    store = Memory(failing, error)
    call = Reply(Call("shell", {"command": ["/bin/sh", "-c", "echo x >>ran"]}))
    with ModelServer([call, Reply(Say("done"))]) as server:
        host = make_host(tmp_path, server.base_url, **{**OPEN, **kept(store)})
        audience = Watching()
        (ending,) = play(host, audience, "go")
        assert (ending.kind, ending.exit_code) == (EndingKind.FAILED, 1)
        assert str(error.args[-1]) in ending.message
        assert len(server.requests) == requests
    assert (tmp_path / "work/ran").exists() is (failing >= 4)
    assert store.closed == 1


def test_a_session_that_cannot_begin_does_not(tmp_path: Path) -> None:
    with ModelServer() as server, pytest.raises(StoreError, match="the disk is full"):
        play(make_host(tmp_path, server.base_url, **kept(Memory(0))), Watching(), "go")
    assert server.requests == []


def test_the_user_may_go_on_unsaved(wire: str, tmp_path: Path) -> None:
    audience = Watching(True)
    store = Memory(2)
    script = [Reply(Call("shell", {"command": ["true"]})), Reply(Say("done"))]
    (ending,), _, _ = run(tmp_path, script, audience=audience, wire=wire, **kept(store))
    assert (ending.message, ending.exit_code) == ("done", 0)
    assert len(audience.questions) == 1
    assert store.appends == 3


# --- Toolsets that do not come up


class Broken(Toolset):
    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        raise KeyError("a bug")


def test_a_toolset_that_does_not_open_is_left_out_and_told(tmp_path: Path) -> None:
    (ending,), audience, requests = run(tmp_path, [Reply(Say("done"))], parts={"toolset.broken": Broken()})
    assert ending.exit_code == 0
    assert any("'broken'" in notice.message and "a bug" in notice.message for notice in audience.of(Notice))
    assert "shell" in requests[0].tool_names


def test_a_tool_acts_through_the_workbench_it_was_lent(tmp_path: Path) -> None:
    async def act(call: ToolCall) -> ToolResult:
        assert one.workbench is not None
        outcome = await one.workbench.perform(call.call_id, Exec(("echo", "inner"), one.workbench.cwd))
        return ToolResult(repr(outcome))

    one = One("act", act, Effects.ACTIONS)
    script = [Reply(Call("act", {}, "c1")), Reply(Say("done"))]
    _, audience, requests = run(tmp_path, script, parts={"toolset.one": one})
    assert "inner" in requests[1].tool_outputs["c1"]
    assert [event.call_id for event in audience.of(ActionEnded)] == ["c1"]
