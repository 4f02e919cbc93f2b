"""One model at one provider: `stream(request)` yields what it says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import anyio.to_thread

from codex_host import __version__
from codex_host._plugins import guarded
from codex_host._secrets import mask
from codex_host._transport import RetryBudget, Transport
from codex_host.errors import AuthenticationError, ModelError
from codex_host.items import Completed, ModelEvent, Request
from codex_host.parts import HttpRequest, Provider, WireApi

__all__ = ["Model"]


@dataclass(frozen=True, slots=True)
class Model:
    """A provider, its wire and the connections to it.

    `provider_origin` and `wire_origin` are named when their code fails. `environ` is where keys are looked up.
    """

    provider: Provider
    wire: WireApi
    transport: Transport
    environ: Mapping[str, str]
    provider_origin: str
    wire_origin: str

    def budget(self) -> RetryBudget:
        """The retries of one turn."""
        return RetryBudget(self.provider.request_max_retries, self.provider.stream_max_retries)

    def secrets(self) -> tuple[str, ...]:
        """The values that must reach neither commands nor texts: the key and the headers from the environment."""
        names = [self.provider.env_key, *self.provider.env_http_headers.values()]
        return tuple(value for name in names if name and (value := self.environ.get(name, "").strip()))

    async def stream(
        self, request: Request, budget: RetryBudget, retrying: Callable[[ModelError, float], None]
    ) -> AsyncIterator[ModelEvent]:
        """Ask once and yield the reply as it comes; the last event is Completed, or ModelError is raised.

        Its text holds no key. `retry` is not None if the reply broke off and may be asked for again.
        """
        try:
            async for event in self._stream(request, budget, retrying):
                yield event
        except ModelError as error:
            error.args = (mask(str(error), self.secrets()),)
            raise

    async def _stream(
        self, request: Request, budget: RetryBudget, retrying: Callable[[ModelError, float], None]
    ) -> AsyncIterator[ModelEvent]:
        with guarded(self.wire_origin, "encoding a request"):
            body = json.dumps(self.wire.encode(request), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            decoder = self.wire.decoder()
        events = self.transport.events(
            self.provider, self.wire, self._http_request(body), budget, self._authenticated, retrying
        )
        completed = False
        async with aclosing(events):  # type: ignore[type-var]
            async for server_event in events:
                with guarded(self.wire_origin, "decoding a reply"):
                    said = decoder.feed(server_event)
                for event in said:
                    completed = completed or isinstance(event, Completed)
                    yield event
                if completed:
                    return
            with guarded(self.wire_origin, "decoding the end of a reply"):
                said = decoder.end()
            for event in said:
                yield event

    def _http_request(self, body: bytes) -> HttpRequest:
        query = f"?{urlencode(self.provider.query_params)}" if self.provider.query_params else ""
        url = self.provider.base_url.rstrip("/") + self.wire.path + query
        from_environment = {
            header: value
            for header, name in self.provider.env_http_headers.items()
            if (value := self.environ.get(name, "").strip())
        }
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream",
            "user-agent": f"codex-host/{__version__}",
            **self.wire.headers,
            **self.key_header(),
            **self.provider.http_headers,
            **from_environment,
        }
        return HttpRequest("POST", url, headers, body)

    def key_header(self) -> dict[str, str]:
        """The bearer token, nothing if the provider takes none. Raises AuthenticationError if it is not there."""
        name = self.provider.env_key
        if name is None:
            return {}
        key = self.environ.get(name, "").strip()
        if not key:
            how = self.provider.env_key_instructions or f"set it to your key for {self.provider.name}"
            raise AuthenticationError(f"the environment variable {name} is not set or blank; {how}")
        return {"authorization": f"Bearer {key}"}

    async def _authenticated(self, request: HttpRequest) -> HttpRequest:
        """The request of one attempt with what the provider adds to it."""
        if type(self.provider).authenticate is Provider.authenticate:
            return request
        with guarded(self.provider_origin, "authenticating a request"):
            added = await anyio.to_thread.run_sync(self.provider.authenticate, request)
        return replace(request, headers={**request.headers, **added})
