"""A session: configuration and state, without a single wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codex_host._model import Model
from codex_host._plugins import Found
from codex_host._transcript import Transcript
from codex_host._workbench import Workbench
from codex_host.config import Config
from codex_host.events import Event
from codex_host.items import Request
from codex_host.parts import SessionLog, Tool

__all__ = ["OfferedTool", "Session"]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that the model may call, and where it comes from."""

    tool: Tool
    origin: str


@dataclass(slots=True)
class Session:
    """What the loop works on.

    `log` is None when the session is not kept. `forgetful` is what the server turns out to be when it has lost a reply
    that it was told to keep: from then on every request repeats the conversation.
    """

    session_id: str
    config: Config
    model: Model
    instructions: str
    tools: Mapping[str, OfferedTool]
    workbench: Workbench
    show: Callable[[Event], None]
    log: SessionLog | None
    store: Found | None
    transcript: Transcript = field(default_factory=Transcript)
    forgetful: bool = False

    def offered(self, name: str) -> OfferedTool | None:
        """The tool that a call means, by its name or a synonym of it."""
        synonyms = (offered for offered in self.tools.values() if name in offered.tool.synonyms)
        return self.tools.get(name) or next(synonyms, None)

    def request(self) -> Request:
        """The next request: what the server does not know yet, or everything where it keeps nothing."""
        store = self.model.wire.remembers and not self.config.disable_response_storage and not self.forgetful
        items, previous = self.transcript.to_send(remembered=store)
        return Request(
            model=self.config.model,
            instructions=self.instructions,
            items=items,
            tools=tuple(offered.tool.spec for offered in self.tools.values()),
            previous=previous,
            store=store,
            reasoning_effort=self.config.model_reasoning_effort,
            reasoning_summary=self.config.model_reasoning_summary,
        )
