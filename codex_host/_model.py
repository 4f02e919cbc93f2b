"""One model at one provider: `stream(request)` yields what it says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby
from urllib.parse import urlencode

import anyio.to_thread

from codex_host import __version__
from codex_host._plugins import guarded
from codex_host._secrets import looks_secret, mask
from codex_host._transport import EVENT_STREAM, RetryBudget, Transport
from codex_host.errors import AuthenticationError, ModelError
from codex_host.items import Completed, ModelEvent, ReasoningDelta, Request, TextDelta
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
        """The values that must reach neither commands nor texts: keys, and what headers and parameters hold of them."""
        provider = self.provider
        names = [provider.env_key, *provider.env_key_overrides, *provider.env_http_headers.values()]
        found = [self.environ.get(name, "").strip() for name in names if name]
        written = {**provider.http_headers, **provider.query_params}
        found += [value for name, value in written.items() if looks_secret(name) or name.lower() == "authorization"]
        return tuple(filter(None, found))

    def _masked(self, error: ModelError) -> ModelError:
        """The same error without the key, which a server may repeat."""
        error.args = (mask(str(error), self.secrets()),)
        return error

    async def stream(
        self, request: Request, budget: RetryBudget, retrying: Callable[[ModelError, float], None]
    ) -> AsyncIterator[ModelEvent]:
        """Ask once and yield the reply as it comes; the last event is Completed, or ModelError is raised.

        Its text holds no key. `retry` is not None if the reply broke off and may be asked for again.
        """
        try:
            async for event in self._stream(request, budget, lambda error, wait: retrying(self._masked(error), wait)):
                yield event
        except ModelError as error:
            self._masked(error)
            raise

    async def _stream(
        self, request: Request, budget: RetryBudget, retrying: Callable[[ModelError, float], None]
    ) -> AsyncIterator[ModelEvent]:
        with guarded(self.wire_origin, "encoding a request"):
            body = json.dumps(self.wire.encode(request), ensure_ascii=False, separators=(",", ":")).encode(
                "utf-8", "replace"
            )
            decoder = self.wire.decoder_for(request)
        events = self.transport.events(
            self.provider,
            self._explain,
            self._http_request("POST", self.wire.path, body),
            budget,
            self._authenticated,
            retrying,
        )
        completed = False
        async with aclosing(events):  # type: ignore[type-var]
            async for server_events in events:
                with guarded(self.wire_origin, "decoding a reply"):
                    said = [event for server_event in server_events for event in decoder.feed(server_event)]
                for event in _joined(said):
                    yield event
                    if isinstance(event, Completed):
                        return
            with guarded(self.wire_origin, "decoding the end of a reply"):
                said = list(decoder.end())
            for event in said:
                completed = completed or isinstance(event, Completed)
                yield event
        if not completed:
            raise ModelError(f"the reply of {self.provider.name} ended before it was complete", kind="stream")

    def _explain(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        with guarded(self.wire_origin, "explaining an error"):
            return self.wire.explain(status, headers, body)

    async def list_models(self) -> tuple[str, ...]:
        """The ids of the models that the provider offers, sorted: `GET {base_url}/models`. Raises ModelError."""
        request = self._http_request("GET", "/models", b"")
        try:
            answer = await self.transport.document(
                self.provider, self._explain, request, self.budget(), self._authenticated
            )
            return _model_ids(answer, request.url)
        except ModelError as error:
            self._masked(error)
            raise

    def _http_request(self, method: str, path: str, body: bytes) -> HttpRequest:
        query = f"?{urlencode(self.provider.query_params)}" if self.provider.query_params else ""
        url = self.provider.base_url.rstrip("/") + path + query
        from_environment = {
            header: _sendable(name, value)
            for header, name in self.provider.env_http_headers.items()
            if (value := self.environ.get(name, "").strip())
        }
        headers = {
            **({"content-type": "application/json"} if body else {}),
            "accept": EVENT_STREAM if body else "application/json",
            "user-agent": f"codex-host/{__version__}",
            **self.wire.headers,
            **self.key_header(),
        }
        for name, value in {**self.provider.http_headers, **from_environment}.items():
            headers[name.lower()] = value  # one header, however the config spells its name
        return HttpRequest(method, url, headers, body)

    def key_header(self) -> dict[str, str]:
        """The bearer token, nothing if the provider takes none. Raises AuthenticationError if it is not there."""
        wanted = self.provider.env_key
        if wanted is None:
            return {}
        names = (*self.provider.env_key_overrides, wanted)
        name = next((name for name in names if self.environ.get(name, "").strip()), wanted)
        key = self.environ.get(name, "").strip()
        if not key:
            how = self.provider.env_key_instructions or f"set it to your key for {self.provider.name}"
            raise AuthenticationError(f"the environment variable {name} is not set or blank; {how}")
        return {"authorization": f"Bearer {_sendable(name, key)}"}

    async def _authenticated(self, request: HttpRequest) -> HttpRequest:
        """The request of one attempt with what the provider adds to it."""
        if type(self.provider).authenticate is Provider.authenticate:
            return request
        with guarded(self.provider_origin, "authenticating a request"):
            added = dict(await anyio.to_thread.run_sync(self.provider.authenticate, request))
            if not all(isinstance(word, str) for word in (*added, *added.values())):
                raise TypeError(f"authenticate has to return headers as texts, not {added!r}")
        return replace(request, headers={**request.headers, **added})


def _sendable(name: str, value: str) -> str:
    """A header's value from the environment. Raises AuthenticationError that does not repeat it if it cannot be one."""
    if re.fullmatch("[\t\x20-\x7e]+", value) is None:
        raise AuthenticationError(
            f"the environment variable {name} holds a line break or another character that no key has; set it again"
        )
    return value


def _joined(events: Sequence[ModelEvent]) -> list[ModelEvent]:
    """The same with neighbouring pieces of text made one: a packet holds hundreds when a model is fast."""
    joined: list[ModelEvent] = []
    for delta, group in groupby(events, _delta):
        if delta is None:
            joined.extend(group)
        else:
            joined.append(delta("".join([piece.text for piece in group])))  # type: ignore[union-attr]
    return joined


def _delta(event: ModelEvent) -> type[TextDelta] | type[ReasoningDelta] | None:
    return type(event) if isinstance(event, (TextDelta, ReasoningDelta)) else None


def _model_ids(answer: bytes, url: str) -> tuple[str, ...]:
    """The ids in a list of models: `data` by OpenAI's API, `models` at others, with `id`, `name` or the id itself."""
    try:
        data = json.loads(answer)
    except ValueError:
        data = None
    listed = data if isinstance(data, list) else None
    if isinstance(data, dict):
        listed = next((data[key] for key in ("data", "models") if isinstance(data.get(key), list)), None)
    if listed is None:
        told = " ".join(answer[:300].decode("utf-8", "replace").split())
        raise ModelError(f"{url} answered with no list of models; is base_url right? It says: {told}", kind="request")
    ids = (entry.get("id") or entry.get("name") if isinstance(entry, dict) else entry for entry in listed)
    return tuple(sorted({name for name in ids if isinstance(name, str) and name}))
