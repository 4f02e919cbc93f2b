"""A session at work: one task of the event loop owns everything that has a life, others post to it.

What a session opens is entered and left in that one task, as asynchronous libraries want it. A request of the user runs
in a child task of it, so that an interrupt cancels the request and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio

from codex_host._loop import run_task
from codex_host._session import Session
from codex_host.errors import CodexError
from codex_host.events import Ending, EndingKind
from codex_host.items import Item, Usage

__all__ = ["LiveConversation", "Opened"]

T = TypeVar("T")
INTERRUPTED = Ending(EndingKind.INTERRUPTED, "interrupted", 130)
CLOSING_TIME = 2.0
"""Seconds that a cancelled `submit` waits for the end of its task."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open session and the stack that leaves it."""

    session: Session
    stack: contextlib.AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Enter:
    """Post: open something that lives as long as the session."""

    open: Callable[[contextlib.AsyncExitStack], Awaitable[Any]]
    result: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Submit:
    """Post: a request of the user; `scope` is what its task runs in."""

    prompt: str
    ending: asyncio.Future[Ending]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class LiveConversation:
    """The host's side of the protocol `Conversation`; an async context manager that yields itself.

    `opening` opens the session, in the session's own task.
    """

    def __init__(self, opening: Callable[[LiveConversation], Awaitable[Opened]]) -> None:
        self._opening = opening
        self._posts: asyncio.Queue[_Enter | _Submit | None] = asyncio.Queue()
        self._turn = anyio.Lock()
        self._running: anyio.CancelScope | None = None
        self._closing = False
        self._tasks = 0

    async def __aenter__(self) -> LiveConversation:
        self._session: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._life: asyncio.Future[None] = asyncio.ensure_future(self._live())
        try:
            await self._alive_until(self._session)
        except asyncio.CancelledError:
            self._life.cancel()
            with anyio.move_on_after(CLOSING_TIME, shield=True):
                await asyncio.wait([self._life])
            raise
        if not self._session.done():
            self._session.cancel()
            await self._life
        return self

    async def __aexit__(self, *exception: object) -> None:
        with anyio.CancelScope(shield=True):
            self._closing = True
            self.interrupt()
            self._posts.put_nowait(None)
            await self._life

    @property
    def session_id(self) -> str:
        """The session's name in the store."""
        return self._session.result().session_id

    @property
    def usage(self) -> Usage:
        """The tokens used so far."""
        return self._session.result().transcript.usage

    def history(self) -> Sequence[Item]:
        """All that was said, oldest first."""
        return tuple(self._session.result().transcript.items)

    async def submit(self, prompt: str) -> Ending:
        """Give the model a task and wait for its end; cancelling the wait interrupts the task."""
        post = _Submit(prompt, asyncio.get_running_loop().create_future())
        self._posts.put_nowait(post)
        try:
            await self._alive_until(post.ending)
        except asyncio.CancelledError:
            post.scope.cancel()
            with anyio.move_on_after(CLOSING_TIME, shield=True):
                await self._alive_until(post.ending)
            raise
        if not post.ending.done():
            await self._life  # it raises what ended it
            return INTERRUPTED
        return post.ending.result()

    def interrupt(self) -> None:
        """End the running task; nothing if none runs."""
        if self._running is not None:
            self._running.cancel()

    def once(self, opening: Callable[[contextlib.AsyncExitStack], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """A function that opens something in the session's own task when it is first called, and keeps it."""
        posts: list[_Enter] = []

        async def get() -> T:
            if not posts or (posts[0].result.done() and posts[0].result.exception() is not None):
                posts[:] = [_Enter(opening, asyncio.get_running_loop().create_future())]
                self._posts.put_nowait(posts[0])
            result: T = await asyncio.shield(posts[0].result)  # an interrupt of one who waits opens nothing twice
            return result

        return get

    async def _alive_until(self, future: asyncio.Future[Any]) -> None:
        """Wait for a result, or for the end of the session if that comes first."""
        await asyncio.wait([future, self._life], return_when=asyncio.FIRST_COMPLETED)

    async def _live(self) -> None:
        opened = await self._opening(self)
        async with opened.stack, anyio.create_task_group() as tasks, contextlib.AsyncExitStack() as late:
            self._session.set_result(opened.session)
            while (post := await self._posts.get()) is not None:
                match post:
                    case _Submit():
                        self._tasks += 1
                        tasks.start_soon(self._run, opened.session, str(self._tasks), post)
                    case _Enter():
                        await _enter(post, late)
            self.interrupt()
            async with self._turn:  # the task under way has ended
                pass

    async def _run(self, session: Session, task_id: str, post: _Submit) -> None:
        async with self._turn:
            ending = INTERRUPTED
            if not self._closing and not post.scope.cancel_called:
                with post.scope as self._running:
                    ending = await run_task(session, task_id, post.prompt)
                self._running = None
            if not post.ending.done():
                post.ending.set_result(ending)


async def _enter(post: _Enter, stack: contextlib.AsyncExitStack) -> None:
    try:
        result = await post.open(stack)
    except CodexError as error:
        if not post.result.done():
            post.result.set_exception(error)
    else:
        if not post.result.done():
            post.result.set_result(result)
