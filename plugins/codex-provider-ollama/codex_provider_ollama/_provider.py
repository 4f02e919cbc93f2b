"""The provider: asks Ollama about the model, and sends each request where it will be read as a whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from codex_host.errors import ModelError
from codex_host.parts import HttpReply, HttpRequest, Provider, Send
from codex_provider_ollama._native import as_chat, as_events
from codex_provider_ollama._window import Limits, limits, window

__all__ = ["OllamaProvider"]

CHAT = "/v1/chat/completions"


@dataclass(slots=True)
class _Known:
    """What a session has learnt: each model's limits (None: its server is not Ollama), and the windows asked for."""

    models: dict[str, Limits | None] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class OllamaProvider(Provider):
    """Chat Completions at Ollama; by its native API where its own window would cut the prompt.

    `num_ctx` is the user's window: 0 leaves the server's alone, None chooses one for each prompt. A server at this
    address that is not Ollama is asked like any other.
    """

    num_ctx: int | None = None
    known: _Known = field(default_factory=_Known, compare=False, repr=False)

    def relay(self, request: HttpRequest, send: Send) -> AbstractAsyncContextManager[HttpReply]:
        return self._relayed(request, send)

    @asynccontextmanager
    async def _relayed(self, request: HttpRequest, send: Send) -> AsyncIterator[HttpReply]:
        async with AsyncExitStack() as stack:
            with _told_how_to_start():
                reply = await self._reply(stack, request, send)
            yield reply

    async def _reply(self, stack: AsyncExitStack, request: HttpRequest, send: Send) -> HttpReply:
        address, question, query = request.url.partition("?")
        if not address.endswith(CHAT):
            return await stack.enter_async_context(send(request))
        server = _Server(address.removesuffix(CHAT), question + query, request.headers, send)
        body = json.loads(request.body)
        model = body["model"]
        if model not in self.known.models:
            self.known.models[model] = await server.limits(model)
        known = self.known.models[model]
        chat = as_chat(body)
        size = window(model, chat, known, self.known.windows.get(model, 0), self.num_ctx) if known else None
        if known is None or size is None:
            return await stack.enter_async_context(send(request))
        return await self._native_reply(stack, server, chat, size, self.num_ctx or known.maximum)

    async def _native_reply(
        self, stack: AsyncExitStack, server: _Server, chat: Mapping[str, Any], size: int, most: int
    ) -> HttpReply:
        """The reply of `/api/chat`, asked again with twice the window where the server says it was too small."""
        while True:
            self.known.windows[chat["model"]] = size
            attempt = await stack.enter_async_context(AsyncExitStack())
            sized = {**chat, "options": {"num_ctx": size}}
            reply = await attempt.enter_async_context(server.request("POST", "/api/chat", sized))
            if reply.status == 200:
                events = as_events(reply.chunks)
                stack.push_async_callback(events.aclose)
                return HttpReply(200, {"content-type": "text/event-stream"}, events)
            body = await _whole(reply)
            if size >= most or not _too_long(reply.status, body):
                return replace(reply, chunks=_once(body))
            await attempt.aclose()
            size = min(size * 2, most)


@dataclass(frozen=True, slots=True)
class _Server:
    """Ollama's native API: its address, what follows its paths, and the headers of the request in hand."""

    address: str
    query: str
    headers: Mapping[str, str]
    send: Send

    def request(
        self, method: str, path: str, data: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[HttpReply]:
        body = b"" if data is None else json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
        return self.send(HttpRequest(method, f"{self.address}{path}{self.query}", self.headers, body))

    async def limits(self, model: str) -> Limits | None:
        """What the server says of a model; None if it is not Ollama. Raises ModelError if it has no such model."""
        status, shown = await self._asked("POST", "/api/show", {"model": model})
        error = shown.get("error")
        if status == 404 and isinstance(error, str) and "not found" in error:
            raise ModelError(await self._missing(model), kind="request")
        if status >= 500:
            raise ModelError(f"Ollama answered {status} when asked about {model}: {error or 'it gave no reason'}")
        if status != 200 or not {"model_info", "details", "modelfile"} & shown.keys():
            return None
        _, running = await self._asked("GET", "/api/ps")
        loaded = (entry.get("context_length") for entry in _models(running) if _is(entry, model))
        return limits(shown, next((size for size in loaded if isinstance(size, int)), 0))

    async def _missing(self, model: str) -> str:
        _, tags = await self._asked("GET", "/api/tags")
        names = ", ".join(sorted(str(entry.get("name")) for entry in _models(tags))) or "none"
        return f"Ollama at {self.address} has no model {model!r}; get it with `ollama pull {model}`; it has: {names}"

    async def _asked(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the object of an answer; an empty one if it has none."""
        async with self.request(method, path, data) as reply:
            body = await _whole(reply)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        return reply.status, answer if isinstance(answer, dict) else {}


def _models(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = answer.get("models")
    return (entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict))


def _is(entry: Mapping[str, Any], model: str) -> bool:
    """Whether an entry of a list is this model, whose tag is `latest` if it has none."""
    return entry.get("name") in (model, f"{model}:latest")


@contextmanager
def _told_how_to_start() -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        if error.kind != "network":
            raise
        raise ModelError(f"{error}; start Ollama with `ollama serve`, or open its app", kind="network") from error


def _too_long(status: int, body: bytes) -> bool:
    """Whether this refusal is one of a prompt; each of the runners behind Ollama words it in its own way."""
    return status == 400 and (b"context" in body.lower() or b"prompt too long" in body.lower())


async def _whole(reply: HttpReply) -> bytes:
    return b"".join([piece async for piece in reply.chunks])


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
