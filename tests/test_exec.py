"""`codex exec` from end to end: the real program, a real model server on both wires, the real sandbox."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from codex_host.testing.model_server import Call, Fail, ModelServer, Received, Reply, Say, Stall, Status

CODEX = [str(Path(sys.executable).with_name("codex"))]
WIRES = ("responses", "chat")
KEY = "sk-test-0123456789abcdef"


class Codex:
    """A CODEX_HOME and a repository to run `codex` in."""

    def __init__(self, folder: Path, wire: str) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        (self.work / ".git").mkdir(parents=True)
        self.wire = wire
        bytecode = "PYTHONDONTWRITEBYTECODE"  # without any, each start takes twice as long
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.lower().endswith("_proxy") and name != bytecode
            },
            "CODEX_HOME": str(self.home),
            "TEST_API_KEY": KEY,
            "PYTHONUTF8": "1",
        }

    def configure(self, base_url: str, more: str = "", **provider: object) -> None:
        fields = {
            "name": "Test",
            "base_url": base_url,
            "wire_api": self.wire,
            "env_key": "TEST_API_KEY",
            **provider,
        }
        table = "".join(f"{name} = {value!r}\n" for name, value in fields.items())
        text = f"model = 'test-model'\nmodel_provider = 'test'\n{more}\n[model_providers.test]\n{table}"
        (self.home / "config.toml").write_text(text)

    def start(self, *arguments: str, **how: Any) -> subprocess.Popen[str]:
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        return subprocess.Popen(
            [*CODEX, "exec", *arguments],
            cwd=self.work,
            env=self.environment,
            text=True,
            errors="replace",
            **settings,
        )

    def run(self, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **how) as process:
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture(params=WIRES)
def codex(request: pytest.FixtureRequest, tmp_path: Path) -> Codex:
    return Codex(tmp_path, request.param)


@pytest.fixture
def codex_once(tmp_path: Path) -> Codex:
    """For what does not depend on the wire."""
    return Codex(tmp_path, "responses")


def shell(*command: str, **more: object) -> Call:
    return Call("shell", {"command": list(command), **more})


def line(script: str, **more: object) -> Call:
    return shell("/bin/sh", "-c", script, **more)


def processes_with(marker: str) -> list[int]:
    """Running processes whose command line holds this word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


# --- The job

BROKEN = "def add(a, b):\n    return a - b\n"
TEST = "from adding import add\n\nassert add(2, 3) == 5, add(2, 3)\nprint('test passed')\n"
PATCH = """\
*** Begin Patch
*** Update File: adding.py
@@ def add(a, b):
-    return a - b
+    return a + b  # not the same size: Python would run its bytecode of the same second
*** End Patch"""
CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('connected')"


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_it_repairs_a_repository(codex: Codex, tmp_path: Path) -> None:
    """Reads, runs the test, is held back by the sandbox, patches, runs the test again and answers."""
    (codex.work / "adding.py").write_text(BROKEN)
    (codex.work / "test_adding.py").write_text(TEST)
    outside = tmp_path / "outside"
    outside.mkdir()
    with listening() as closed:
        port = closed.getsockname()[1]
        outputs: list[dict[str, str]] = []

        def answered(*parts: object) -> Callable[[Received], Reply]:
            def step(received: Received) -> Reply:
                outputs.append(received.tool_outputs)
                return Reply(*parts)  # type: ignore[arg-type]

            return step

        script = [
            Reply(Say("I look."), Call("shell", {"command": ["cat", "adding.py"]}, "read")),
            answered(Call("shell", {"command": [sys.executable, "test_adding.py"]}, "test")),
            answered(
                Call("shell", {"command": ["touch", str(outside / "file")]}, "write"),
                Call("shell", {"command": [sys.executable, "-c", CONNECT.format(port=port)]}, "network"),
            ),
            answered(Call("apply_patch", {"input": PATCH}, "patch")),
            answered(Call("shell", {"command": [sys.executable, "test_adding.py"]}, "again")),
            answered(Say("add() subtracted; the test passes now.")),
        ]
        with ModelServer(script) as server:  # type: ignore[arg-type]
            codex.configure(server.base_url)
            done = codex.run("--full-auto", "make the test pass")
    told = {call_id: text for output in outputs for call_id, text in output.items()}
    assert done.returncode == 0, done.stderr
    assert done.stdout == "add() subtracted; the test passes now.\n"
    assert "return a - b" in told["read"]
    assert "AssertionError" in told["test"]
    assert "Permission denied" in told["write"]
    assert "the permission disk-write-folder=" in told["write"]
    assert "connected" not in told["network"]
    assert "network-full-access" in told["network"]
    assert "M adding.py" in told["patch"]
    assert "test passed" in told["again"]
    assert "return a + b" in (codex.work / "adding.py").read_text()
    assert list(outside.iterdir()) == []
    assert len(server.requests) == 6


