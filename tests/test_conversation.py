"""A session at work: who owns what, tasks that wait their turn, interrupts, and how a session ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from codex_host.actions import Exec
from codex_host.errors import CodexError, PluginError, SandboxError
from codex_host.events import ActionStarted, Ending, EndingKind, Event, SessionStarted, TaskEnded, TaskStarted
from codex_host.items import AssistantMessage, Usage, UserMessage
from codex_host.parts import Conversation, Launch, Sandbox, Tool, Toolset, Workbench
from codex_host.permissions import Fence, Guarantee
from codex_host.testing.model_server import Call, ModelServer, Reply, Say, Stall, Status, Step
from codex_host.testing.session import Watching, make_host

OPEN = {"sandbox_mode": "danger-full-access"}
INTERRUPTED = Ending(EndingKind.INTERRUPTED, "interrupted", 130)
SLEEP = Reply(Call("shell", {"command": ["sleep", "60"], "timeout": 60000}))


def within(folder: Path, script: Sequence[Step], body: Any, audience: Watching | None = None, **how: Any) -> Any:
    """Run `body(conversation)` in an open session; at most 20 s."""

    async def main(base_url: str) -> Any:
        with anyio.fail_after(20):
            async with make_host(folder, base_url, **{**OPEN, **how}).open(audience or Watching()) as conversation:
                return await body(conversation)

    with ModelServer(script) as server:
        return anyio.run(main, server.base_url)


def test_a_conversation_of_several_tasks(tmp_path: Path) -> None:
    async def body(conversation: Conversation) -> None:
        assert (await conversation.submit("one")).message == "first"
        assert (await conversation.submit("two")).message == "second"
        assert [type(item) for item in conversation.history()] == [UserMessage, AssistantMessage] * 2
        assert conversation.usage == Usage(200, 0, 40)
        assert conversation.session_id

    within(tmp_path, [Reply(Say("first")), Reply(Say("second"))], body)


def test_tasks_wait_their_turn(tmp_path: Path) -> None:
    async def body(conversation: Conversation) -> list[Ending]:
        return await asyncio.gather(*(conversation.submit(word) for word in ("one", "two", "three")))

    audience = Watching()
    script = [Reply(Say(word)) for word in ("1", "2", "3")]
    endings = within(tmp_path, script, body, audience)
    assert [ending.message for ending in endings] == ["1", "2", "3"]
    order = [type(event) for event in audience.events if isinstance(event, (TaskStarted, TaskEnded))]
    assert order == [TaskStarted, TaskEnded] * 3
    assert [event.prompt for event in audience.of(TaskStarted)] == ["one", "two", "three"]


def test_an_interrupt_without_a_task_is_nothing(tmp_path: Path) -> None:
    async def body(conversation: Conversation) -> Ending:
        conversation.interrupt()
        ending = await conversation.submit("go")
        conversation.interrupt()
        return ending

    assert within(tmp_path, [Reply(Say("done"))], body).message == "done"


def begun(audience: Watching) -> bool:
    return bool(audience.of(ActionStarted))


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - nothing would set an event
        await anyio.sleep(0.01)


def test_an_interrupt_ends_the_task_and_no_other(tmp_path: Path) -> None:
    audience = Watching()

    async def body(conversation: Conversation) -> list[Ending]:
        first, second = (asyncio.ensure_future(conversation.submit(word)) for word in ("one", "two"))
        await until(lambda: begun(audience))
        conversation.interrupt()
        return [await first, await second]

    first, second = within(tmp_path, [SLEEP, Reply(Say("done"))], body, audience)
    assert (first, second.message) == (INTERRUPTED, "done")


def test_cancelling_a_submit_ends_its_task(tmp_path: Path) -> None:
    audience = Watching()

    async def body(conversation: Conversation) -> Ending:
        task = asyncio.ensure_future(conversation.submit("one"))
        await until(lambda: begun(audience))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert audience.of(TaskEnded)[0].ending == INTERRUPTED
        return await conversation.submit("two")

    assert within(tmp_path, [SLEEP, Reply(Say("done"))], body, audience).message == "done"


def test_cancelling_a_submit_that_waits_ends_no_other_and_its_task_never_begins(tmp_path: Path) -> None:
    audience = Watching()
    go = tmp_path / "go"
    waiting = f"while [ ! -e {go} ]; do sleep 0.01; done; echo went"
    script = [Reply(Call("shell", {"command": ["/bin/sh", "-c", waiting]})), Reply(Say("done"))]

    async def body(conversation: Conversation) -> Ending:
        first = asyncio.ensure_future(conversation.submit("one"))
        await until(lambda: begun(audience))
        second = asyncio.ensure_future(conversation.submit("two"))
        await anyio.sleep(0.05)
        second.cancel()
        await anyio.sleep(0.05)
        go.touch()
        with pytest.raises(asyncio.CancelledError):
            await second
        return await first

    assert within(tmp_path, script, body, audience).message == "done"
    assert [event.prompt for event in audience.of(TaskStarted)] == ["one"]


def test_leaving_ends_what_is_under_way(tmp_path: Path) -> None:
    audience = Watching()

    async def body(conversation: Conversation) -> list[asyncio.Task[Ending]]:
        tasks = [asyncio.ensure_future(conversation.submit(word)) for word in ("one", "two")]
        await until(lambda: begun(audience))
        return tasks

    began = time.monotonic()
    tasks = within(tmp_path, [SLEEP], body, audience)
    assert time.monotonic() - began < 3
    assert [task.result() for task in tasks] == [INTERRUPTED, INTERRUPTED]
    assert len(audience.of(TaskStarted)) == 1


def test_after_leaving_nothing_is_done(tmp_path: Path) -> None:
    kept: list[Conversation] = []

    async def body(conversation: Conversation) -> None:
        kept.append(conversation)

    async def main(base_url: str) -> Ending:
        async with make_host(tmp_path, base_url, **OPEN).open(Watching()) as conversation:
            pass
        return await conversation.submit("late")

    with ModelServer() as server:
        assert anyio.run(main, server.base_url) == INTERRUPTED


# --- What a session opens


class Living(Toolset):
    """Notes the task in which it is entered and left, and what is raised on the way."""

    def __init__(self, log: list[str], name: str, error: Exception | None = None) -> None:
        self.log = log
        self.name = name
        self.error = error
        self.tasks: set[Any] = set()

    async def __aenter__(self) -> Toolset:
        self.tasks.add(asyncio.current_task())
        self.log.append(f"enter {self.name}")
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.tasks.add(asyncio.current_task())
        self.log.append(f"leave {self.name}")

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        self.tasks.add(asyncio.current_task())
        if self.error is not None:
            raise self.error
        return []


class Holding(Sandbox):
    guarantees = frozenset(Guarantee)

    def __init__(self, log: list[str], error: Exception | None = None) -> None:
        self.log = log
        self.tasks: set[Any] = set()
        self.error = error

    def unavailable(self) -> str | None:
        if self.error is not None:
            raise self.error
        return None

    async def __aenter__(self) -> Sandbox:
        self.tasks.add(asyncio.current_task())
        self.log.append("enter sandbox")
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.tasks.add(asyncio.current_task())
        self.log.append("leave sandbox")

    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        assert fence.writable is not None
        trial = f"echo works; echo x >{fence.writable[0]}/file" if fence.writable else "echo ran"
        return Launch(("/bin/sh", "-c", trial), env, command.cwd)


def test_everything_is_entered_and_left_in_one_task_in_reverse(tmp_path: Path) -> None:
    log: list[str] = []
    parts = {"toolset.a": Living(log, "a"), "toolset.b": Living(log, "b"), "sandbox.s": Holding(log)}

    async def body(conversation: Conversation) -> None:
        await conversation.submit("go")
        log.append("answered")

    script = [Reply(Call("shell", {"command": ["true"]})), Reply(Say("done"))]
    within(tmp_path, script, body, parts=parts, sandbox_backend="s", sandbox_mode="read-only")
    trial = ["enter sandbox", "leave sandbox"]
    opened = ["enter a", "enter b", *trial, "enter sandbox", "answered"]
    assert log == [*opened, "leave sandbox", "leave b", "leave a"]
    assert len(set().union(*(part.tasks for part in parts.values()))) == 1


def test_what_was_entered_is_left_even_if_opening_fails(tmp_path: Path) -> None:
    log: list[str] = []
    parts = {"toolset.a": Living(log, "a"), "toolset.b": Living(log, "b", KeyError("a bug"))}

    async def body(conversation: Conversation) -> Ending:
        return await conversation.submit("go")

    assert within(tmp_path, [Reply(Say("done"))], body, parts=parts).message == "done"
    assert sorted(log) == ["enter a", "enter b", "leave a", "leave b"]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"model_provider": "nowhere"}, PluginError),
        ({"wire": "nowhere"}, PluginError),
        ({"approval_policy": "nowhere"}, PluginError),
        ({"kept": True, "session_store": "nowhere"}, PluginError),
        ({"provider": {"env_key": "NOT_SET_ANYWHERE"}}, CodexError),
    ],
    ids=str,
)
def test_a_session_that_does_not_open_leaves_everything_and_says_why(
    tmp_path: Path, how: dict[str, Any], error: type[Exception]
) -> None:
    log: list[str] = []
    audience = Watching()

    async def body(conversation: Conversation) -> None:
        raise AssertionError("it opened")

    with pytest.raises(error) as raised:
        within(tmp_path, [], body, audience, parts={"toolset.a": Living(log, "a")}, **how)
    assert "nowhere" in str(raised.value) or "NOT_SET_ANYWHERE" in str(raised.value)
    assert log in ([], ["enter a", "leave a"])
    assert audience.of(SessionStarted) == [] or log


def test_a_session_that_is_cancelled_while_it_opens_leaves_what_it_entered(tmp_path: Path) -> None:
    log: list[str] = []

    class Slow(Living):
        async def open(self, workbench: Workbench) -> Sequence[Tool]:
            log.append("opening")
            await anyio.sleep_forever()
            return []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session)
            await until(lambda: "opening" in log)
            tasks.cancel_scope.cancel()
        assert log == ["enter slow", "opening", "leave slow"]

    async def session() -> None:
        host = make_host(tmp_path, "http://127.0.0.1:9/v1", parts={"toolset.slow": Slow(log, "slow")})
        async with host.open(Watching()):
            raise AssertionError("it opened")

    anyio.run(main)


def test_a_sandbox_that_breaks_is_a_failure_of_the_task_and_not_a_hang(tmp_path: Path) -> None:
    async def body(conversation: Conversation) -> list[Ending]:
        return [await conversation.submit("one"), await conversation.submit("two")]

    parts = {"sandbox.s": Holding([], KeyError("a bug"))}
    script = [Reply(Call("shell", {"command": ["true"]})), Reply(Say("still there"))]
    how: dict[str, Any] = {"parts": parts, "sandbox_backend": "s", "sandbox_mode": "read-only"}
    first, second = within(tmp_path, script, body, **how)
    assert first.exit_code == SandboxError.exit_code
    assert "a bug" in first.message
    assert second.message == "still there"


def test_a_bug_in_a_frontend_reaches_it_and_ends_the_session(tmp_path: Path) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, TaskStarted):
            raise ZeroDivisionError("a bug in the frontend")

    async def body(conversation: Conversation) -> Ending:
        return await conversation.submit("go")

    with pytest.raises(BaseException) as raised:  # noqa: PT011 - a group around it is as good
        within(tmp_path, [Reply(Say("done"))], body, Watching(on_event=fail))
    assert "ZeroDivisionError" in repr(raised.value)


def test_signals_of_the_server_side_do_not_matter_to_the_session(tmp_path: Path) -> None:
    async def body(conversation: Conversation) -> list[str]:
        return [(await conversation.submit(word)).message for word in ("one", "two", "three")]

    script = [Status(400, "no"), Reply(Say("half"), Stall(after_events=3)), Reply(Say("a")), Reply(Say("b"))]
    messages = within(tmp_path, script, body, provider={"stream_idle_timeout_ms": 200})
    assert "no" in messages[0]
    assert messages[1:] == ["a", "b"]
