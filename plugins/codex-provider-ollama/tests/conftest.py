"""A server that behaves as Ollama does, above all where it cuts: a prompt that is too long loses its beginning."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class FakeOllama:
    """`models` maps names to what is known of them: `maximum`, `parameters`, `remote_host`.

    The "model" says the password that it was told ("the password is X"), if it still sees it. `calls` are what it does
    first instead: names and arguments of tools. `modern` servers know `truncate` and `shift`. `native` is whether
    there is anything beside `/v1`.
    """

    def __init__(self, default=4096, modern=True, native=True, compatible=True):
        self.models = {"tiny:latest": {"maximum": 131072}}
        self.default = default
        self.modern = modern
        self.native = native
        self.loaded = {}
        self.loads = []
        self.requests = []
        self.calls = []
        self.failures = []
        self.key = None
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.http.fake = self
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)

    def stop(self):
        """Refuse every connection from now on."""
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(5)

    @property
    def address(self):
        return f"127.0.0.1:{self.http.server_port}"

    @property
    def base_url(self):
        return f"http://{self.address}/v1"

    def asked(self, path):
        """The bodies that came to one path."""
        return [body for came, body in self.requests if came == path]

    def answer(self, method, path, body):
        """Status, content type and body."""
        path = path.partition("?")[0]
        self.requests.append((path, body))
        if self.failures:
            return self.failures.pop(0)
        if path.startswith("/api/") and not self.native:
            return 404, "application/json", b'{"detail":"Not Found"}'
        match method, path:
            case "GET", "/v1/models":
                listed = [{"id": name, "object": "model", "owned_by": "library"} for name in self.models]
                return json_answer({"object": "list", "data": listed})
            case "GET", "/api/tags":
                return json_answer({"models": [{"name": name} for name in self.models]})
            case "GET", "/api/ps":
                running = [{"name": name, "context_length": size} for name, size in self.loaded.items()]
                return json_answer({"models": running})
            case "POST", "/api/show":
                return self.show(body["model"])
            case "POST", "/api/chat":
                return self.chat(body, body["messages"], body.get("options", {}).get("num_ctx"), ndjson)
            case "POST", "/v1/chat/completions":
                return self.chat(body, body["messages"], None, events)
        return 404, "text/plain", b"404 page not found"

    def show(self, model):
        _, about = self.find(model)
        if about is None:
            return json_answer({"error": f"model '{model}' not found"}, 404)
        shown = {"details": {"family": "toy"}, "parameters": about.get("parameters", "")}
        shown["model_info"] = {"general.architecture": "toy", "toy.context_length": about["maximum"]}
        return json_answer({**shown, **{key: about[key] for key in about if key.startswith("remote")}})

    def find(self, model):
        name = model if ":" in model else f"{model}:latest"
        return name, self.models.get(name)

    def window(self, name, about, num_ctx):
        """Load the model as the scheduler does: anew for another window, never beyond the model's maximum."""
        own = re.search(r"num_ctx\s+(\d+)", about.get("parameters", ""))
        size = min(num_ctx or (int(own[1]) if own else self.default), about["maximum"])
        if self.loaded.get(name) != size:
            self.loads.append(size)
        self.loaded[name] = size
        return size

    def chat(self, body, messages, num_ctx, spell):
        name, about = self.find(body["model"])
        if about is None:
            error = f"model '{body['model']}' not found"
            return json_answer({"error": {"message": error, "type": "not_found_error"}}, 404)
        size = self.window(name, about, num_ctx)
        prompt = rendered(body, messages)
        if tokens(prompt) > size - 1:
            if self.modern and body.get("truncate") is False:
                over = tokens(prompt) - size
                return json_answer({"error": f"prompt too long; exceeded max context length by {over} tokens"}, 400)
            messages = cut(body, messages, size)
        prompt = rendered(body, messages)[-size * 4 :]  # and what is still too long loses its beginning
        if self.calls:
            return spell(name, "", self.calls.pop(0), tokens(prompt))
        known = re.search(r"the password is (\w+)", prompt)
        return spell(name, known[1] if known else "what password?", [], tokens(prompt))


def rendered(body, messages):
    return json.dumps([body.get("tools"), messages])


def tokens(prompt):
    return len(prompt) // 4


def cut(body, messages, size):
    """Ollama's `chatPrompt`: the oldest messages go, but for the system's and the last one."""
    kept = list(messages)
    while len(kept) > 1 and tokens(rendered(body, kept)) > size - 1:
        index = next((i for i, message in enumerate(kept[:-1]) if message["role"] != "system"), None)
        if index is None:
            break
        del kept[index]
    return kept


def json_answer(data, status=200):
    return status, "application/json; charset=utf-8", json.dumps(data).encode()


def ndjson(name, text, calls, count):
    def line(**data):
        return json.dumps({"model": name, "created_at": "2026-01-01T00:00:00Z", **data}) + "\n"

    lines = [line(message={"role": "assistant", "content": "", "thinking": "Hm."}, done=False)]
    lines += [line(message={"role": "assistant", "content": piece}, done=False) for piece in (text[:2], text[2:])]
    for tool, arguments in calls:
        call = {"function": {"name": tool, "arguments": arguments}}  # without an id, as older servers
        lines.append(line(message={"role": "assistant", "content": "", "tool_calls": [call]}, done=False))
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": count, "eval_count": 7}
    lines.append(line(message={"role": "assistant", "content": ""}, **end))
    return 200, "application/x-ndjson", "".join(lines).encode()


def events(name, text, calls, count):
    called = [
        {
            "index": number,
            "id": f"call_{number}",
            "function": {"name": tool, "arguments": json.dumps(arguments)},
        }
        for number, (tool, arguments) in enumerate(calls)
    ]
    delta = {"role": "assistant", "content": text, **({"tool_calls": called} if called else {})}
    chunk = {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}
    chunk["usage"] = {"prompt_tokens": count, "completion_tokens": 7}
    return 200, "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        fake = self.server.fake
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        if fake.key and self.headers.get("authorization") != f"Bearer {fake.key}":
            status, kind, body = json_answer({"error": "unauthorized"}, 401)
        else:
            status, kind, body = fake.answer(self.command, self.path, json.loads(text) if text else None)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), 100):  # lines are cut anywhere
            self.wfile.write(body[start : start + 100])
            self.wfile.flush()

    def do_POST(self):
        self.do_GET()


@pytest.fixture
def ollama():
    """Start a server that behaves as Ollama does."""
    started = []

    def start(**options):
        fake = FakeOllama(**options)
        fake.thread.start()
        started.append(fake)
        return fake

    yield start
    for fake in started:
        fake.stop()
