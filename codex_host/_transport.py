"""Sending a request and receiving its stream: connections, retries before the first byte, time-outs.

Alone in the host, this file imports httpx, and only when a request is really sent over a network.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import anyio

from codex_host._plugins import guarded
from codex_host._server_events import ServerEventParser
from codex_host.errors import ModelError
from codex_host.parts import HttpReply, HttpRequest, Provider, ServerEvent

if TYPE_CHECKING:
    import httpx

__all__ = ["RetryBudget", "Transport", "pause"]

CONNECT_TIMEOUT = 10.0
LONGEST_WAIT = 60.0
"""Seconds. A server that asks for more is not waited for; the user decides."""
EVENT_STREAM = "text/event-stream"
CA_VARIABLES = ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where the environment may name authorities (a file or a folder) in place of the bundled ones; the first counts."""
LONGEST_DOCUMENT = 16 * 1024 * 1024
"""Bytes of a whole answer that is no stream, such as a list of models."""
LONGEST_EXPLANATION = 64 * 1024
EXPLANATION_TIME = 5.0
"""Bytes of an answer without a stream that are read to find the reason in it, and the seconds it may take."""

Explain = Callable[[int, Mapping[str, str], bytes], ModelError]


@dataclass(slots=True)
class RetryBudget:
    """How often one turn may ask again, over all layers: before the first byte of a reply, and within a reply."""

    requests: int
    streams: int
    asked: int = 0

    def spend_request(self) -> bool:
        """Take one retry of a request that got no reply; False if none is left."""
        self.requests -= 1
        return self.requests >= 0

    def spend_stream(self) -> bool:
        """Take one retry of a reply that broke off; False if none is left."""
        self.streams -= 1
        return self.streams >= 0


def pause(attempt: int) -> float:
    """Seconds to wait before the attempt after this one (1, 2, ...): 0.2, 0.26, 0.34 ..., with some chance."""
    return 0.2 * 1.3 ** (attempt - 1) * random.uniform(0.9, 1.1)


