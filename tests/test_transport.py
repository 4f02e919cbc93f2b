"""Requests and their failures, cell by cell on both wires, over real sockets; how often each asks is asserted."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import itertools
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from codex_host import _loop, _transport
from codex_host._transport import RetryBudget, pause
from codex_host.events import Ending, MessageDelta, MessageDone, Notice, ReplyDiscarded
from codex_host.parts import HttpReply, HttpRequest, Provider
from codex_host.testing.model_server import (
    Call,
    Cut,
    Fail,
    Garbage,
    ModelServer,
    Raw,
    Reply,
    Say,
    Stall,
    Status,
    Step,
)
from codex_host.testing.session import Watching, make_host, play

QUICK = {"request_max_retries": 1, "stream_max_retries": 1}
WHOLE = Reply(Say("whole"))


@pytest.fixture(params=["responses", "chat"])
def wire(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def real_pauses() -> None:
    """For tests that look at the time between two requests; the others hurry."""


@pytest.fixture(autouse=True)
def _hurry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_pauses" not in request.fixturenames:
        for module in (_transport, _loop):
            monkeypatch.setattr(module, "pause", lambda attempt: 0.01)


@dataclass
class Asked:
    """One task, how it ended and what came over."""

    ending: Ending
    audience: Watching
    requests: int
    seconds: float

    @property
    def said(self) -> list[str]:
        return [event.text for event in self.audience.of(MessageDone)]

    @property
    def noted(self) -> str:
        return "\n".join(notice.message for notice in self.audience.of(Notice))


def ask_at(base_url: str, folder: Path, wire: str = "responses", **provider: Any) -> Asked:
    audience = Watching()
    began = time.monotonic()
    host = make_host(folder, base_url, wire=wire, provider={**QUICK, **provider}, sandbox_mode="danger-full-access")
    (ending,) = play(host, audience, "go")
    return Asked(ending, audience, 0, time.monotonic() - began)


def ask_through(provider: Provider, folder: Path) -> Asked:
    """The same with a provider given in process."""
    audience = Watching()
    host = make_host(folder, "", parts={"provider.given": provider}, model_provider="given")
    began = time.monotonic()
    (ending,) = play(host, audience, "go")
    return Asked(ending, audience, 0, time.monotonic() - began)


def ask(script: Iterable[Step], folder: Path, wire: str = "responses", **provider: Any) -> Asked:
    with ModelServer(script) as server:
        asked = ask_at(server.base_url, folder, wire, **provider)
    asked.requests = len(server.requests)
    return asked


# --- Streams that break


def test_a_connection_closed_without_an_answer_is_asked_again(wire: str, tmp_path: Path) -> None:
    asked = ask([Cut(), WHOLE], tmp_path, wire)
    assert (asked.ending.message, asked.ending.exit_code, asked.requests) == ("whole", 0, 2)
    assert "asking again" in asked.noted
    assert asked.audience.of(ReplyDiscarded) == []


@pytest.mark.parametrize("clean", [False, True])
def test_a_stream_cut_in_the_middle_is_taken_back_and_asked_again(wire: str, tmp_path: Path, clean: bool) -> None:
    cut = Cut(after_events=6 if wire == "responses" else 3, clean=clean)
    asked = ask([Reply(Say("half a tho"), cut), WHOLE], tmp_path, wire)
    assert (asked.ending.message, asked.ending.exit_code, asked.requests) == ("whole", 0, 2)
    assert asked.said == ["whole"]
    shown = [event for event in asked.audience.events if isinstance(event, (MessageDelta, ReplyDiscarded, MessageDone))]
    assert isinstance(shown[0], MessageDelta)
    discarded = [number for number, event in enumerate(shown) if isinstance(event, ReplyDiscarded)]
    assert len(discarded) == 1
    after = "".join(event.text for event in shown[discarded[0] :] if isinstance(event, MessageDelta))
    assert after == "whole"


@pytest.mark.parametrize("clean", [False, True])
def test_wherever_a_stream_is_cut_the_answer_is_whole(wire: str, tmp_path: Path, clean: bool) -> None:
    """Every place in one reply: cut before the wire's own end it is asked for again, and never half an answer."""
    for place in range(11):
        with ModelServer([Reply(Say("whole"), Cut(after_events=place, clean=clean)), WHOLE]) as server:
            asked = ask_at(server.base_url, tmp_path, wire)
        assert (asked.ending.message, asked.ending.exit_code) == ("whole", 0), place


