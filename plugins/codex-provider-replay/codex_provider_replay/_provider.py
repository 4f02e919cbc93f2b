"""The provider that answers from a cassette."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codex_host.errors import ConfigError, ModelError
from codex_host.parts import HttpReply, HttpRequest, Provider
from codex_provider_replay._cassette import Cassette, Exchange, read

__all__ = ["ReplayProvider"]

CHUNK = 1024
"""The most bytes that come at once; events are cut anywhere, as they are on a network."""


@dataclass(slots=True)
class _Position:
    """How far a run has come. The cassette is read at the first request."""

    cassette: Cassette | None = None
    played: int = 0


@dataclass(frozen=True)
class ReplayProvider(Provider):
    """Plays the exchanges of a cassette in their order, one for each request.

    A cassette that cannot be read, or was recorded on another wire, is a ConfigError; a run that asks for
    something else than the recorded one did is a ModelError that is not tried again.
    """

    cassette: Path = Path()
    position: _Position = field(default_factory=_Position, compare=False, repr=False)

    def exchange(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpReply]:
        return self._played(request)

    @asynccontextmanager
    async def _played(self, request: HttpRequest) -> AsyncIterator[HttpReply]:
        cassette = self.position.cassette
        if cassette is None:
            cassette = await asyncio.to_thread(read, self.cassette)
            self._check_wire(cassette)
            self.position.cassette = cassette
        exchange = self._next(cassette, request)
        async with aclosing(_chunks(exchange.pieces)) as chunks:
            yield HttpReply(exchange.status, exchange.headers, chunks)

    def _check_wire(self, cassette: Cassette) -> None:
        if cassette.wire_api != self.wire_api:
            raise ConfigError(
                f"the cassette {cassette.file}, line 1: it was recorded on the wire {cassette.wire_api!r}, and "
                f'this run speaks {self.wire_api!r}; set wire_api = "{cassette.wire_api}" in [plugins.replay]'
            )

    def _next(self, cassette: Cassette, request: HttpRequest) -> Exchange:
        """The exchange that answers this request; it is played then."""
        played = self.position.played
        if played == len(cassette.exchanges):
            raise ModelError(
                f"the cassette {cassette.file} is at its end: all {played} exchanges are played, and the run asks "
                "once more; the run went another way than the recorded one, record it anew",
                kind="request",
            )
        exchange = cassette.exchanges[played]
        asked = (request.method, self._path(request.url))
        if asked != (exchange.method, exchange.path):
            raise ModelError(
                f"the cassette {cassette.file}, line {exchange.line}: it answers {exchange.method} "
                f"{exchange.path}, and the run asks {' '.join(asked)}; the run went another way than the recorded "
                "one, record it anew",
                kind="request",
            )
        self.position.played = played + 1
        return exchange

    def _path(self, url: str) -> str:
        """What follows `base_url`, without the query: that may hold a key."""
        return url.partition("?")[0].removeprefix(self.base_url.rstrip("/"))


async def _chunks(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        for start in range(0, len(piece), CHUNK):
            await asyncio.sleep(0)  # others have their turn, as they would while a network is waited for
            yield piece[start : start + CHUNK]
