"""The tool at work in a real session: a model server on both wires, the real host, sandbox and processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from codex_host.events import ActionEnded, ActionStarted, CallFailed, Event, OutputDelta
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of these tests needs Linux")

WORK = {"sandbox_permissions": ["disk-full-read-access", "disk-write-cwd"]}


@pytest.fixture(params=["responses", "chat"])
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Session:
    """Plays calls, one a turn; `told` is what the model read of each, `audience` what a person saw."""

    def __init__(
        self, folder: Path, wire: str = "responses", on_event: Callable[[Event], object] | None = None
    ) -> None:
        self.folder, self.wire = folder, wire
        self.audience = Watching(on_event=on_event)

    def told(self, *calls: Call, **settings: Any) -> list[str]:
        named = [Call(call.name, call.arguments, f"call{number}") for number, call in enumerate(calls)]
        with ModelServer([*map(Reply, named), Reply(Say("Done."))]) as server:
            home = {"HOME": str(self.folder)}  # no login scripts
            host = make_host(self.folder, server.base_url, wire=self.wire, environ=home, **{**WORK, **settings})
            (ending,) = play(host, self.audience, "go", seconds=600)
        assert ending.exit_code == 0, ending
        outputs: dict[str, str] = {}
        for request in server.requests:
            outputs |= request.tool_outputs
        return [outputs[call.call_id or ""] for call in named]

    def ran(self, *command: str, settings: dict[str, Any] | None = None, **more: object) -> dict[str, Any]:
        """What the model reads of one command that ran."""
        (text,) = self.told(Call("shell", {"command": list(command), **more}), **(settings or {}))
        result: dict[str, Any] = json.loads(text)
        return result


def number_in(file: Path) -> int:
    end = time.monotonic() + 10
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < end, file
        time.sleep(0.01)
    return int(file.read_text())


def gone(process: int) -> bool:
    """Whether a process ends within seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_both_streams_come_interleaved_with_code_and_duration(tmp_path: Path, wire: str) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; sleep 0.2; exit 7"
    result = Session(tmp_path, wire).ran("sh", "-c", script)
    assert result["output"] == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    assert result["metadata"]["exit_code"] == 7
    assert 0.2 <= result["metadata"]["duration_seconds"] < 5


def test_the_program_gets_its_arguments_as_they_stand_in_its_workdir(tmp_path: Path, wire: str) -> None:
    (tmp_path / "work" / "sub").mkdir(parents=True)
    result = Session(tmp_path, wire).ran("sh", "-c", 'pwd; printf "%s|" "$@"', "sh", "a b", "$HOME", "*", workdir="sub")
    assert result["output"] == f"{(tmp_path / 'work/sub').resolve()}\na b|$HOME|*|"


def test_a_text_runs_through_the_shell(tmp_path: Path, wire: str) -> None:
    (told,) = Session(tmp_path, wire).told(Call("shell", {"command": "echo one | tr a-z A-Z && echo two"}))
    assert json.loads(told)["output"] == "ONE\ntwo\n"


def test_the_name_of_another_time_is_answered(tmp_path: Path, wire: str) -> None:
    (told,) = Session(tmp_path, wire).told(Call("container.exec", {"command": ["echo", "here"]}))
    assert json.loads(told)["output"] == "here\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ('{"command": ["ls"', "JSON"),
        ({"command": ["ls"], "timeout": -5}, "`timeout`: expected a whole number of milliseconds"),
        ({"command": []}, "`command`: expected a list of texts"),
        ({"cmd": ["ls"]}, "`command`: expected a list of texts"),
    ],
)
def test_arguments_that_make_no_sense_are_explained(
    tmp_path: Path, wire: str, arguments: dict[str, Any] | str, reason: str
) -> None:
    session = Session(tmp_path, wire)
    (told,) = session.told(Call("shell", arguments))
    assert reason in told
    assert [event.reason for event in session.audience.of(CallFailed)] == [told]
    assert session.audience.of(ActionStarted) == []