def test_a_stream_that_always_breaks_is_a_failure(wire: str, tmp_path: Path) -> None:
    asked = ask(itertools.repeat(Reply(Say("half"), Cut())), tmp_path, wire, stream_max_retries=2)
    assert (asked.ending.exit_code, asked.requests) == (4, 3)
    assert len(asked.audience.of(ReplyDiscarded)) == 2


def test_nothing_is_done_twice_when_a_stream_breaks_after_a_call(wire: str, tmp_path: Path) -> None:
    call = Call("shell", {"command": ["/bin/sh", "-c", "echo x >>ran"]}, "call_1")
    script = [Reply(Say("I do it."), call, Cut()), Reply(Say("I do it."), call), Reply(Say("done"))]
    asked = ask(script, tmp_path, wire)
    assert (asked.ending.message, asked.requests) == ("done", 3)
    assert (tmp_path / "work/ran").read_text() == "x\n"


def test_a_call_in_a_stream_that_stays_broken_is_never_done(wire: str, tmp_path: Path) -> None:
    call = Call("shell", {"command": ["touch", "ran"]})
    asked = ask([Reply(call, Cut())] * 2, tmp_path, wire)
    assert (asked.ending.exit_code, asked.requests) == (4, 2)
    assert not (tmp_path / "work/ran").exists()


@pytest.mark.parametrize("silent", [Reply(Say("half"), Stall()), Stall()], ids=["in the stream", "before it"])
def test_silence_is_not_endured(wire: str, tmp_path: Path, silent: Step) -> None:
    asked = ask([silent, WHOLE], tmp_path, wire, stream_idle_timeout_ms=200)
    assert (asked.ending.message, asked.requests) == ("whole", 2)
    assert 0.2 < asked.seconds < 5
    assert "in time" in asked.noted or "nothing came for 0.2 s" in asked.noted


@pytest.mark.parametrize("garbage", [Garbage(), Garbage(after_events=2), Garbage("[]"), Garbage('"a"'), Garbage("{}")])
def test_garbage_among_the_events_never_makes_a_wrong_answer(wire: str, tmp_path: Path, garbage: Garbage) -> None:
    with ModelServer([Reply(Say("whole"), garbage), WHOLE]) as server:
        asked = ask_at(server.base_url, tmp_path, wire)
    assert (asked.ending.message, asked.ending.exit_code) == ("whole", 0)


@pytest.mark.parametrize(
    ("code", "requests"), [("server_error", 2), ("rate_limit_exceeded", 2), ("context_length_exceeded", 1)]
)
def test_a_failure_told_in_the_stream(wire: str, tmp_path: Path, code: str, requests: int) -> None:
    asked = ask(itertools.repeat(Reply(Say("a"), Fail(code, "so it is"))), tmp_path, wire)
    assert (asked.ending.exit_code, asked.requests) == (4, requests)
    assert "so it is" in asked.ending.message


# --- Statuses


@pytest.mark.parametrize(
    ("code", "requests", "exit_code"),
    [
        *((code, 1, 4) for code in (301, 400, 404, 422)),
        *((code, 1, 3) for code in (401, 403)),
        *((code, 3, 4) for code in (408, 429, 500, 503, 529)),
    ],
)
def test_a_status(wire: str, tmp_path: Path, code: int, requests: int, exit_code: int) -> None:
    asked = ask(itertools.repeat(Status(code, "the reason")), tmp_path, wire, request_max_retries=2)
    assert (asked.ending.exit_code, asked.requests) == (exit_code, requests)
    assert str(code) in asked.ending.message
    assert "the reason" in asked.ending.message
    assert ("asked 3 times" in asked.ending.message) is (requests == 3)


