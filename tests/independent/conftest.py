"""Servers that others wrote, fetched when they are wanted and kept in a cache folder.

$CODEX_TEST_CACHE says where, by default a folder of ours in the user's cache. What cannot be fetched, because a tool or
the network is missing, skips its tests and says why.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
AIMOCK = "@copilotkit/aimock@1.43.0"
TORCH = "torch==2.13.0"
TRANSFORMERS = "transformers[serving]==5.23.0"
NO_PIP_NEWS = "--disable-pip-version-check"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "independent: talks to a server that others wrote, fetched for the test")


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; `make` fills it once, and again if it did not get to its end."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codex-host-tests"
    folder = Path(os.environ.get("CODEX_TEST_CACHE") or default) / name
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / "complete").touch()
    return folder


def fetch(*command: str | Path, seconds: float = 420) -> str:
    """Run an installer; its output. Skips the test if it does not come to a good end."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=True
        )
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} took more than {seconds:.0f} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{command[0]} failed: {error.stderr[-500:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serve(command: list[str | Path], port: int, log: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Start a server and wait until it answers; its base URL, until the test is over."""
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environ}
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"no answer within 120 s\n{log.read_text()}"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The npm package `@copilotkit/aimock`, with two calls for who asks, and an answer for who brings outputs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    silent = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")

    def install(folder: Path) -> None:
        fetch(npm, "install", "--prefix", folder, *silent, AIMOCK)

    folder = cached("aimock", install)
    calls = [{"name": "shell", "arguments": json.dumps({"command": ["echo", word]})} for word in ("one", "two")]
    fixtures = [
        {"match": {"hasToolResult": False}, "response": {"toolCalls": calls}},
        {"match": {"hasToolResult": True}, "response": {"content": "It echoes one and two, in this order."}},
    ]
    work = tmp_path_factory.mktemp("aimock")
    (work / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    port = free_port()
    program = folder / "node_modules/@copilotkit/aimock/dist/cli.js"
    command = [
        "node",
        program,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--fixtures",
        work / "fixtures.json",
    ]
    yield from serve(command, port, work / "log", {})


@pytest.fixture(scope="session")
def transformers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`transformers serve` and the model it serves, which calls `ls` and then tells what it has seen."""
    folder = cached("transformers", install_transformers)
    work = tmp_path_factory.mktemp("transformers")
    model = work / "model"
    call = json.dumps({"name": "shell", "arguments": {"command": ["ls"]}})
    texts = (f"I look at the files.\n<tool_call>\n{call}\n</tool_call>", "There is one file, a.txt.")
    scripts = folder / "bin"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "home")}
    made = subprocess.run([scripts / "python", HERE / "tiny_model.py", model, *texts], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    port = free_port()
    command = [
        scripts / "transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
        model,
    ]
    for url in serve(command, port, work / "log", offline):
        yield url, model


def install_transformers(folder: Path) -> None:
    """A virtual environment with PyTorch for the CPU and the server; the build for GPUs would take gigabytes."""
    fetch(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin" / "pip", NO_PIP_NEWS)
    if sys.platform == "linux":
        report = json.loads(fetch(*pip, "install", "-q", "--dry-run", "--no-deps", "--report", "-", TORCH))
        version = report["install"][0]["metadata"]["version"]
        if not version.endswith("+cpu"):
            pytest.skip(f"the package index offers torch {version} and not the build for the CPU")
    fetch(*pip, "install", "-q", TORCH, TRANSFORMERS)