def test_what_cannot_run_is_said_plainly(tmp_path: Path, wire: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    missing, folder, refused = Session(tmp_path, wire).told(
        Call("shell", {"command": ["no-such-program"]}),
        Call("shell", {"command": ["true"], "workdir": "missing"}),
        Call("shell", {"command": ["sh", "-c", f"echo x > {outside}/file"]}),
    )
    assert missing == "execution error: there is no program called 'no-such-program'"
    assert "missing cannot be entered" in folder
    assert f"disk-write-folder={outside}" in json.loads(refused)["note"]


def test_a_flood_keeps_its_beginning_and_the_error_at_its_end(tmp_path: Path, wire: str) -> None:
    noise = 'i=0; while [ $i -lt 30000 ]; do echo "noise number $i"; i=$((i+1)); done'
    script = f'echo begin; {noise}; echo "fatal: why" >&2; exit 2'
    result = Session(tmp_path, wire).ran("sh", "-c", script)
    lines = result["output"].splitlines()
    assert (lines[0], lines[-1]) == ("begin", "fatal: why")
    (gap,) = [line for line in lines if line.startswith("[...")]
    total = len("begin\n") + sum(len(f"noise number {i}\n") for i in range(30000)) + len("fatal: why\n")
    assert gap == f"[... {total - (len(result['output']) - len(gap) - 1)} bytes left out ...]"
    assert len(result["output"].encode()) <= 10 * 1024
    assert len(lines) <= 256


def test_how_much_is_read_is_set_in_bytes_and_lines(tmp_path: Path) -> None:
    for table, fits in (({"max_lines": 9}, 9), ({"max_bytes": 300}, None)):
        settings = {"plugins": {"shell": table}}
        output = Session(tmp_path).ran("seq", "100000", settings=settings)["output"]
        assert output.startswith("1\n2\n")
        assert output.endswith("\n99999\n100000\n")
        assert len(output.splitlines()) == fits if fits else len(output.encode()) <= 300


def test_output_is_shown_while_the_command_runs(tmp_path: Path) -> None:
    """The command goes on only when a watcher has seen what it wrote before."""
    work = tmp_path / "work"

    def on_event(event: Event) -> None:
        if isinstance(event, OutputDelta) and "first" in event.text:
            (work / "go").touch()

    session = Session(tmp_path, on_event=on_event)
    result = session.ran("sh", "-c", "echo first; while [ ! -e go ]; do sleep 0.01; done; echo second")
    assert result["output"] == "first\nsecond\n"
    kinds = [
        type(event) for event in session.audience.events if isinstance(event, (ActionStarted, OutputDelta, ActionEnded))
    ]
    assert kinds[0] is ActionStarted
    assert kinds[-1] is ActionEnded
    assert "".join(event.text for event in session.audience.of(OutputDelta)) == "first\nsecond\n"
    assert {event.call_id for event in session.audience.of(OutputDelta)} == {"call0"}


TREE = """
import os, sys, time
for name in ("child", "grandchild", "stranger"):
    if os.fork():
        time.sleep(60)
    if name == "stranger":
        os.setsid()
    with open(name, "w") as file:
        file.write(f"{os.getpid()}\\n")
print("ready", flush=True)
time.sleep(60)
"""


def test_a_time_out_ends_the_whole_tree(tmp_path: Path, wire: str) -> None:
    result = Session(tmp_path, wire).ran(sys.executable, "-c", TREE, timeout=1500)
    assert result["metadata"]["exit_code"] == 124
    assert "time-out" in result["note"]
    assert result["output"] == "ready\n"
    assert all(gone(number_in(tmp_path / "work" / name)) for name in ("child", "grandchild", "stranger"))


def test_an_interrupt_ends_the_whole_tree(tmp_path: Path) -> None:
    async def interrupted() -> tuple[int, float]:
        ready = anyio.Event()
        audience = Watching(on_event=lambda event: ready.set() if isinstance(event, OutputDelta) else None)
        host = make_host(tmp_path, server.base_url, **WORK)
        codes = []
        with anyio.fail_after(30):
            async with host.open(audience) as live, anyio.create_task_group() as tasks:

                async def submit() -> None:
                    codes.append((await live.submit("go")).exit_code)

                tasks.start_soon(submit)
                await ready.wait()
                began = time.monotonic()
                live.interrupt()
        return codes[0], time.monotonic() - began

    with ModelServer([Reply(Call("shell", {"command": [sys.executable, "-c", TREE], "timeout": 60_000}))]) as server:
        code, seconds = anyio.run(interrupted)
    assert code == 130
    assert seconds < 3
    assert all(gone(number_in(tmp_path / "work" / name)) for name in ("child", "grandchild", "stranger"))


def test_a_grandchild_that_holds_the_pipe_delays_nothing(tmp_path: Path, wire: str) -> None:
    script = 'setsid sh -c "echo \\$\\$ >left; exec sleep 60" & while [ ! -s left ]; do sleep 0.01; done; echo done'
    result = Session(tmp_path, wire).ran("sh", "-c", script)
    with contextlib.suppress(OSError):
        os.kill(number_in(tmp_path / "work/left"), signal.SIGKILL)
    assert result["output"] == "done\n"
    assert result["metadata"]["duration_seconds"] < 2


@pytest.mark.slow
def test_ten_gigabytes_neither_deadlock_nor_fill_memory(tmp_path: Path) -> None:
    """The real program; its host ends the flood after the first GiB, and its memory is that of any other run."""

    def run(command: str) -> tuple[str, int]:
        calls = [Call("shell", {"command": ["sh", "-c", command], "timeout": 300_000}, "flood")]
        with ModelServer([Reply(*calls), Reply(Say("Done."))]) as server:
            table = f"model_providers.bench={{name='B',base_url='{server.base_url}',wire_api='responses'}}"
            codex = [
                str(Path(sys.executable).with_name("codex")),
                "exec",
                "--skip-git-repo-check",
                "-C",
                str(tmp_path),
            ]
            options = ["-m", "m", "--model-provider", "bench", "-c", table, "go"]
            env = {**os.environ, "CODEX_HOME": str(tmp_path / "home")}
            process = subprocess.Popen(
                [*codex, *options],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return server.requests[-1].tool_outputs["flood"], usage.ru_maxrss

    (tmp_path / "home").mkdir()
    _, usual = run("true")
    told, flooded = run(f"echo begin; head -c {10 << 30} /dev/zero | tr '\\0' x")
    output = json.loads(told)["output"]
    assert output.startswith("begin\nxxx")
    assert "ended, since it wrote more than 1024 MiB" in output
    assert flooded - usual < 150 << 10  # KiB


@pytest.mark.slow
def test_a_thousand_commands_leak_nothing(tmp_path: Path) -> None:
    held: list[tuple[int, int, int]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, ActionEnded):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            held.append((len(os.listdir("/proc/self/fd")), threading.active_count(), len(children)))

    call = Call("shell", {"command": ["echo", "x"]})
    Session(tmp_path, on_event=on_event).told(*[call] * 1000)
    assert len(held) == 1000
    few = 5  # the model server in this process has its own
    assert all(later <= first + few for later, first in zip(held[-1], held[0], strict=True))
