"""The agent: ask the model, do what it asks for, tell it the outcome, until it has nothing more to ask.

This is the file to read first. A *task* is one request of the user; a *turn* is one reply of the model with all that it
asked for. A reply that asks for nothing completes the task.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from codex_host._plugins import guarded
from codex_host._session import Session
from codex_host._transport import RetryBudget, pause
from codex_host.actions import Failed, Refused, Use, Used
from codex_host.errors import CodexError, ModelError, PluginError, RefusalError, StoreError, ToolError
from codex_host.events import (
    CallFailed,
    Ending,
    EndingKind,
    MessageDelta,
    MessageDone,
    Notice,
    NoticeLevel,
    ReasoningSummaryDelta,
    ReasoningSummaryDone,
    ReplyDiscarded,
    ReplyEnded,
    TaskEnded,
    TaskStarted,
)
from codex_host.items import (
    AssistantMessage,
    Completed,
    Effects,
    Item,
    ItemDone,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolOutput,
    ToolResult,
    UserMessage,
)
from codex_host.parts import Confirm
from codex_host.records import ItemAdded, Record, ReplyCompleted, TaskBegan, TaskOver

__all__ = ["run_task"]


@dataclass(slots=True)
class Reply:
    """One reply of the model: its items in order, and how it ended."""

    items: list[Item] = field(default_factory=list)
    completed: Completed = field(default_factory=Completed)

    @property
    def calls(self) -> list[ToolCall]:
        """What the model asks for."""
        return [item for item in self.items if isinstance(item, ToolCall)]

    @property
    def text(self) -> str:
        """What the model said to the user."""
        return "\n\n".join(item.text for item in self.items if isinstance(item, AssistantMessage))


async def run_task(session: Session, task_id: str, prompt: str) -> Ending:
    """Work on one request of the user; whatever happens is in the ending, and no call is left without an output."""
    session.show(TaskStarted(task_id, prompt))
    before = session.transcript.usage
    ending = Ending(EndingKind.FAILED, "codex-host itself failed", 70)
    try:
        await keep(session, TaskBegan(task_id, time.time()))
        ending = Ending(EndingKind.ANSWERED, await converse(session, prompt), 0)
    except anyio.get_cancelled_exc_class():
        ending = Ending(EndingKind.INTERRUPTED, "interrupted", 130)
        raise
    except CodexError as error:
        kind = EndingKind.REFUSED if isinstance(error, RefusalError) else EndingKind.FAILED
        ending = Ending(kind, str(error), error.exit_code)
    finally:
        with anyio.CancelScope(shield=True):
            await close_task(session, TaskOver(task_id, time.time(), ending))
        used = session.transcript.usage
        session.show(TaskEnded(task_id, (prompt,), ending, used - before))
    return ending


async def converse(session: Session, prompt: str) -> str:
    """Turn after turn until the model asks for nothing more; its last words."""
    await keep(session, ItemAdded(UserMessage((Text(prompt),))))
    while True:
        reply = await ask_model(session)
        for call in reply.calls:
            await keep(session, ItemAdded(await answer(session, call)))  # at once: what is done is done
        if not reply.calls:
            return conclusion(reply)


def conclusion(reply: Reply) -> str:
    """The last reply's text. Raises CodexError if that is no answer."""
    if reply.completed.cut:
        raise CodexError("the model ran out of room, so its answer is cut off; raise its output limit or ask for less")
    if not reply.text.strip():
        raise CodexError("the model ended without an answer; ask again, or try another model")
    return reply.text


async def ask_model(session: Session) -> Reply:
    """One reply, whole and in the log; a stream that breaks off is asked for again within the turn's budget."""
    budget = session.model.budget()
    while True:
        try:
            reply = await one_reply(session, budget)
        except ModelError as error:
            if error.kind == "forgotten" and not session.forgetful:
                session.forgetful = True
                session.show(Notice(f"{str(error).rstrip('.')}; from now on each request repeats the conversation"))
                continue
            if error.retry is None or not budget.spend_stream():
                raise
            session.show(ReplyDiscarded(str(error)))
            session.show(Notice(f"{error}; asking again"))
            await anyio.sleep(error.retry or pause(budget.asked))
        else:
            completed = ReplyCompleted(reply.completed.response_id, reply.completed.usage)
            await keep(session, *map(ItemAdded, reply.items), completed)
            session.show(ReplyEnded(reply.completed.usage))
            return reply


