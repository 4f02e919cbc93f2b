"""Tool calls and patches against the least that one would write for them; prints milliseconds as JSON.

A call is everything between two outputs of a command: log, request, stream, review, spawn, output. Ours runs in the
sandbox and writes the session down; the reference has no sandbox, no policy and one log line for each item.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
from codex_tool_apply_patch._language import parse

from codex_host import patches
from codex_host.events import ActionEnded, Event
from codex_host.parts import Audience
from codex_host.testing.session import make_host

CALLS, ROUNDS = 60, 4
MANY = 500
WINDOW = 100
COMMAND = ["/bin/echo", "hello"]
LINES, HUNKS = 100_000, 1_000


@contextmanager
def server(folder: Path, calls: int) -> Iterator[str]:
    """A model that asks for so many commands, one a turn; its URL."""
    call = {"reply": [{"call": "shell", "arguments": {"command": COMMAND}}]}
    script = folder / "script.json"
    script.write_text(json.dumps({"replies": [call] * calls + [{"reply": [{"say": "Done."}]}], "strict": False}))
    argv = [sys.executable, "-m", "codex_host.testing.model_server", "--script", str(script)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def between(moments: list[float]) -> list[float]:
    return [(later - earlier) * 1000 for earlier, later in pairwise(moments)]


class Clock(Audience):
    """Notes when each command has ended."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def show(self, event: Event) -> None:
        if isinstance(event, ActionEnded):
            self.moments.append(time.perf_counter())


def ours(base_url: str, wire: str, folder: Path) -> list[float]:
    """The milliseconds of each call by the host, in a process that is not new."""
    granted = ["disk-full-read-access", "disk-write-cwd"]
    host = make_host(folder, base_url, wire=wire, kept=True, sandbox_permissions=granted)
    clock = Clock()

    async def session() -> None:
        async with host.open(clock) as live:
            assert (await live.submit("go")).exit_code == 0

    anyio.run(session)
    return between(clock.moments)


def reference(base_url: str, wire: str, folder: Path) -> list[float]:
    """The same by a loop of a page."""
    moments: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)

    async def session() -> None:
        conversation: Any = Responses() if wire == "responses" else Chat()
        async with httpx.AsyncClient(timeout=60) as client:
            with (folder / "log.jsonl").open("a") as log:
                while call := await conversation.ask(client, base_url):
                    done = await anyio.run_process(call[1], stderr=subprocess.STDOUT, check=False)
                    told = json.dumps({"output": done.stdout.decode(), "metadata": {"exit_code": done.returncode}})
                    moments.append(time.perf_counter())
                    conversation.tell(call[0], told)
                    log.write(json.dumps([call, told]) + "\n")
                    log.flush()

    anyio.run(session)
    return between(moments)


class Responses:
    """The server remembers; only what is new is sent."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {
            "model": "m",
            "stream": True,
            "store": True,
            "input": [{"role": "user", "content": "go"}],
        }

    async def ask(self, client: httpx.AsyncClient, base_url: str) -> tuple[str, list[str]] | None:
        call = None
        async for event in events(client, f"{base_url}/responses", self.body):
            if event["type"] == "response.output_item.done" and event["item"]["type"] == "function_call":
                call = (event["item"]["call_id"], json.loads(event["item"]["arguments"])["command"])
            elif event["type"] == "response.completed":
                self.body["previous_response_id"] = event["response"]["id"]
        return call

    def tell(self, call_id: str, output: str) -> None:
        self.body["input"] = [{"type": "function_call_output", "call_id": call_id, "output": output}]


class Chat:
    """The whole conversation goes with every request."""

    def __init__(self) -> None:
        self.messages: list[Any] = [{"role": "user", "content": "go"}]

    async def ask(self, client: httpx.AsyncClient, base_url: str) -> tuple[str, list[str]] | None:
        call_id, arguments = "", ""
        body = {"model": "m", "stream": True, "messages": self.messages}
        async for event in events(client, f"{base_url}/chat/completions", body):
            for choice in event["choices"]:
                for part in choice["delta"].get("tool_calls") or ():
                    call_id = part.get("id") or call_id
                    arguments += part["function"].get("arguments") or ""
        if not call_id:
            return None
        call = {"id": call_id, "type": "function", "function": {"name": "shell", "arguments": arguments}}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        return call_id, json.loads(arguments)["command"]

    def tell(self, call_id: str, output: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})


async def events(client: httpx.AsyncClient, url: str, body: Any) -> Any:
    async with client.stream("POST", url, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line[6:])


def calls(folder: Path) -> dict[str, float]:
    """The median call of both, each in sessions that take turns."""
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    sides: dict[str, Callable[[str, str, Path], list[float]]] = {"ours": ours, "reference": reference}
    for number in range(ROUNDS * 2):
        name = list(sides)[(number + number // 2) % 2]
        with server(folder, CALLS) as base_url:
            times[name] += sides[name](base_url, "responses", folder / f"{name}{number}")[5:]
    return {name: statistics.median(values) for name, values in times.items()}


def growth(folder: Path, wire: str) -> dict[str, float]:
    """The median of the first and of the last calls of one long session."""
    found = {}
    for name, side in (("ours", ours), ("reference", reference)):
        with server(folder, MANY) as base_url:
            times = side(base_url, wire, folder / f"{name} {wire}")
        found[f"{name} first"] = statistics.median(times[5 : 5 + WINDOW])
        found[f"{name} last"] = statistics.median(times[-WINDOW:])
    return found


def patch(folder: Path) -> float:
    """A patch of many hunks on a long file, from its text to the file on the disk; every third line is like others."""
    lines = [f"    line {number} of it" if number % 3 else "    return" for number in range(LINES)]
    file = folder / "long.py"
    file.write_text("".join(f"{line}\n" for line in lines))
    text = ["*** Begin Patch", f"*** Update File: {file}"]
    for place in range(1, LINES - 1, LINES // HUNKS):
        old = lines[place - 1 : place + 3]
        text += ["@@", f" {old[0]}", f"-{old[1]}", f"+{old[1]} changed", *(f" {line}" for line in old[2:])]
    began = time.perf_counter()
    patches.apply(parse("\n".join([*text, "*** End Patch"]), folder), folder)
    taken = (time.perf_counter() - began) * 1000
    assert file.read_text().count(" changed") == HUNKS
    return taken


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        measured = {"patch": statistics.median(patch(folder) for _ in range(3)), "call": calls(folder)}
        measured |= {wire: growth(folder, wire) for wire in ("responses", "chat")}
    print(json.dumps(measured))


main()