def test_by_default_a_failing_server_is_asked_five_times(tmp_path: Path, real_pauses: None) -> None:
    asked = ask(itertools.repeat(Status(500)), tmp_path, "chat", request_max_retries=4)
    assert (asked.ending.exit_code, asked.requests) == (4, 5)
    assert 0.9 < asked.seconds < 5
    assert Provider("", "").request_max_retries == 4


def test_a_used_up_quota_is_not_asked_for_again(wire: str, tmp_path: Path) -> None:
    body = {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}
    asked = ask([Status(429, body)], tmp_path, wire)
    assert (asked.ending.exit_code, asked.requests) == (4, 1)


def test_a_failure_that_passes_is_no_failure(wire: str, tmp_path: Path) -> None:
    asked = ask([Status(500), Cut(), Status(429), WHOLE], tmp_path, wire, request_max_retries=3)
    assert (asked.ending.message, asked.ending.exit_code, asked.requests) == ("whole", 0, 4)


# --- Retry-After


def in_seconds(seconds: float, **form: Any) -> str:
    return email.utils.formatdate(time.time() + seconds, **form)


def test_retry_after_in_seconds_is_obeyed(wire: str, tmp_path: Path) -> None:
    asked = ask([Status(429, headers={"Retry-After": "1"}), WHOLE], tmp_path, wire)
    assert (asked.ending.message, asked.requests) == ("whole", 2)
    assert 1 <= asked.seconds < 3
    assert "asking again in 1.0 s" in asked.noted


@pytest.mark.parametrize(("wire", "form"), [("responses", {"usegmt": True}), ("chat", {"localtime": False})])
def test_retry_after_as_a_date_is_obeyed(wire: str, tmp_path: Path, form: Mapping[str, bool]) -> None:
    """The second form has no time zone (-0000)."""
    asked = ask([lambda _: Status(503, headers={"Retry-After": in_seconds(1.4, **form)}), WHOLE], tmp_path, wire)
    assert (asked.ending.message, asked.requests) == ("whole", 2)
    assert 0.3 <= asked.seconds < 3  # a date has whole seconds, and the usual pause is none here


@pytest.mark.parametrize("wish", ["3600", lambda: in_seconds(3600, usegmt=True)])
def test_a_long_wait_is_left_to_the_user(wire: str, tmp_path: Path, wish: Any) -> None:
    header = {"Retry-After": wish if isinstance(wish, str) else wish()}
    asked = ask([Status(429, headers=header)], tmp_path, wire)
    assert (asked.ending.exit_code, asked.requests) == (4, 1)
    assert "wait 3600 s" in asked.ending.message or "wait 3599 s" in asked.ending.message
    assert asked.seconds < 5


@pytest.mark.parametrize("wish", ["soon", "-5", "nan", "inf", "0", "1 2", "Wed, 99 Foo 2015 99:99:99 GMT", "٣"])
def test_a_wish_that_makes_no_sense_is_the_usual_pause(tmp_path: Path, wish: str) -> None:
    header = {"Retry-After": wish.encode().decode("latin-1")}
    asked = ask([Status(429, headers=header), WHOLE], tmp_path)
    assert (asked.ending.message, asked.requests) == ("whole", 2)
    assert asked.seconds < 3


def test_a_refused_key_is_never_asked_for_again_whatever_the_server_says(tmp_path: Path) -> None:
    asked = ask([Status(401, headers={"Retry-After": "1"})], tmp_path)
    assert (asked.ending.exit_code, asked.requests) == (3, 1)


# --- The budget


