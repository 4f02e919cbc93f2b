"""A model server on the loopback interface that answers from a script, for tests and benchmarks.

    ask = Reply(Say("I look."), Call("shell", {"command": ["ls"]}))
    script = [ask, Status(429, headers={"Retry-After": "1"}), Reply(Say("Two files."))]
    with ModelServer(script) as server:
        run_something(base_url=server.base_url)
    assert server.requests[-1].tool_outputs

It is a real HTTP/1.1 server and speaks two wires from the same script: `POST /v1/responses` and
`POST /v1/chat/completions`, besides `GET /v1/models`. Each POST takes the next entry of the script: a
`Reply`, a `Status`, a `Raw` body, a `Cut` or `Stall` (no answer at all), or a function that gets the request
and returns one of these. A server that cannot be reached at all is played by having no server.

From the command line:

    python -m codex_host.testing.model_server --script FILE.json [--port N] [--requests FILE]

prints the base URL as its first line and serves until it gets SIGINT or SIGTERM. Then it writes the requests,
one JSON object a line, and exits 1 if something came that the script does not foresee. The script is JSON:

    {"replies": [ENTRY, ...], "repeat": false, "strict": true, "models": ["a"], "framing": {"done": false}}

or the list of entries alone; `repeat` starts over at the end. One key of an entry or part names its class
and holds its first field (null for its default), and the other keys are the other fields:

    {"reply": [PART, ...], "usage": {"input": 9, "output": 9}, "finish": "length"}
    {"status": 429, "body": {...} or "text", "headers": {"Retry-After": "1"}}
    {"raw": "text" or ["line", ...], "content_type": "text/event-stream", "code": 200}
    PART is one of   {"say": "text", "deltas": 3}        {"think": "summary", "encrypted": "..."}
                     {"call": "shell", "arguments": {"command": ["ls"]}, "call_id": "call_1"}
                     {"fail": "rate_limit_exceeded", "message": "..."}      {"garbage": "no JSON"}
                     {"cut": 3, "clean": false}          {"stall": null}    (these two are entries, too)

`"times": N` beside a text repeats it: {"say": "word ", "times": 200000, "deltas": 200000}.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from codex_host.items import Usage

from ._http_server import HttpServer, Sent, Streamed
from ._model_script import (
    Answer,
    Call,
    Cut,
    Fail,
    Framing,
    Garbage,
    Part,
    Raw,
    Received,
    Reply,
    Say,
    Stall,
    Status,
    Step,
    Think,
    answer_from_json,
)
from ._wire_checks import Rejected, check_chat, check_responses, input_items
from ._wire_formats import ChatStream, ResponsesStream, with_faults

__all__ = [
    "Answer",
    "Call",
    "Cut",
    "Fail",
    "Framing",
    "Garbage",
    "ModelServer",
    "Part",
    "Raw",
    "Received",
    "Reply",
    "Say",
    "Stall",
    "Status",
    "Step",
    "Think",
    "Usage",
]

_PLAIN = Framing()


class ModelServer:
    """A scripted model server; leaving its `with` block stops it and fails if the script did not fit.

    `script` may be endless (`itertools.repeat(Status(500))`). `strict` answers 400, without using up an
    entry, to a conversation that a real server would reject: an unknown `previous_response_id`, a tool
    output without its call, a call without output. `models` is the answer to `GET /v1/models`, which needs
    no entry. `port` 0 takes a free one.

    `requests` is everything received so far, in order. `unexpected` says what the script did not foresee: a
    request beyond its end, an unknown path, a function that raised; each was answered with an error, and
    leaving the block raises AssertionError unless the list was cleared or another exception is on its way.
    """

    def __init__(
        self,
        script: Iterable[Step] = (),
        *,
        strict: bool = True,
        framing: Framing = _PLAIN,
        models: Sequence[str] | Status = ("test-model",),
        port: int = 0,
    ) -> None:
        self.requests: list[Received] = []
        self.unexpected: list[str] = []
        self._script = iter(script)
        self._strict = strict
        self._framing = framing
        self._models = models
        self._port = port
        self._lock = threading.Lock()
        self._remembered: dict[str, list[Any]] = {}
        self._numbers = itertools.count(1)
        self._token = os.urandom(4).hex()  # ids of an earlier server must be strange to this one
        self._http: HttpServer | None = None

    @property
    def base_url(self) -> str:
        """Where the running server is, `/v1` included."""
        if self._http is None:
            raise RuntimeError("the model server is not running")
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def start(self) -> None:
        """Begin to serve, in threads of its own; OSError if the port is taken."""
        self._http = HttpServer(self._port, self._respond, self.unexpected.append)
        self._http.start()

    def stop(self) -> None:
        """Close every connection, wait for the threads; harmless when it is not running."""
        http, self._http = self._http, None
        if http is not None:
            http.stop()

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.unexpected and error is None:
            raise AssertionError("the model server's script did not fit:\n" + "\n".join(self.unexpected))

    def _respond(self, request: Received) -> Sent:
        """Answer one request; called in the connection's thread."""
        with self._lock:
            self.requests.append(request)
        match request.method, request.path.partition("?")[0]:
            case "GET", "/v1/models":
                return self._list_models()
            case "POST", ("/v1/responses" | "/v1/chat/completions") as path:
                return self._model_answer(request, on_responses=path == "/v1/responses")
        return self._surprised(404, f"Unknown request: {request.method} {request.path}")

    def _list_models(self) -> Status:
        if isinstance(self._models, Status):
            return self._models
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "script"} for name in self._models]
        return Status(200, {"object": "list", "data": models})

    def _model_answer(self, request: Received, on_responses: bool) -> Sent:
        try:
            self._check(request.body, on_responses)
        except Rejected as rejected:
            return Status(400, {"error": rejected.error})
        with self._lock:
            step = next(self._script, None)
        if step is None:
            place = f"{request.method} {request.path}"
            return self._surprised(500, f"The script is at its end: nothing to answer {place} with.")
        try:
            answer: Any = step(request) if callable(step) else step
        except Exception as error:  # noqa: BLE001 - a failed assertion must reach the test, whatever it is
            return self._surprised(500, f"The script's function raised {type(error).__name__}: {error}")
        if isinstance(answer, Reply):
            return self._stream(request, answer, on_responses)
        if isinstance(answer, Sent):
            return answer
        return self._surprised(500, f"The script holds what is no answer: {answer!r}")

    def _check(self, body: Any, on_responses: bool) -> None:
        if not isinstance(body, dict):
            raise Rejected("We could not parse the JSON body of your request: an object is needed.")
        try:
            if self._strict and on_responses:
                check_responses(body, self._remembered)
            elif self._strict:
                check_chat(body)
        except (AttributeError, KeyError, TypeError) as error:
            raise Rejected(f"The request is malformed: {type(error).__name__}: {error}") from None

    def _surprised(self, code: int, message: str) -> Status:
        self.unexpected.append(message)
        return Status(code, {"error": {"message": message, "type": "server_error", "param": None, "code": None}})

    def _stream(self, request: Received, reply: Reply, on_responses: bool) -> Streamed:
        """A reply spelled for the wire that the request came on."""

        def remember(response_id: str, output: list[Any]) -> None:
            if request.body.get("store", True) is not False:
                before = self._remembered.get(request.body.get("previous_response_id") or "", [])
                self._remembered[response_id] = [*before, *input_items(request.body), *output]

        stream: ResponsesStream | ChatStream
        if on_responses:
            stream = ResponsesStream(request, reply, self._framing, self._new_id, remember)
        else:
            stream = ChatStream(request, reply, self._framing, self._new_id)
        return Streamed(with_faults(reply, stream.records()), self._framing.line_end)

    def _new_id(self, word: str) -> str:
        return f"{word}_{self._token}_{next(self._numbers)}"