def test_every_request_has_instructions_tools_and_the_key(codex: Codex) -> None:
    (codex.work / "AGENTS.md").write_text("Always whistle.")
    with ModelServer([Reply(line("true")), Reply(Say("done"))]) as server:
        codex.configure(server.base_url)
        assert codex.run("go").returncode == 0
    assert len(server.requests) == 2
    for request in server.requests:
        assert "Always whistle." in str(request.body.get("instructions") or request.body["messages"][0]["content"])
        assert set(request.tool_names) >= {"shell", "apply_patch"}
        assert request.headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].user_texts == ["go"]


def test_what_is_refused_is_listed_and_the_way_out_named(codex: Codex) -> None:
    """Read-only is the default; a patch is refused, the model works around it, and the exit code says answered."""
    (codex.work / "adding.py").write_text(BROKEN)
    with ModelServer([Reply(Call("apply_patch", {"input": PATCH})), Reply(Say("I may not."))]) as server:
        codex.configure(server.base_url)
        done = codex.run("make the test pass")
    assert (done.returncode, done.stdout) == (0, "I may not.\n")
    assert (codex.work / "adding.py").read_text() == BROKEN
    refused = [row for row in done.stderr.splitlines() if row.startswith("refused: ")]
    assert len(refused) == 1
    assert "adding.py" in refused[0]
    assert any(row.startswith("hint: ") and "--full-auto" in row for row in done.stderr.splitlines())


