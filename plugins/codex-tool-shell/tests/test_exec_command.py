"""exec_command and write_stdin: commands that go on between the calls, in real sessions in the real sandbox."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from codex_tool_shell import exec_command

from codex_host.actions import Exec, Failed, Patched, Ran, Refused
from codex_host.events import ActionEnded, ActionStarted, CallFailed, OutputDelta
from codex_host.parts import Approve, Deny
from codex_host.testing.model_server import Call, ModelServer, Received, Reply, Say
from codex_host.testing.session import Watching, make_host, play
from codex_host.testing.toolset import ToolsetContract

WORK = {"sandbox_permissions": ["disk-full-read-access", "disk-write-cwd"]}
PYTHON = f"{sys.executable} -q -u -i"


class TestExecCommand(ToolsetContract):
    module = exec_command
    name = "exec_command"
    calls: ClassVar = {"exec_command": '{"cmd": "ls -l"}'}
    deviations: ClassVar = {
        "test_names_its_calls": "write_stdin does nothing without a command that exec_command left running"
    }


linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of these tests needs Linux")


def start(cmd: object, **more: object) -> Call:
    return Call("exec_command", {"cmd": cmd, "yield_time_ms": 300, **more})


def write(chars: str = "", session: object = 1, **more: object) -> Call:
    return Call("write_stdin", {"session_id": session, "chars": chars, "yield_time_ms": 500, **more})


class Session:
    """Plays calls, one a turn; each answer of a tool as the model reads it, JSON taken apart."""

    def __init__(self, folder: Path, *answers: Any, wire: str = "responses", on_event: Any = None) -> None:
        self.folder, self.wire = folder, wire
        self.audience = Watching(*answers, on_event=on_event)

    def told(self, *calls: Call | Callable[[], Call], **settings: Any) -> list[Any]:
        def step(number: int, call: Call | Callable[[], Call]) -> Callable[[Received], Reply]:
            def reply(received: Received) -> Reply:
                made = call if isinstance(call, Call) else call()
                return Reply(Call(made.name, made.arguments, f"call{number}"))

            return reply

        script = [step(number, call) for number, call in enumerate(calls)]
        with ModelServer([*script, Reply(Say("Done."))]) as server:
            home = {"HOME": str(self.folder)}  # no login scripts
            host = make_host(self.folder, server.base_url, wire=self.wire, environ=home, **{**WORK, **settings})
            (ending,) = play(host, self.audience, "go", seconds=60)
        assert ending.exit_code == 0, ending
        outputs: dict[str, str] = {}
        for request in server.requests:
            outputs |= request.tool_outputs
        texts = [outputs[f"call{number}"] for number in range(len(calls))]
        return [json.loads(text) if text.startswith("{") else text for text in texts]


def gone(process: int) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@linux
@pytest.mark.parametrize("wire", ["responses", "chat"])
def test_what_ends_in_time_is_told_like_any_command(tmp_path: Path, wire: str) -> None:
    session = Session(tmp_path, wire=wire)
    (told,) = session.told(start("echo out; echo err >&2; exit 3", yield_time_ms=20_000))
    assert told == {"output": "out\nerr\n", "metadata": {"exit_code": 3, "duration_seconds": 0.0}}
    kinds = [type(event).__name__ for event in session.audience.events if hasattr(event, "call_id")]
    assert kinds == ["ActionStarted", "OutputDelta", "ActionEnded"]


@linux
def test_a_build_is_polled_to_its_end(tmp_path: Path) -> None:
    script = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 5"

    def go() -> Call:
        (tmp_path / "work/go").touch()
        return write(yield_time_ms=20_000)

    session = Session(tmp_path)
    first, idle, last, after = session.told(start(script), write(), go, write())
    assert first == {"output": "one\n", "session_id": 1, "note": "It is still running."}
    assert (idle["output"], idle["session_id"]) == ("", 1)
    assert (last["output"], last["metadata"]["exit_code"]) == ("two\n", 5)
    assert after == "`session_id`: no command 1 is running; there are: none"
    (ended,) = session.audience.of(ActionEnded)
    assert isinstance(ended.outcome, Ran)
    assert (ended.call_id, ended.outcome.output.text) == ("call0", "one\ntwo\n")
    assert "".join(event.text for event in session.audience.of(OutputDelta)) == "one\ntwo\n"
    assert [event.call_id for event in session.audience.of(CallFailed)] == ["call3"]


@linux
@pytest.mark.parametrize("tty", [False, True])
def test_a_repl_is_talked_to(tmp_path: Path, tty: bool) -> None:
    _, sum_, where, slow, stopped, last = Session(tmp_path).told(
        start(PYTHON, tty=tty),
        write("print(6 * 7)\n"),
        write("import sys; print(sys.stdin.isatty())\n"),
        write("import time; time.sleep(60)\n"),
        write("\x03"),
        write("exit(3)\n", yield_time_ms=20_000),
    )
    assert "42\n" in sum_["output"]
    assert f"{tty}\n" in where["output"]
    assert slow["session_id"] == 1
    assert "KeyboardInterrupt\n" in stopped["output"]
    assert last["metadata"]["exit_code"] == 3


@linux
@pytest.mark.parametrize("tty", [False, True])
def test_closing_its_input_ends_what_reads_to_the_end(tmp_path: Path, tty: bool) -> None:
    first, last = Session(tmp_path).told(start("sort", tty=tty), write("b\na\n", close=True, yield_time_ms=20_000))
    assert first["session_id"] == 1
    assert last["output"].endswith("a\nb\n")
    assert last["metadata"]["exit_code"] == 0


@linux
def test_a_terminal_has_a_size_and_shows_what_is_typed(tmp_path: Path) -> None:
    size, shown, _ = Session(tmp_path).told(
        start("stty size; echo $TERM; cat", tty=True), write("typed\n"), write(end=True)
    )
    assert size["output"] == "24 80\ndumb\n"
    assert shown["output"] == "typed\ntyped\n"


TREE = "{}sleep 60 & echo $! >job; setsid sleep 60 & echo $! >stranger; echo $$ >shell; echo ready; wait"


@linux
@pytest.mark.parametrize(("ignoring", "code"), [("", 143), ("trap '' TERM; ", 137)])
def test_end_ends_the_whole_tree(tmp_path: Path, ignoring: str, code: int) -> None:
    _, ended = Session(tmp_path).told(start(TREE.format(ignoring)), write(end=True))
    assert ended["metadata"]["exit_code"] == code
    assert all(gone(int((tmp_path / "work" / name).read_text())) for name in ("job", "stranger", "shell"))


@linux
def test_the_end_of_the_session_ends_it_and_is_told(tmp_path: Path) -> None:
    session = Session(tmp_path)
    began = time.monotonic()
    session.told(start(TREE.format("trap '' TERM; ")), start("sleep 60"))
    assert time.monotonic() - began < 6
    assert all(gone(int((tmp_path / "work" / name).read_text())) for name in ("job", "stranger", "shell"))
    outcomes = {event.call_id: event.outcome for event in session.audience.of(ActionEnded)}
    assert {call: outcome.exit_code for call, outcome in outcomes.items() if isinstance(outcome, Ran)} == {
        "call0": -9,
        "call1": -15,
    }


def interrupted(folder: Path, script: list[Reply], when: Callable[[], bool]) -> dict[str, str]:
    """Interrupt a first request once `when` is true, submit a second one; what the model was told in the end."""

    async def conversation() -> None:
        with anyio.fail_after(30):
            async with host.open(Watching()) as live, anyio.create_task_group() as tasks:
                tasks.start_soon(live.submit, "go")
                while not when():  # noqa: ASYNC110 - a file says so
                    await anyio.sleep(0.01)
                live.interrupt()
                assert (await live.submit("go on")).exit_code == 0

    with ModelServer(script) as server:
        host = make_host(folder, server.base_url, environ={"HOME": str(folder)}, **WORK)
        anyio.run(conversation)
    return {call: text for request in server.requests for call, text in request.tool_outputs.items()}


@linux
def test_an_interrupt_leaves_it_alone(tmp_path: Path) -> None:
    marks = tmp_path / "work" / "asleep"
    script = [
        Reply(Call("exec_command", {"cmd": "read line; echo $line", "yield_time_ms": 100}, "start")),
        Reply(Call("shell", {"command": ["sh", "-c", "touch asleep; sleep 60"], "timeout": 60_000}, "sleep")),
        Reply(Call("write_stdin", {"session_id": 1, "chars": "alive\n", "yield_time_ms": 9000}, "look")),
        Reply(Say("Done.")),
    ]
    told = interrupted(tmp_path, script, marks.exists)
    assert told["sleep"] == "aborted"
    assert json.loads(told["look"])["output"] == "alive\n"


@linux
def test_an_interrupt_ends_it_while_its_number_is_not_told_yet(tmp_path: Path) -> None:
    file = tmp_path / "work" / "shell"
    script = [
        Reply(Call("exec_command", {"cmd": "echo $$ >shell; sleep 60", "yield_time_ms": 30_000}, "start")),
        Reply(Say("Done.")),
    ]
    told = interrupted(tmp_path, script, lambda: file.exists() and file.read_text().endswith("\n"))
    assert told["start"] == "aborted"
    assert gone(int(file.read_text()))


@linux
def test_other_actions_go_on_beside_it(tmp_path: Path) -> None:
    """A server that the next command asks, through files in the workspace."""
    serve = "echo up; while [ ! -e asked ]; do sleep 0.02; done; echo answered >answer; read line"
    first, beside, _ = Session(tmp_path).told(
        start(serve),
        Call(
            "shell",
            {"command": ["sh", "-c", "touch asked; while ! cat answer; do sleep 0.1; done 2>/dev/null"]},
        ),
        write(end=True),
    )
    assert first["output"] == "up\n"
    assert beside["output"] == "answered\n"


@linux
def test_it_is_held_by_the_sandbox(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)\n"
        _, wrote, connected, _ = Session(tmp_path).told(
            start(PYTHON), write(f"open({str(outside)!r}, 'w')\n"), write(connect), write("exit()\n")
        )
    assert "PermissionError" in wrote["output"]
    assert "PermissionError" in connected["output"]
    assert not outside.exists()


@linux
def test_the_policy_is_asked_once_for_the_command(tmp_path: Path) -> None:
    session = Session(tmp_path, Approve(), Deny("not that"))
    settings = {"approval_policy": "unless-allow-listed"}
    allowed, fed, denied = session.told(start(PYTHON), write("exit()\n", yield_time_ms=9000), start(PYTHON), **settings)
    assert allowed["session_id"] == 1
    assert fed["metadata"]["exit_code"] == 0
    assert denied == "not run: rejected by the user: not that"
    assert len(session.audience.questions) == 2
    assert [type(event.outcome) for event in session.audience.of(ActionEnded)] == [Ran, Refused]


@linux
def test_without_a_sandbox_nothing_can_be_sent_to_it(tmp_path: Path) -> None:
    """The user approved a command that nothing holds back, and not what the model would send to it."""
    session = Session(tmp_path, Approve())
    settings = {"disabled_plugins": ["codex-sandbox-linux"], "approval_policy": "unless-allow-listed"}
    first, refused, ended = session.told(start("cat"), write("hello\n"), write(end=True), **settings)
    assert first["session_id"] == 1
    assert "without a sandbox" in refused
    assert ended["metadata"]["exit_code"] == 143
    everything = ["disk-full-read-access", "disk-full-write-access", "network-full-access"]
    calls = [start("cat"), write("hello\n"), write(end=True)]
    free = Session(tmp_path / "free").told(*calls, sandbox_permissions=everything)
    assert free[1]["output"] == "hello\n"


@linux
def test_a_patch_is_still_a_patch(tmp_path: Path) -> None:
    patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\nEOF"
    session = Session(tmp_path)
    (told,) = session.told(start(patch))
    assert told == "Success. Updated the following files:\nA a"
    assert isinstance(session.audience.of(ActionEnded)[0].outcome, Patched)
    (wrong,) = Session(tmp_path).told(start(patch.replace("Add File", "Bad File")))
    assert "invalid patch" in wrong


@linux
def test_what_does_not_start_is_told(tmp_path: Path) -> None:
    session = Session(tmp_path)
    missing, folder = session.told(start(["no-such-program"]), start("true", workdir="missing"))
    assert missing == "execution error: there is no program called 'no-such-program'"
    assert "missing cannot be entered" in folder
    assert [type(event.outcome) for event in session.audience.of(ActionEnded)] == [Failed, Failed]


@linux
def test_a_flood_fills_no_memory_and_keeps_its_end(tmp_path: Path) -> None:
    script = "echo begin; head -c 300000000 /dev/zero | tr '\\0' x; echo; echo 'fatal: why'; read line"
    session = Session(tmp_path)
    _, told, _ = session.told(start(script, yield_time_ms=0), write(yield_time_ms=5000), write(end=True))
    assert told["output"].startswith("begin\nxx")
    assert told["output"].endswith("x\nfatal: why\n")
    assert "bytes left out" in told["output"]
    assert len(told["output"]) <= 10 * 1024


@linux
def test_a_command_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    _, told, _ = Session(tmp_path).told(start("sleep 60"), write("x" * 1_000_000), write(end=True))
    assert "does not read" in told


@linux
def test_limits(tmp_path: Path) -> None:
    settings = {"plugins": {"exec_command": {"max_lines": 5}}}
    *_, refused = Session(tmp_path).told(*[start("sleep 60", yield_time_ms=0)] * 17, **settings)
    assert "end one first" in refused
    (told,) = Session(tmp_path).told(start("seq 100", yield_time_ms=9000), **settings)
    assert len(told["output"].splitlines()) == 5


@linux
def test_commands_that_have_ended_take_no_room(tmp_path: Path) -> None:
    """Even if nobody has asked how they ended."""

    def last() -> Call:
        (tmp_path / "work/go").touch()
        end = time.monotonic() + 20
        while len(session.audience.of(ActionEnded)) < 16 and time.monotonic() < end:
            time.sleep(0.02)
        return start("echo last", yield_time_ms=9000)

    session = Session(tmp_path)
    wait = start("while [ ! -e go ]; do sleep 0.02; done", yield_time_ms=0)
    *_, told, first = session.told(*[wait] * 16, last, write())
    assert told["output"] == "last\n"
    assert first["metadata"]["exit_code"] == 0


@linux
def test_true_is_no_number(tmp_path: Path) -> None:
    _, told, _ = Session(tmp_path).told(start("cat"), write(session=True), write(end=True))
    assert told == "`session_id`: no command True is running; there are: 1"


@linux
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("exec_command", {}), "`cmd`: expected a line"),
        (Call("exec_command", {"cmd": 3}), "`cmd`: expected a line"),
        (start("true", tty="yes"), "`tty`: expected true or false"),
        (start("true", yield_time_ms=-1), "`yield_time_ms`: expected a number"),
        (write(session=None), "no command None is running"),
        (write(session=[1]), "is running"),
    ],
)
def test_arguments_that_make_no_sense_are_explained(tmp_path: Path, call: Call, reason: str) -> None:
    session = Session(tmp_path)
    assert reason in session.told(call)[0]
    assert session.audience.of(ActionStarted) == []


@linux
def test_many_leave_nothing_behind(tmp_path: Path) -> None:
    held: list[int] = []

    def on_event(event: object) -> None:
        if isinstance(event, ActionEnded):
            held.append(len(os.listdir("/proc/self/fd")))

    calls = [start("echo x", tty=number % 2 == 0, yield_time_ms=9000) for number in range(40)]
    told = Session(tmp_path, on_event=on_event).told(*calls)
    assert [one["output"] for one in told] == ["x\n"] * 40
    assert held[-1] <= held[2] + 3  # the model server in this process has its own


def test_the_command_is_run_by_a_shell_in_its_folder(tmp_path: Path) -> None:
    from codex_tool_shell._arguments import parse_line

    assert parse_line({"cmd": "ls | wc", "workdir": "sub"}, tmp_path) == Exec(
        ("bash", "-lc", "ls | wc"), tmp_path / "sub", None
    )