def _server_from_json(value: Any, port: int) -> ModelServer:
    """Build the server that a script file describes; ValueError or TypeError says what is wrong with it."""
    settings: dict[str, Any] = {"replies": value} if isinstance(value, list) else dict(value)
    script: Iterable[Step] = [answer_from_json(entry) for entry in settings.pop("replies")]
    if settings.pop("repeat", False):
        script = itertools.cycle(script)
    framing = Framing(**settings.pop("framing", {}))
    return ModelServer(script, framing=framing, port=port, **settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a script file until a signal comes; 0, 1 if the script did not fit, 2 if it cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m codex_host.testing.model_server")
    parser.add_argument("--script", type=Path, required=True, help="JSON file with the replies")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--requests", type=Path, help="file for the requests, written at the end")
    options = parser.parse_args(arguments)
    try:
        server = _server_from_json(json.loads(options.script.read_text("utf-8")), options.port)
    except (OSError, ValueError, TypeError, KeyError) as error:
        parser.error(f"{options.script}: {error!r}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.start()
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        while True:
            threading.Event().wait(1)  # a signal interrupts it at once, except on Windows
    except KeyboardInterrupt:
        server.stop()
    if options.requests:
        options.requests.write_text("".join(_request_line(request) for request in server.requests), "utf-8")
    sys.stderr.writelines(f"{line}\n" for line in server.unexpected)
    return 1 if server.unexpected else 0


def _request_line(request: Received) -> str:
    """A request as a line of JSON, without the headers: they may hold a key."""
    return json.dumps({"method": request.method, "path": request.path, "body": request.body}) + "\n"


if __name__ == "__main__":
    sys.exit(main())