async def one_reply(session: Session, budget: RetryBudget) -> Reply:
    """Ask once, telling watchers what comes as it comes."""

    def retrying(error: ModelError, wait: float) -> None:
        session.show(Notice(f"{error}; asking again in {wait:.1f} s"))

    reply = Reply()
    stream = session.model.stream(session.request(), budget, retrying)
    async with aclosing(stream):  # type: ignore[type-var]
        async for event in stream:
            match event:
                case TextDelta(text):
                    session.show(MessageDelta(text))
                case ReasoningDelta(text):
                    session.show(ReasoningSummaryDelta(text))
                case ItemDone(item):
                    reply.items.append(item)
                    show_item(session, item)
                case Completed():
                    reply.completed = event
    return reply


def show_item(session: Session, item: Item) -> None:
    """Tell watchers of a complete item; calls are told when they are carried out."""
    match item:
        case AssistantMessage(text):
            session.show(MessageDone(text))
        case Reasoning(summary) if summary:
            session.show(ReasoningSummaryDone("\n\n".join(summary)))
        case _:
            pass


async def answer(session: Session, call: ToolCall) -> ToolOutput:
    """Run one tool call; what goes wrong in it is told to the model, never raised."""
    offered = session.offered(call.name)
    try:
        if offered is None:
            known = ", ".join(session.tools) or "none"
            raise ToolError(f"there is no tool called {call.name!r}; the tools are: {known}")
        if offered.tool.spec.effects is Effects.OUTSIDE:
            outcome = await session.workbench.perform(call.call_id, Use(offered.tool.spec.name, call.arguments))
            return ToolOutput(call.call_id, used(outcome))
        with guarded(offered.origin, f"in the tool {call.name!r}"):
            return ToolOutput(call.call_id, await offered.tool.call(call))
    except PluginError as error:
        session.show(Notice(str(error), NoticeLevel.WARNING))
        return failed(session, call, str(error))
    except ToolError as error:
        return failed(session, call, str(error))


def used(outcome: object) -> ToolResult:
    """What the model is told of a reviewed tool call."""
    match outcome:
        case Used(result):
            return result
        case Refused(by, reason):
            return ToolResult(f"refused by {by}: {reason}", success=False)
        case Failed(reason):
            return ToolResult(f"failed: {reason}", success=False)
        case _:
            raise TypeError(f"a tool call came to {outcome!r}")


def failed(session: Session, call: ToolCall, reason: str) -> ToolOutput:
    """The output of a call that came to nothing."""
    session.show(CallFailed(call.call_id, call.name, reason))
    return ToolOutput(call.call_id, ToolResult(reason, success=False))


async def close_task(session: Session, over: TaskOver) -> None:
    """Give every open call an output, since servers reject a conversation with a call left open; and log the end."""
    aborted = [
        ToolOutput(call.call_id, ToolResult("aborted", success=False)) for call in session.transcript.open_calls()
    ]
    try:
        await keep(session, *map(ItemAdded, aborted), over, asking=False)
    except StoreError as error:
        session.show(Notice(str(error), NoticeLevel.WARNING))


async def keep(session: Session, *records: Record, asking: bool = True) -> None:
    """Write records to the log and take them in; what the log does not hold has not happened.

    If they cannot be written the user is asked whether to go on without, unless the task is over and `asking` False.
    """
    if session.log is not None and session.store is not None:
        try:
            with guarded(session.store.origin, "writing the session down"):
                await anyio.to_thread.run_sync(session.log.append, records)
        except (StoreError, PluginError) as error:
            question = Confirm(f"{error}. Go on without saving this session?")
            if not asking or await session.workbench.review.ask(question) is not True:
                raise StoreError(str(error)) from error
            session.log = None
    session.transcript.apply(records)