def test_an_answer_without_a_refusal_has_no_hint(codex_once: Codex) -> None:
    with ModelServer([Reply(Say("hello"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("hello")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "refused" not in done.stderr
    assert "hint" not in done.stderr


# --- Secrets


def test_no_secret_reaches_a_command(codex_once: Codex) -> None:
    codex_once.environment |= {
        "SOME_TOKEN": "abc",
        "GITHUB_KEY": "def",
        "HIDDEN_IN": f"url?k={KEY}",
        "HARMLESS": "seen",
    }
    outputs: list[str] = []

    def finish(received: Received) -> Reply:
        outputs.extend(received.tool_outputs.values())
        return Reply(Say("done"))

    with ModelServer([Reply(shell("env")), finish]) as server:
        codex_once.configure(server.base_url)
        assert codex_once.run("go").returncode == 0
    assert "HARMLESS=seen" in outputs[0]
    assert "CODEX_SANDBOX_NETWORK_DISABLED=1" in outputs[0]
    for secret in (KEY, "TEST_API_KEY", "SOME_TOKEN", "GITHUB_KEY", "HIDDEN_IN"):
        assert secret not in outputs[0]


@pytest.mark.parametrize(
    "answer",
    [
        Status(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        Status(429, f"slow down, {KEY}"),
        Status(500, {"error": {"message": f"Bearer {KEY}"}}),
        Reply(Fail("server_error", f"lost {KEY}")),
    ],
    ids=["401", "429", "500", "stream"],
)
def test_a_server_that_repeats_the_key_does_not_get_it_printed(codex_once: Codex, answer: Any) -> None:
    with ModelServer(itertools.repeat(answer)) as server:
        codex_once.configure(server.base_url, request_max_retries=1, stream_max_retries=1)
        done = codex_once.run("go")
    assert done.returncode in (3, 4)
    assert KEY not in done.stdout + done.stderr
    assert "***" in done.stderr
    kept = b"".join(path.read_bytes() for path in codex_once.home.rglob("*") if path.is_file())
    assert KEY.encode() not in kept


@pytest.mark.parametrize("key", ["sk-first\nsk-second", "sk-\x00", "schlüssel-0123456789"])
def test_a_key_that_cannot_be_sent_is_told_without_repeating_it(codex_once: Codex, key: str) -> None:
    if "\0" in key:
        key = "sk-bell-\x07-0123456789"
    codex_once.environment["TEST_API_KEY"] = key
    with ModelServer() as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, len(server.requests)) == (3, 0)
    assert "TEST_API_KEY" in done.stderr
    assert not any(part in done.stderr for part in ("sk-first", "sk-bell", "schl"))


@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_a_missing_key_is_told_before_any_request(codex_once: Codex, key: str | None) -> None:
    codex_once.environment.pop("TEST_API_KEY")
    if key is not None:
        codex_once.environment["TEST_API_KEY"] = key
    with ModelServer() as server:
        codex_once.configure(server.base_url, env_key_instructions="ask the porter")
        done = codex_once.run("go")
    assert (done.returncode, done.stdout, len(server.requests)) == (3, "", 0)
    assert "TEST_API_KEY" in done.stderr
    assert "ask the porter" in done.stderr


# --- The plain failures, and endings that are no answer


@pytest.mark.parametrize("silent", [Reply(), Reply(Say("  "))], ids=["nothing", "blanks"])
def test_an_empty_answer_is_a_failure(codex_once: Codex, silent: Reply) -> None:
    with ModelServer([silent]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert "without an answer" in done.stderr


def test_an_answer_that_is_cut_off_is_a_failure(codex_once: Codex) -> None:
    with ModelServer([Reply(Say("The reason is that"), finish="length")]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cut off" in done.stderr


def test_a_refused_connection_fails_within_seconds(codex_once: Codex) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    codex_once.configure(address)
    began = time.monotonic()
    done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (4, "")
    assert f"cannot connect to {address}" in done.stderr
    assert time.monotonic() - began < 8


def test_a_refused_key_is_asked_for_once(codex: Codex) -> None:
    with ModelServer([Status(401)]) as server:
        codex.configure(server.base_url)
        done = codex.run("go")
    assert (done.returncode, done.stdout, len(server.requests)) == (3, "", 1)


def test_a_failing_server_is_asked_five_times(codex_once: Codex) -> None:
    with ModelServer([Status(500)] * 5) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout, len(server.requests)) == (4, "", 5)
    assert "asked 5 times" in done.stderr


# --- Standard streams


def test_open_standard_input_is_not_read_when_there_is_a_prompt(codex_once: Codex) -> None:
    reading, writing = os.pipe()
    try:
        with ModelServer([Reply(line("cat; echo end of input")), Reply(Say("done"))]) as server:
            codex_once.configure(server.base_url)
            done = codex_once.run("go", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "end of input" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_a_prompt_may_come_from_standard_input(codex_once: Codex, arguments: tuple[str, ...]) -> None:
    with ModelServer([Reply(Say("done"))]) as server:
        codex_once.configure(server.base_url)
        with codex_once.start(*arguments, stdin=subprocess.PIPE) as process:
            out, _ = process.communicate("tell me\nmore\n", timeout=30)
    assert (process.returncode, out) == (0, "done\n")
    assert server.requests[0].user_texts == ["tell me\nmore\n"]


@pytest.mark.parametrize("arguments", [(), ("-",), (" ",)])
def test_without_a_prompt_it_says_so(codex_once: Codex, arguments: tuple[str, ...]) -> None:
    done = codex_once.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "prompt" in done.stderr


def test_a_reader_that_leaves_is_no_answer_given(codex_once: Codex) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with ModelServer([Reply(Say("nobody reads this"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go", stdout=writing)
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def in_shell(codex: Codex, redirection: str) -> subprocess.CompletedProcess[str]:
    command = f"exec '{CODEX[0]}' exec go {redirection}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=codex.work,
        env=codex.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_an_answer_that_cannot_be_written_is_a_failure(codex_once: Codex, redirection: str) -> None:
    with ModelServer([Reply(Say("nobody reads this"))]) as server:
        codex_once.configure(server.base_url)
        done = in_shell(codex_once, redirection)
    assert done.returncode == 1, done.stderr
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_progress_that_nobody_sees_stops_nothing(codex_once: Codex, redirection: str) -> None:
    with ModelServer([Reply(line("echo hi")), Reply(Say("the answer"))]) as server:
        codex_once.configure(server.base_url)
        done = in_shell(codex_once, redirection)
    assert (done.returncode, done.stdout) == (0, "the answer\n")


def test_all_streams_closed(codex_once: Codex) -> None:
    """Descriptors 0 to 2 are then given to the first files that are opened, a pipe or a socket."""
    with ModelServer([Reply(line("echo hi")), Reply(Say("the answer"))]) as server:
        codex_once.configure(server.base_url)
        assert in_shell(codex_once, "<&- >&- 2>&-").returncode == 1
    assert "hi" in next(iter(server.requests[-1].tool_outputs.values()))


HOSTILE = "\x1b]0;title\x07\x1b[2Jred\u202egreen\x9b31m"


def test_an_answer_is_exact_in_a_pipe_and_harmless_in_a_terminal(codex_once: Codex) -> None:
    with ModelServer([Reply(Say(HOSTILE, deltas=1))] * 2) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
        assert (done.returncode, done.stdout) == (0, f"{HOSTILE}\n")
        assert not any(character in done.stderr for character in "\x1b\x07\x9b\u202e")
        leader, follower = pty.openpty()
        with codex_once.start("--color", "never", "go", stdin=follower, stdout=follower, stderr=follower) as process:
            os.close(follower)
            shown = b""
            with contextlib.suppress(OSError):  # its other end is closed: that is how a terminal ends
                while select.select([leader], [], [], 30)[0]:
                    shown += os.read(leader, 1 << 16)
            assert process.wait(30) == 0
        os.close(leader)
    text = shown.decode()
    assert text.count("red") == 1
    assert not any(character in text for character in "\x1b\x07\x9b\u202e")


def test_half_a_character_in_an_answer_is_replaced(codex_once: Codex) -> None:
    with ModelServer([Reply(Say("a\ud83db", deltas=1))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (0, "a?b\n")


def test_an_answer_fits_the_encoding_of_standard_output(codex_once: Codex) -> None:
    codex_once.environment |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with ModelServer([Reply(Say("café"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (0, "caf?\n")


# --- Where it works


def test_outside_a_git_work_tree_it_wants_to_be_told_so(codex_once: Codex) -> None:
    shutil.rmtree(codex_once.work / ".git")
    with ModelServer([Reply(Say("done"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--skip-git-repo-check" in done.stderr
        assert codex_once.run("--skip-git-repo-check", "go").returncode == 0


def test_a_workspace_that_is_not_there(codex_once: Codex) -> None:
    codex_once.configure("http://127.0.0.1:9/v1")
    done = codex_once.run("-C", "nowhere", "go")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


# --- Sandboxes


def test_a_named_sandbox_that_does_not_work_ends_the_run(codex_once: Codex) -> None:
    with ModelServer([Reply(line("touch ran"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("--full-auto", "--sandbox-backend", "no-such-sandbox", "go")
    assert (done.returncode, done.stdout) == (5, "")
    assert "no-such-sandbox" in done.stderr
    assert not (codex_once.work / "ran").exists()


def test_danger_full_access_lets_everything_through(codex_once: Codex, tmp_path: Path) -> None:
    with ModelServer([Reply(shell("touch", str(tmp_path / "file"))), Reply(Say("done"))]) as server:
        codex_once.configure(server.base_url)
        assert codex_once.run("--sandbox", "danger-full-access", "go").returncode == 0
    assert (tmp_path / "file").exists()


def test_a_flood_of_output_is_survived(codex_once: Codex) -> None:
    told: list[str] = []

    def finish(received: Received) -> Reply:
        told.extend(received.tool_outputs.values())
        return Reply(Say("done"))

    flood = line("echo the beginning; head -c 200000000 /dev/zero | tr '\\0' x; echo; echo the end", timeout=30000)
    with ModelServer([Reply(flood), finish]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
    assert "the beginning" in told[0]
    assert "the end" in told[0]
    assert len(told[0]) < 20_000
    assert len(done.stderr) < 1_000_000


def test_a_store_that_cannot_be_written_ends_the_run(codex_once: Codex) -> None:
    (codex_once.home / "sessions").write_text("no folder")
    with ModelServer([Reply(Say("done"))] * 2) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
        server.unexpected.clear()
    assert (done.returncode, done.stdout) == (1, "")
    assert "session cannot be opened" in done.stderr
    assert server.requests == []


# --- Signals

SLEEPER = "codex-test-sleeper"


def sleeping(codex: Codex, word: str) -> str:
    """A command that ends by itself long after the test, and that the test can find; it writes a file when it runs."""
    return f"trap '' TERM; : {SLEEPER}-{word}; echo x >{codex.work}/begun; while :; do sleep 0.1; done"


def daemon(codex: Codex, word: str) -> str:
    inner = f": {SLEEPER}-{word}; echo x >{codex.work}/begun; sleep 60; true"
    return f"setsid sh -c '{inner}' & while :; do sleep 0.1; done"


Moment = tuple[Callable[[Codex, str], Any], Callable[[Codex, ModelServer], bool]]
MOMENTS: Mapping[str, Moment] = {
    "waiting": (lambda codex, word: [Stall()], lambda codex, server: len(server.requests) == 1),
    "streaming": (
        lambda codex, word: [Reply(Say("a"), Stall())],
        lambda codex, server: len(server.requests) == 1,
    ),
    "command": (
        lambda codex, word: [Reply(line(sleeping(codex, word), timeout=60000))],
        lambda codex, server: (codex.work / "begun").exists(),
    ),
    "daemon": (
        lambda codex, word: [Reply(line(daemon(codex, word), timeout=60000))],
        lambda codex, server: (codex.work / "begun").exists(),
    ),
    "retrying": (
        lambda codex, word: itertools.repeat(Status(500, headers={"Retry-After": "30"})),
        lambda codex, server: len(server.requests) == 1,
    ),
}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_it_within_two_seconds(tmp_path: Path, moment: str, number: int, code: int) -> None:
    codex = Codex(tmp_path, "chat" if number == signal.SIGINT else "responses")
    script, reached = MOMENTS[moment]
    word = f"{os.getpid()}-{moment}-{code}"
    with ModelServer(script(codex, word)) as server:
        codex.configure(server.base_url)
        with codex.start("--full-auto", "go") as process:
            try:
                eventually(lambda: reached(codex, server))
                began = time.monotonic()
                process.send_signal(number)
                out, err = process.communicate(timeout=10)
            finally:
                process.kill()
        assert (process.returncode, out) == (code, "")
        assert time.monotonic() - began < 2
        assert "Traceback" not in err
        assert processes_with(f"{SLEEPER}-{word}") == []


def test_a_daemon_does_not_outlive_its_command(codex_once: Codex) -> None:
    word = f"{os.getpid()}-outlives"
    script = f"setsid sh -c ': {SLEEPER}-{word}; sleep 60; true' & while [ ! -e begun ]; do : >begun; done; echo left"
    with ModelServer([Reply(line(script)), Reply(Say("done"))]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("--full-auto", "go")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert processes_with(f"{SLEEPER}-{word}") == []


def test_a_time_out_is_told_to_the_model(codex_once: Codex) -> None:
    told: list[str] = []

    def finish(received: Received) -> Reply:
        told.extend(received.tool_outputs.values())
        return Reply(Say("done"))

    with ModelServer([Reply(line("echo begun; sleep 60", timeout=300)), finish]) as server:
        codex_once.configure(server.base_url)
        done = codex_once.run("go")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert '"exit_code": 124' in told[0]
    assert "begun" in told[0]
    assert "timed out" in done.stderr


# --- A plugin that is not there or is broken


def test_a_provider_that_is_not_installed(codex_once: Codex) -> None:
    done = codex_once.run("--model-provider", "nowhere", "go")
    assert done.returncode == 2
    assert "no provider called 'nowhere'" in done.stderr
    assert textwrap.shorten(done.stderr, 10_000).count("pip install codex-provider-nowhere") == 1