def test_both_kinds_of_retries_share_a_turn(wire: str, tmp_path: Path) -> None:
    """Whatever mixture of failures comes, a turn asks at most 1 + 2 + 3 times."""
    script = itertools.cycle([Reply(Say("a"), Cut()), Status(500)])
    asked = ask(script, tmp_path, wire, request_max_retries=2, stream_max_retries=3)
    assert asked.ending.exit_code == 4
    assert asked.requests <= 6
    breaking = ask(
        itertools.repeat(Reply(Say("a"), Cut())), tmp_path, wire, request_max_retries=2, stream_max_retries=3
    )
    assert breaking.requests == 4


def test_a_new_turn_has_a_new_budget(tmp_path: Path) -> None:
    call = Reply(Call("shell", {"command": ["true"]}))
    asked = ask([Status(500), call, Status(500), WHOLE], tmp_path)
    assert (asked.ending.message, asked.requests) == ("whole", 4)


def test_pauses_grow_and_stay_short() -> None:
    pauses = [pause(attempt) for attempt in range(1, 15)]
    assert 0.18 <= pauses[0] <= 0.22
    assert sum(pauses[:4]) < 2
    assert sum(pauses) < 35
    budget = RetryBudget(4, 10)
    assert sum(budget.spend_request() for _ in range(20)) == 4
    assert sum(budget.spend_stream() for _ in range(20)) == 10


@pytest.mark.slow
def test_the_default_numbers_of_stream_retries(tmp_path: Path, real_pauses: None) -> None:
    with ModelServer(itertools.repeat(Reply(Say("a"), Cut()))) as server:
        audience = Watching()
        (ending,) = play(make_host(tmp_path, server.base_url), audience, "go", seconds=90)
    assert (ending.exit_code, len(server.requests)) == (4, 11)


