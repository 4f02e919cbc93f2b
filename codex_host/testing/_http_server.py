"""A small HTTP/1.1 server in threads that can also break off, stall and be stopped at once."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ._model_script import Cut, Raw, Received, Stall, Status

_ENOUGH = 65536
"""How many characters of a stream are collected before they are sent: few writes, little memory."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """An event stream, made while it is sent; `line_end` takes the place of the records' newlines."""

    records: Iterator[str | Cut | Stall]
    line_end: str = "\n"


Sent = Status | Raw | Streamed | Cut | Stall


class HttpServer(ThreadingHTTPServer):
    """Serves `respond` on the loopback interface; `complain` hears what went wrong in a connection."""

    request_queue_size = 128

    def __init__(self, port: int, respond: Callable[[Received], Sent], complain: Callable[[str], None]) -> None:
        self.respond = respond
        self._complain = complain
        self._running: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        super().__init__(("127.0.0.1", port), _Connection)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which takes seconds where names are misconfigured."""
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def start(self) -> None:
        """Begin to accept."""
        self._accepting.start()

    def stop(self) -> None:
        """Accept no more, hang up on everybody and wait up to 5 s for each connection's thread."""
        self.shutdown()
        self._accepting.join()
        self.server_close()
        connections = list(self._running.items())
        for _, connection in connections:
            with suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in connections:
            thread.join(5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread that `stop` knows of from the start."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._running[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The life of one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._running[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass on what nobody foresaw; the client is told nothing, its connection closes."""
        self._complain(traceback.format_exc())


class _Connection(BaseHTTPRequestHandler):
    """One connection, for as many requests as the client likes to send over it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def handle(self) -> None:
        """Serve until either side hangs up; a client that leaves in the middle is nobody's mistake."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay silent: the requests are kept instead."""

    def do_GET(self) -> None:
        """Receive one request and send its answer."""
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        names = {name.lower() for name in self.headers}
        headers = {name: ", ".join(self.headers.get_all(name, ())) for name in names}
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = None
        self._send(self.server.respond(Received(self.command, self.path, headers, body)))

    def do_POST(self) -> None:
        """The same; what the methods mean is decided by `respond`."""
        self.do_GET()

    def _send(self, answer: Sent) -> None:
        match answer:
            case Status():
                self._send_status(answer)
            case Raw():
                lines = answer.body
                text = lines if isinstance(lines, (bytes, str)) else "".join(f"{line}\n" for line in lines)
                content = text if isinstance(text, bytes) else text.encode()
                self._send_whole(answer.code, content, {"Content-Type": answer.content_type})
            case Streamed():
                self._send_head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
                self._send_stream(answer)
            case Cut() | Stall():
                self._break_off(answer)

    def _send_status(self, answer: Status) -> None:
        body = answer.body
        if body is None:
            body = {"error": {"message": f"Scripted status {answer.code}.", "type": "scripted", "code": None}}
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        self._send_whole(answer.code, content.encode(), {"Content-Type": kind, **answer.headers})

    def _send_whole(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self._send_head(code, {**headers, "Content-Length": str(len(content))})
        self.wfile.write(content)

    def _send_head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_stream(self, answer: Streamed) -> None:
        collected: list[str] = []
        size = 0
        for record in answer.records:
            if not isinstance(record, str):
                self._send_chunk("".join(collected), answer.line_end)
                self._break_off(record)
                return
            collected.append(record)
            size += len(record)
            if size >= _ENOUGH:
                self._send_chunk("".join(collected), answer.line_end)
                collected.clear()
                size = 0
        self._send_chunk("".join(collected), answer.line_end)
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, text: str, line_end: str) -> None:
        if text:  # an empty chunk would end the body
            content = text.replace("\n", line_end).encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    def _break_off(self, fault: Cut | Stall) -> None:
        if isinstance(fault, Stall):
            self.connection.recv(1)  # returns when the client or `stop` shuts the connection down
        elif fault.clean:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
