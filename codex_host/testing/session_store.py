"""What a session store must keep to: subclass `SessionStoreContract` in a pytest module."""

from __future__ import annotations

import importlib
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from codex_host.errors import StoreError
from codex_host.events import Ending, EndingKind
from codex_host.items import (
    AssistantMessage,
    Image,
    Item,
    Reasoning,
    Text,
    ToolCall,
    ToolOutput,
    ToolResult,
    Usage,
    UserMessage,
)
from codex_host.parts import SessionStore
from codex_host.records import ItemAdded, Record, ReplyCompleted, SessionBegan, TaskBegan, TaskOver
from codex_host.testing.contract import Contract

if TYPE_CHECKING:
    from codex_host.config import Config

__all__ = ["SessionStoreContract", "records"]

_PIXEL = Image("data:image/png;base64,iVBORw0KGgo=")


def records(session_id: str, time: float = 1_700_000_000.5) -> tuple[Record, ...]:
    """A short session with every kind of record and item, and with texts that are hard to write down."""
    items: tuple[Item, ...] = (
        UserMessage((Text("What is this?\n\u2028 é \U0001f600 \0"), _PIXEL)),
        Reasoning(("They ask.",), id="r1", encrypted="=="),
        ToolCall("c1", "shell", '{"command": ["ls", "half a character: \ud83d'),
        ToolOutput("c1", ToolResult("x" * 100_000, success=False, images=(_PIXEL,))),
        AssistantMessage(""),
    )
    return (
        SessionBegan(session_id, time, Path("/project/é \udc80"), "model", "provider", "0.1.0"),
        TaskBegan("1", time),
        *map(ItemAdded, items),
        ReplyCompleted(None, Usage(10, 5, 5, 1)),
        TaskOver("1", time + 1, Ending(EndingKind.ANSWERED, "A pixel.", 0)),
    )


class SessionStoreContract(Contract):
    """The promises of a `codex_host.parts.SessionStore` and its logs."""

    kind = "session_store"
    base: ClassVar[type] = SessionStore

    @pytest.fixture
    def store(self) -> SessionStore:
        """The store under test."""
        made = self.make()
        assert isinstance(made, SessionStore)
        return made

    def test_gives_back_what_was_appended(self, store: SessionStore) -> None:
        """Records come back equal and in order, however they were grouped, also while the log is open."""
        written = records("one")
        log = store.open("one")
        log.append(written[:1])
        log.append(())
        log.append(written[1:])
        assert tuple(store.load("one")) == written
        log.close()
        assert tuple(self.make().load("one")) == written

    def test_goes_on_where_it_ended(self, store: SessionStore) -> None:
        """A log that is opened again grows at its end."""
        for _ in range(3):
            log = store.open("one")
            log.append(records("one"))
            log.close()
        assert tuple(store.load("one")) == records("one") * 3

    def test_keeps_other_writers_out(self, store: SessionStore) -> None:
        """Only one can have a session open for writing; closing, once or twice, lets the next one in."""
        log = store.open("one")
        with pytest.raises(StoreError):
            self.make().open("one")
        other = store.open("two")
        log.close()
        log.close()
        self.make().open("one").close()
        other.close()

    def test_survives_its_process(self, store: SessionStore) -> None:
        """What was appended is there when the process ends without farewell, and others can go on with it."""
        spawn = multiprocessing.get_context("spawn")
        child = spawn.Process(target=_append_and_die, args=(self.module.__name__, self.name, self.config))
        child.start()
        child.join(60)
        assert child.exitcode == 9
        assert tuple(store.load("one")) == records("one")
        store.open("one").close()

    def test_lists_sessions_latest_first(self, store: SessionStore) -> None:
        """`sessions` yields what the first record says, one session after the other, the latest first."""
        assert list(store.sessions()) == []
        for number in range(3):
            name = f"session-{number}"
            log = store.open(name)
            log.append(records(name, time=1_700_000_000.0 + number))
            log.close()
        sessions = store.sessions()
        assert iter(sessions) is sessions
        found = [(session.session_id, session.time) for session in sessions]
        assert found == [(f"session-{number}", 1_700_000_000.0 + number) for number in (2, 1, 0)]

    @pytest.mark.parametrize("session_id", ["no-such-session", "", "../one", "a/b", "one\0", "*"])
    def test_knows_no_other_sessions(self, store: SessionStore, session_id: str) -> None:
        """Loading what does not exist is a StoreError, whatever was typed."""
        store.open("one").close()
        with pytest.raises(StoreError):
            list(store.load(session_id))


def _append_and_die(module: str, name: str, config: Config) -> None:
    """In a process of its own: append, and end without any farewell."""
    attributes = {"module": importlib.import_module(module), "name": name}
    contract = type("Child", (SessionStoreContract,), attributes)()
    contract.make(config).open("one").append(records("one"))
    os._exit(9)