# --- Connections that do not come about


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_refused_connection_fails_within_seconds(wire: str, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    asked = ask_at(address, tmp_path, wire, request_max_retries=4)
    assert asked.ending.exit_code == 4
    assert f"cannot connect to {address}" in asked.ending.message
    assert "asked 5 times" in asked.ending.message
    assert asked.seconds < 5


def test_a_host_that_has_no_address(tmp_path: Path) -> None:
    asked = ask_at("http://no-such-host.invalid/v1", tmp_path, request_max_retries=0)
    assert asked.ending.exit_code == 4
    assert "cannot connect to http://no-such-host.invalid/v1" in asked.ending.message


@pytest.mark.parametrize(
    "address",
    ["ftp://127.0.0.1/v1", "127.0.0.1:9/v1", "localhost", "http://", "http://127.0.0.1:99999/v1"],
)
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    """Config files are looked at before; a provider's plugin may say anything."""
    asked = ask_through(Provider("Test", address), tmp_path)
    assert asked.ending.exit_code == 4
    assert address in asked.ending.message
    assert "base_url" in asked.ending.message
    assert "asking again" not in asked.noted


def test_a_header_that_cannot_be_sent(tmp_path: Path) -> None:
    with ModelServer() as server:
        asked = ask_through(Provider("Test", server.base_url, http_headers={"x-team": "a\nb"}), tmp_path)
    assert (asked.ending.exit_code, len(server.requests)) == (4, 0)
    assert "headers" in asked.ending.message


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_an_answer_that_is_no_stream(wire: str, tmp_path: Path, kind: str) -> None:
    """A login page, say, with status 200."""
    asked = ask([Raw("<h1>Welcome to the hotel</h1>", kind)], tmp_path, wire)
    assert (asked.ending.exit_code, asked.requests) == (4, 1)
    assert "instead of an event stream" in asked.ending.message
    assert "Welcome to the hotel" in asked.ending.message


@pytest.mark.parametrize(
    ("answer", "asked_again"),
    [
        (b"HTTP/1.1 500 X\r\nContent-Length: 1000\r\n\r\nhalf a reason", True),
        (b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nhalf a reason\r\n", False),
        (b"HTTP/1.1 400 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"", True),
    ],
    ids=["500", "400", "gzip", "no HTTP", "nothing"],
)
def test_an_error_that_breaks_off_itself(tmp_path: Path, answer: bytes, asked_again: bool) -> None:
    with answering(answer) as address:
        asked = ask_at(f"{address}/v1", tmp_path)
    assert asked.ending.exit_code == 4
    assert ("asked 2 times" in asked.ending.message) is asked_again


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that sends these bytes to everybody, whatever they ask, and hangs up."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


# --- Proxies


class Proxy(ThreadingHTTPServer):
    """Passes everything on to one server, whatever host is asked for, and refuses tunnels."""

    def __init__(self, server: ModelServer) -> None:
        self.behind = int(server.base_url.rpartition(":")[2].partition("/")[0])
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Passing)


class Passing(BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        path = "/" + self.path.split("/", 3)[3]
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.end_headers()
        self.wfile.write(answer.read())
        connection.close()

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        self.send_error(403, "Not from here")

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def proxy_before(server: ModelServer) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_from_the_environment_is_used(
    wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with ModelServer([WHOLE]) as server, proxy_before(server) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
        asked = ask_at("http://api.example.test/v1", tmp_path, wire)
    path = "responses" if wire == "responses" else "chat/completions"
    assert asked.ending.message == "whole"
    assert proxy.asked == [f"http://api.example.test/v1/{path}"]


def test_no_proxy_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer([WHOLE]) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        asked = ask_at(server.base_url, tmp_path)
    assert asked.ending.message == "whole"


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://user:geheim@127.0.0.1:{port}")
    asked = ask_at("http://api.example.test/v1", tmp_path)
    assert asked.ending.exit_code == 4
    assert f"through the proxy 127.0.0.1:{port}" in asked.ending.message
    assert "HTTP_PROXY" in asked.ending.message
    assert "geheim" not in asked.ending.message + asked.noted


def test_a_proxy_that_refuses_a_tunnel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer() as server, proxy_before(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        asked = ask_at("https://api.example.test/v1", tmp_path)
    assert asked.ending.exit_code == 4
    assert f"127.0.0.1:{proxy.server_port}" in asked.ending.message
    assert proxy.asked == ["CONNECT api.example.test:443"]


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    asked = ask_at("http://api.example.test/v1", tmp_path)
    assert asked.ending.exit_code == 4
    assert "proxy" in asked.ending.message


# --- TLS

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make a certificate with")


def whole_request(client: socket.socket) -> bytes:
    data = b""
    while True:
        data += client.recv(1 << 16)
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().partition(b"content-length: ")[2].split()[0]):
            return data


@contextlib.contextmanager
def tls_before(server: ModelServer, folder: Path) -> Iterator[tuple[str, Path]]:
    """The same server behind TLS, with a certificate of its own; its address and the certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        OPENSSL or "",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    behind = int(server.base_url.rpartition(":")[2].partition("/")[0])

    def relay() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = front.accept()
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(plain, server_side=True) as client,
                    socket.create_connection(("127.0.0.1", behind), 0.5) as there,
                ):
                    there.sendall(whole_request(client))
                    while data := there.recv(1 << 16):
                        client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as front:
        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield f"https://127.0.0.1:{front.getsockname()[1]}/v1", certificate
        finally:
            front.shutdown(socket.SHUT_RDWR)
            thread.join()


@needs_openssl
def test_an_untrusted_certificate_is_not_accepted(wire: str, tmp_path: Path) -> None:
    with ModelServer() as server, tls_before(server, tmp_path) as (address, _):
        asked = ask_at(address, tmp_path, wire)
    assert (asked.ending.exit_code, len(server.requests)) == (4, 0)
    assert "certificate" in asked.ending.message
    assert "SSL_CERT_FILE" in asked.ending.message
    assert "asking again" not in asked.noted


@needs_openssl
def test_a_certificate_authority_of_ones_own_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer([WHOLE]) as server, tls_before(server, tmp_path) as (address, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        asked = ask_at(address, tmp_path)
    assert asked.ending.message == "whole"


def test_authorities_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    asked = ask_at("https://127.0.0.1:9/v1", tmp_path)
    assert asked.ending.exit_code == 4
    assert "SSL_CERT_FILE" in asked.ending.message or "cannot connect" in asked.ending.message


def test_tls_where_there_is_none(tmp_path: Path) -> None:
    with ModelServer() as server:
        asked = ask_at(server.base_url.replace("http:", "https:"), tmp_path)
    assert asked.ending.exit_code == 4
    assert "http://" in asked.ending.message
    assert "asking again" not in asked.noted


# --- What is sent


def test_headers_and_parameters_of_a_provider(wire: str, tmp_path: Path) -> None:
    with ModelServer([WHOLE]) as server:
        provider = {
            "env_key": "THE_KEY",
            "http_headers": {"x-team": "tools"},
            "env_http_headers": {"x-project": "PROJECT", "x-unset": "UNSET"},
            "query_params": {"api-version": "2025-04-01", "a": "b c"},
        }
        host = make_host(
            tmp_path,
            server.base_url,
            wire=wire,
            provider=provider,
            environ={"THE_KEY": "k\n", "PROJECT": "p"},
        )
        play(host, Watching(), "go")
    (request,) = server.requests
    assert request.path.partition("?")[2] == "api-version=2025-04-01&a=b+c"
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["x-team"] == "tools"
    assert request.headers["x-project"] == "p"
    assert "x-unset" not in request.headers


def test_without_a_key_there_is_no_authorization(wire: str, tmp_path: Path) -> None:
    with ModelServer([WHOLE]) as server:
        play(make_host(tmp_path, server.base_url, wire=wire), Watching(), "go")
    assert "authorization" not in server.requests[0].headers


@dataclass(frozen=True)
class Signing(Provider):
    seen: list[HttpRequest] = field(default_factory=list)

    def authenticate(self, request: HttpRequest) -> Mapping[str, str]:
        self.seen.append(request)
        assert threading.current_thread() is not threading.main_thread()
        return {"x-signature": f"{len(self.seen)} {len(request.body)}"}


def test_each_attempt_is_signed_anew_over_its_final_bytes(wire: str, tmp_path: Path) -> None:
    with ModelServer([Status(500), WHOLE]) as server:
        provider = Signing("Signing", server.base_url, wire)
        host = make_host(tmp_path, "", parts={"provider.signing": provider}, model_provider="signing")
        (ending,) = play(host, Watching(), "go")
    assert ending.message == "whole"
    signatures = [request.headers["x-signature"] for request in server.requests]
    sizes = [request.headers["content-length"] for request in server.requests]
    assert signatures == [f"{number} {size}" for number, size in enumerate(sizes, start=1)]


@dataclass(frozen=True)
class InProcess(Provider):
    make: Callable[[], AsyncIterator[bytes]] | None = None

    def exchange(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpReply] | None:
        @asynccontextmanager
        async def reply() -> AsyncIterator[HttpReply]:
            assert self.make is not None
            yield HttpReply(200, {"content-type": "text/event-stream"}, self.make())

        return reply()


def test_a_provider_may_answer_without_a_network(tmp_path: Path) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'

    async def make() -> AsyncIterator[bytes]:
        for byte in chunk + b"data: [DONE]\n\n":
            yield bytes([byte])

    parts = {"provider.inner": InProcess("Inner", "", "chat", make=make)}
    (ending,) = play(make_host(tmp_path, "", parts=parts, model_provider="inner"), Watching(), "go")
    assert (ending.message, ending.exit_code) == ("hi", 0)


def test_a_provider_that_fails_in_process_is_named(tmp_path: Path) -> None:
    def make() -> AsyncIterator[bytes]:
        raise KeyError("no such tape")

    parts = {"provider.inner": InProcess("Inner", "", "chat", make=make)}
    (ending,) = play(make_host(tmp_path, "", parts=parts, model_provider="inner"), Watching(), "go")
    assert ending.exit_code == 2
    assert "Inner" in ending.message
    assert "no such tape" in ending.message