class Transport:
    """The connections of one session. An async context manager."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._client is not None:
            with anyio.move_on_after(1, shield=True):
                await self._client.aclose()

    async def events(
        self,
        provider: Provider,
        explain: Explain,
        request: HttpRequest,
        budget: RetryBudget,
        authenticate: Callable[[HttpRequest], Any],
        retrying: Callable[[ModelError, float], None],
    ) -> AsyncIterator[Sequence[ServerEvent]]:
        """Send a request and yield the events of its reply, as many at once as came at once.

        `explain` says what an answer without a stream means (`WireApi.explain`). `authenticate` is awaited for the
        request of each attempt; `retrying` is told of each further one, with the error and the seconds to wait. Raises
        ModelError; its `retry` is None unless the reply had begun.
        """
        async with AsyncExitStack() as stack:
            reply = await self._reply(stack, provider, explain, request, budget, authenticate, retrying)
            parser = ServerEventParser()
            heard = anyio.current_time()
            try:
                async for piece in reply.chunks:
                    if events := parser.feed(piece):
                        yield events
                        heard = anyio.current_time()
                    elif anyio.current_time() - heard > provider.stream_idle_timeout_ms / 1000:
                        raise TimeoutError  # comments that keep the connection alive are no reply
            except Exception as error:
                raise _broken(error, provider) from error
            if events := parser.end():
                yield events

    async def document(
        self,
        provider: Provider,
        explain: Explain,
        request: HttpRequest,
        budget: RetryBudget,
        authenticate: Callable[[HttpRequest], Any],
    ) -> bytes:
        """Send a request whose answer is no stream; the whole body. Otherwise like `events`."""
        async with AsyncExitStack() as stack:
            reply = await self._reply(stack, provider, explain, request, budget, authenticate, lambda error, wait: None)
            body = bytearray()
            try:
                async for piece in reply.chunks:
                    body += piece
                    if len(body) > LONGEST_DOCUMENT:
                        raise ModelError(f"{request.url} answers with more than can be read", kind="request")
            except Exception as error:
                raise _broken(error, provider) from error
            return bytes(body)

    async def _reply(
        self,
        stack: AsyncExitStack,
        provider: Provider,
        explain: Explain,
        request: HttpRequest,
        budget: RetryBudget,
        authenticate: Callable[[HttpRequest], Any],
        retrying: Callable[[ModelError, float], None],
    ) -> HttpReply:
        """A reply with status 200 whose stream is open until `stack` closes, after as many attempts as allowed."""
        while True:
            budget.asked += 1
            try:
                return await self._attempt(stack, provider, explain, await authenticate(request))
            except ModelError as error:
                wait = error.retry
                if wait is None or wait > LONGEST_WAIT or not budget.spend_request():
                    raise _final(error, budget) from error
                wait = wait or pause(budget.asked)
                retrying(error, wait)
                await anyio.sleep(wait)

    async def _attempt(
        self, stack: AsyncExitStack, provider: Provider, explain: Explain, request: HttpRequest
    ) -> HttpReply:
        def send(inner: HttpRequest) -> AbstractAsyncContextManager[HttpReply]:
            return self._sent(provider, inner)

        exchange = provider.exchange(request) or provider.relay(request, send)
        if exchange is not None:
            with guarded(f"the provider {provider.name}", "answering a request"):
                reply = await stack.enter_async_context(exchange)
        else:
            reply = await self._post(stack, provider, request)
        kind = reply.headers.get("content-type", "")
        streams = request.headers.get("accept") == EVENT_STREAM
        if reply.status == 200 and not (streams and kind.startswith(("text/html", "application/json"))):
            return reply
        body = await _explanation(reply)
        if reply.status == 200:
            raise ModelError(
                f"{request.url} answered with {kind} instead of an event stream; is base_url right? It says: "
                + " ".join(body[:300].decode("utf-8", "replace").split()),
                kind="request",
            )
        raise _with_retry_after(explain(reply.status, reply.headers, body), reply.headers)

    @asynccontextmanager
    async def _sent(self, provider: Provider, request: HttpRequest) -> AsyncIterator[HttpReply]:
        """A request of a provider's own, closed when the provider is done with it."""
        async with AsyncExitStack() as stack:
            yield await self._post(stack, provider, request)

    async def _post(self, stack: AsyncExitStack, provider: Provider, request: HttpRequest) -> HttpReply:
        client = self._connected(provider, request.url)
        try:
            sent = client.build_request(
                request.method, request.url, headers=dict(request.headers), content=request.body
            )
            response = await client.send(sent, stream=True)
        except Exception as error:  # not only httpx's own: a port above 65535 is an OverflowError in a group
            unreachable = _unreachable(error, request.url)
            if type(error).__name__ == "ReadTimeout" and provider.stream_idle_timeout_ms > LONGEST_WAIT * 1000:
                unreachable.retry = None  # four more such waits would look like a run that hangs
            raise unreachable from error
        stack.push_async_callback(_closed, response)
        return HttpReply(response.status_code, dict(response.headers), response.aiter_bytes())

    def _connected(self, provider: Provider, url: str) -> httpx.AsyncClient:
        if self._client is None:
            httpx = _httpx()
            idle = provider.stream_idle_timeout_ms / 1000
            timeout = httpx.Timeout(idle, connect=CONNECT_TIMEOUT)
            try:
                self._client = httpx.AsyncClient(timeout=timeout, verify=_verification(url), follow_redirects=False)
            except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
                text = f"no connection can be made as the environment says: {error}"
                text += "; check the proxy variables and SSL_CERT_FILE"
                raise ModelError(text, kind="request") from error
        return self._client


