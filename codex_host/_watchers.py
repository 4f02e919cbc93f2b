"""Telling watchers what happens: the audience at once, observers in threads of their own.

Pieces of text (deltas) are merged, so that an audience is asked to show at most 30 of each source in a second, however
fast a model writes; complete events go out at once and push out the pieces before them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from codex_host._plugins import Found, guarded
from codex_host.errors import PluginError
from codex_host.events import (
    Delta,
    Event,
    MessageDelta,
    Notice,
    NoticeLevel,
    OutputDelta,
    ReasoningSummaryDelta,
    TaskEnded,
)
from codex_host.parts import Audience

__all__ = ["Observer", "Watchers", "observer_of"]

INTERVAL = 1 / 30
FINISHING = 2.0
"""Seconds that observers have at the end of a session."""
QUEUED = 10_000
"""Events that an observer may be behind; the host does not wait for a slower one, it loses it."""


class Observer:
    """A recorder or notifier at work: events go in from the loop, a thread hands them to the part."""

    def __init__(self, found: Found, handle: Callable[[Any], None], close: Callable[[], None]) -> None:
        self.found = found
        self.failure: PluginError | None = None
        self._handle = handle
        self._close = close
        self._events: queue.Queue[Event | None] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._work, name=f"{found.kind} {found.name}", daemon=True)
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Hand over an event without waiting; an observer that failed or is too far behind gets no more."""
        if self.failure is None:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                self.failure = PluginError(f"{self.found.origin} is too slow to record what happens and was left out")

    def finish(self, deadline: float) -> bool:
        """Let it do what is left, for at most `deadline` seconds; whether it is done. Blocking."""
        try:
            self._events.put(None, timeout=deadline)
        except queue.Full:
            return False
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            with guarded(self.found.origin, f"as {self.found.kind} {self.found.name!r}"):
                while (event := self._events.get()) is not None:
                    self._handle(event)
                self._close()
        except Exception as error:  # noqa: BLE001  whatever it is, the run goes on without this observer
            self.failure = error if isinstance(error, PluginError) else PluginError(f"{self.found.origin}: {error}")


class Watchers:
    """Everybody who is told of one session's events. `show` is called on the event loop only."""

    def __init__(self, audience: Audience, make: Callable[[str], Sequence[Observer]]) -> None:
        self._audience = audience
        self._make = make
        self._observers: dict[str, Sequence[Observer]] = {}
        self._pieces: dict[tuple[type, str], list[Delta]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told: set[int] = set()

    def show(self, event: Event) -> None:
        """Tell everybody."""
        if isinstance(event, (MessageDelta, ReasoningSummaryDelta, OutputDelta)):
            self._merge(event)
            return
        self._flush()
        self._audience.show(event)
        self._tell("recorder", event)
        if isinstance(event, TaskEnded):
            self._tell("notifier", event)

    def finish(self) -> None:
        """Let observers finish what they have; blocking, at most FINISHING seconds in all."""
        end = time.monotonic() + FINISHING
        for observer in chain.from_iterable(self._observers.values()):
            observer.finish(max(end - time.monotonic(), 0.0))

    def _tell(self, kind: str, event: Event) -> None:
        """Tell the observers of a kind, which are made when they are first needed."""
        if kind not in self._observers:
            self._observers[kind] = self._make(kind)
        for observer in self._observers[kind]:
            observer.tell(event)
            self._report(observer)

    def _merge(self, piece: Delta) -> None:
        self._pieces.setdefault((type(piece), getattr(piece, "call_id", "")), []).append(piece)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pieces, self._pieces = self._pieces, {}
        for same in pieces.values():
            self._audience.show(replace(same[0], text="".join(piece.text for piece in same)))

    def _report(self, observer: Observer) -> None:
        """Tell the audience once that an observer is out."""
        if observer.failure is not None and id(observer) not in self._told:
            self._told.add(id(observer))
            self._audience.show(Notice(str(observer.failure), NoticeLevel.WARNING))


def observer_of(found: Found) -> Observer:
    """An observer for a recorder or a notifier."""
    if found.kind == "recorder":
        return Observer(found, found.part.record, found.part.close)
    return Observer(found, found.part.notify, lambda: None)
