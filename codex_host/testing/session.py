"""Sessions in the test's own process: a real host, with parts of the test's own, watched and answered by the test.

    audience = Watching()
    with ModelServer([Reply(Say("Hello."))]) as server:
        host = make_host(tmp_path, server.base_url)
        (ending,) = play(host, audience, "say hello")
    assert (ending.exit_code, audience.of(MessageDone)) == (0, [MessageDone("Hello.")])

Everything that is installed takes part; `parts` stand before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import anyio

from codex_host._host import Host
from codex_host._layers import Layer, Layers
from codex_host.events import Ending, Event
from codex_host.parts import Audience, Decision, Question

__all__ = ["Answer", "Watching", "make_host", "play"]

E = TypeVar("E")
Answer = Decision | bool | None


class Watching(Audience):
    """Keeps every event, and answers each question with the next of `answers`, None after the last.

    `on_event` is called with each event after it was kept.
    """

    def __init__(self, *answers: Answer, on_event: Callable[[Event], object] | None = None) -> None:
        self.events: list[Event] = []
        self.questions: list[Question] = []
        self._answers = list(answers)
        self._on_event = on_event

    def show(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    async def ask(self, question: Question) -> Answer:
        """Answer as foreseen."""
        self.questions.append(question)
        return self._answers.pop(0) if self._answers else None

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


def make_host(
    folder: Path,
    base_url: str,
    *,
    wire: str = "responses",
    provider: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    parts: Mapping[str, object] | None = None,
    kept: bool = False,
    **settings: Any,
) -> Host:
    """A host whose model is at `base_url`; it works in `folder/work`, its CODEX_HOME is `folder/home`.

    `provider` are further fields of its provider, `settings` further keys of its config.toml. Questions are
    asked as the policy "never" says, unless `approval_policy` is among them. `environ` is added to the test's
    own environment.
    """
    home, work = folder / "home", folder / "work"
    for made in (home, work):
        made.mkdir(parents=True, exist_ok=True)
    table = {"name": "Test", "base_url": base_url, "wire_api": wire, **(provider or {})}
    values = {
        "model": "test-model",
        "model_provider": "test",
        "model_providers": {"test": table},
        "approval_policy": "never",
        **settings,
    }
    layers = Layers(home.resolve(), (Layer("the test", values, work),))
    return Host(layers, work, {**os.environ, **(environ or {})}, parts, kept=kept)


def play(host: Host, audience: Audience, *prompts: str, seconds: float = 30.0) -> list[Ending]:
    """Submit the prompts, one after the other, in one conversation; their endings. Raises TimeoutError."""

    async def conversation() -> list[Ending]:
        with anyio.fail_after(seconds):
            async with host.open(audience) as live:
                return [await live.submit(prompt) for prompt in prompts]

    return anyio.run(conversation)