def _httpx() -> Any:
    """httpx without its own command line, which would import click and rich for nothing (the package allows for it)."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    import httpx

    return httpx


def _verification(url: str) -> Any:
    """How to check certificates: httpx's own way, or nothing to load where no certificate will be seen."""
    import ssl
    from urllib.request import getproxies

    if url.startswith("http://") and not getproxies():
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the authorities would take 50 ms
    name = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if name is None:
        return True
    path = os.environ[name]
    try:
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise OSError(f"{name} names {path}, which holds no certificate authorities ({error})") from error


async def _explanation(reply: HttpReply) -> bytes:
    """The beginning of an answer without a stream, as far as it comes."""
    body = b""
    with anyio.move_on_after(EXPLANATION_TIME), contextlib.suppress(Exception):  # it breaks off: what came has to do
        async for piece in reply.chunks:
            body += piece
            if len(body) >= LONGEST_EXPLANATION:
                break
    return body[:LONGEST_EXPLANATION]


async def _closed(response: httpx.Response) -> None:
    with anyio.move_on_after(1, shield=True):
        await response.aclose()


def _unreachable(error: Exception, url: str) -> ModelError:
    """What a failed attempt before any byte of a reply means."""
    httpx = _httpx()
    cause = str(error) or type(error).__name__
    ours = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
    if isinstance(error, ours) or not isinstance(error, httpx.HTTPError):
        return ModelError(f"{url} cannot be asked: {cause}; check base_url, headers and key", kind="request")
    proxy = _proxy(url)
    if isinstance(error, httpx.ProxyError):
        text = f"the proxy {proxy} refuses {url}: {cause}; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        return ModelError(text, kind="request")
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return ModelError(f"{url} shows a certificate that is not trusted: {cause}; set SSL_CERT_FILE", kind="request")
    if "WRONG_VERSION_NUMBER" in cause or "RECORD_LAYER_FAILURE" in cause:
        return ModelError(f"{url} speaks no TLS: {cause}; does base_url have to begin with http://?", kind="request")
    if isinstance(error, httpx.ReadTimeout):
        return ModelError(f"{url} did not answer in time", kind="network")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        text = f"cannot connect to {url}: {cause}; is the server running, and is base_url right?"
        if proxy is not None:
            text = f"cannot connect to {url} through the proxy {proxy}: {cause}"
            text += "; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        return ModelError(text, kind="network")
    return ModelError(f"the connection to {url} failed: {cause}", kind="network")


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this address, without its password."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy.rpartition("@")[2]


def _broken(error: Exception, provider: Provider) -> ModelError:
    """What a failure within a reply means; the reply may be asked for again."""
    if isinstance(error, ModelError):
        return error
    idle = "Timeout" in type(error).__name__
    reason = (
        f"nothing came for {provider.stream_idle_timeout_ms / 1000:g} s" if idle else str(error) or type(error).__name__
    )
    return ModelError(f"the reply of {provider.name} broke off: {reason}", kind="stream")


def _final(error: ModelError, budget: RetryBudget) -> ModelError:
    """The same error, not to be tried again by anybody, saying how often it was."""
    if error.retry is None:
        return error
    if error.retry > LONGEST_WAIT:
        final = ModelError(f"{error}; it asks to wait {error.retry:.0f} s", kind=error.kind)
    else:
        final = ModelError(f"{error} (asked {budget.asked} times)", kind=error.kind)
    final.retry = None
    return final


def _with_retry_after(error: ModelError, headers: Mapping[str, str]) -> ModelError:
    """The server's own wish when to be asked again, in seconds or as a date (RFC 9110, 10.2.3), if it may be at all."""
    wish = headers.get("retry-after", "").strip()
    if error.retry is None or not wish:
        return error
    if wish.isascii() and wish.replace(".", "", 1).isdecimal():
        error.retry = float(wish)
    else:
        from email.utils import parsedate_to_datetime

        with contextlib.suppress(ValueError, TypeError, OverflowError):  # it makes no sense: the usual pause
            when = parsedate_to_datetime(wish)
            when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
            error.retry = max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)
    return error
