"""Telling watchers: in order, merged where that is allowed, and nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from codex_host import _watchers
from codex_host._plugins import Found
from codex_host._watchers import Observer, Watchers, observer_of
from codex_host.errors import StoreError
from codex_host.events import (
    Ending,
    EndingKind,
    Event,
    MessageDelta,
    MessageDone,
    Notice,
    OutputDelta,
    ReasoningSummaryDelta,
    TaskEnded,
    TaskStarted,
)
from codex_host.parts import Notifier, Recorder
from codex_host.testing.model_server import ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play

ENDED = TaskEnded("1", ("go",), Ending(EndingKind.ANSWERED, "done", 0))


class Recording(Recorder):
    """Keeps what it gets; does what the test says at each event."""

    def __init__(self, at: Callable[[Event], object] = lambda event: None) -> None:
        self.events: list[Event] = []
        self.threads: set[threading.Thread] = set()
        self.closed = False
        self._at = at

    def record(self, event: Event) -> None:
        self.threads.add(threading.current_thread())
        self.events.append(event)
        self._at(event)

    def close(self) -> None:
        self.closed = True


class Notifying(Notifier):
    def __init__(self, at: Callable[[Event], object] = lambda event: None) -> None:
        self.events: list[Event] = []
        self._at = at

    def notify(self, event: TaskEnded) -> None:
        self.events.append(event)
        self._at(event)


def found(part: object, kind: str = "recorder") -> Found:
    return Found(part, kind, "test", "codex-test 1.0")


def observers(**parts: object) -> Callable[[str], list[Observer]]:
    def make(kind: str) -> list[Observer]:
        return [observer_of(found(parts[kind], kind))] if kind in parts else []

    return make


def shown(events: list[Event], audience: Watching | None = None, **parts: object) -> Watching:
    """Tell these events within one loop, wait for what is merged, and finish."""
    audience = audience or Watching()

    async def main() -> None:
        watchers = Watchers(audience, observers(**parts))
        for event in events:
            watchers.show(event)
        await anyio.sleep(3 * _watchers.INTERVAL)
        watchers.finish()

    anyio.run(main)
    return audience


# --- Merging


def test_pieces_of_one_source_are_merged_and_come_without_a_further_event() -> None:
    assert shown([MessageDelta("a"), MessageDelta("b"), MessageDelta("c")]).events == [MessageDelta("abc")]


def test_pieces_of_different_sources_are_not() -> None:
    pieces: list[Event] = [
        MessageDelta("a"),
        OutputDelta("1", "x"),
        ReasoningSummaryDelta("r"),
        OutputDelta("2", "y"),
    ]
    assert shown([*pieces, MessageDelta("b"), OutputDelta("1", "z")]).events == [
        MessageDelta("ab"),
        OutputDelta("1", "xz"),
        ReasoningSummaryDelta("r"),
        OutputDelta("2", "y"),
    ]


def test_a_complete_event_pushes_out_the_pieces_before_it() -> None:
    events: list[Event] = [
        MessageDelta("a"),
        MessageDelta("b"),
        MessageDone("ab"),
        MessageDelta("c"),
        Notice("n"),
    ]
    assert shown(events).events == [MessageDelta("ab"), MessageDone("ab"), MessageDelta("c"), Notice("n")]


def test_a_fast_source_is_shown_at_most_thirty_times_a_second() -> None:
    audience = Watching()

    async def main() -> float:
        watchers = Watchers(audience, observers())
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            watchers.show(MessageDelta("x"))
            await anyio.lowlevel.checkpoint()
        took = time.monotonic() - began
        watchers.show(Notice("end"))
        return took

    took = anyio.run(main)
    pieces = audience.of(MessageDelta)
    assert 2 <= len(pieces) <= 30 * took + 2


def test_a_flood_between_two_looks_takes_little_time() -> None:
    watchers_time = time.process_time()
    audience = shown([OutputDelta("1", "x" * 1000)] * 50_000)
    assert sum(len(piece.text) for piece in audience.of(OutputDelta)) == 50_000_000
    assert time.process_time() - watchers_time < 3


# --- Observers


def test_a_recorder_gets_every_complete_event_in_order_in_its_own_thread() -> None:
    recorder = Recording()
    events: list[Event] = [
        TaskStarted("1", "go"),
        MessageDelta("a"),
        *(Notice(str(n)) for n in range(100)),
        ENDED,
    ]
    shown(events, recorder=recorder)
    assert recorder.events == [event for event in events if not isinstance(event, MessageDelta)]
    assert recorder.closed
    assert len(recorder.threads) == 1
    assert threading.current_thread() not in recorder.threads
    assert not any(thread.is_alive() for thread in recorder.threads)


def test_a_notifier_gets_only_the_end_of_tasks() -> None:
    notifier = Notifying()
    shown([TaskStarted("1", "go"), Notice("x"), ENDED], notifier=notifier)
    assert notifier.events == [ENDED]


def test_observers_are_made_when_they_are_first_needed() -> None:
    made: list[str] = []

    async def main() -> None:
        watchers = Watchers(Watching(), lambda kind: made.append(kind) or [])
        watchers.show(MessageDelta("a"))
        assert made == []
        watchers.show(Notice("x"))
        watchers.show(Notice("x"))
        assert made == ["recorder"]
        watchers.show(ENDED)
        watchers.show(ENDED)
        assert made == ["recorder", "notifier"]

    anyio.run(main)


def raising(error: Exception) -> Callable[[Event], object]:
    def at(event: Event) -> None:
        raise error

    return at


@pytest.mark.parametrize("error", [KeyError("a bug"), StoreError("the disk is full")])
def test_an_observer_that_fails_is_named_once_and_gets_no_more(error: Exception) -> None:
    recorder = Recording(raising(error))
    audience = Watching()

    async def main() -> None:
        watchers = Watchers(audience, observers(recorder=recorder))
        with anyio.fail_after(5):
            while not audience.of(Notice):
                watchers.show(TaskStarted("1", "go"))
                await anyio.sleep(0.01)
        for _ in range(20):
            watchers.show(TaskStarted("2", "go"))
        watchers.finish()

    anyio.run(main)
    (notice,) = audience.of(Notice)
    assert "codex-test 1.0" in notice.message
    assert str(error.args[0]) in notice.message
    assert len(recorder.events) == 1


def test_an_observer_that_hangs_is_left_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watchers, "FINISHING", 0.3)
    release = threading.Event()
    began = time.monotonic()
    audience = shown([Notice("x"), ENDED], recorder=Recording(lambda event: release.wait(20)))
    release.set()
    assert 0.3 <= time.monotonic() - began < 2
    assert audience.events == [Notice("x"), ENDED]


def test_an_observer_that_is_too_far_behind_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watchers, "QUEUED", 10)
    monkeypatch.setattr(_watchers, "FINISHING", 0.1)
    release = threading.Event()
    audience = shown(
        [TaskStarted(str(n), "go") for n in range(100)], recorder=Recording(lambda event: release.wait(20))
    )
    release.set()
    assert len(audience.of(TaskStarted)) == 100
    (notice,) = audience.of(Notice)
    assert "too slow" in notice.message


# --- In a whole session


def test_a_broken_recorder_harms_no_run(tmp_path: Path) -> None:
    recorder, notifier = Recording(raising(KeyError("a bug"))), Notifying(raising(KeyError("a bug")))
    parts: dict[str, Any] = {"recorder.broken": recorder, "notifier.broken": notifier}
    audience = Watching()
    with ModelServer([Reply(Say("done"))]) as server:
        (ending,) = play(make_host(tmp_path, server.base_url, parts=parts), audience, "go")
    assert (ending.message, ending.exit_code) == ("done", 0)
    assert (len(recorder.events), len(notifier.events)) == (1, 1)
