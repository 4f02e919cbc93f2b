"""Running commands: real processes, real signals, nothing patched but limits."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from codex_host import _output, _process
from codex_host._process import Ended, run
from codex_host.errors import SandboxError
from codex_host.parts import Launch

ROOT = Path("/")
PYTHON = sys.executable


def launch(*argv: str, cwd: Path = ROOT, **more: object) -> Launch:
    return Launch(argv, dict(os.environ), cwd, **more)  # type: ignore[arg-type]


def run_now(described: Launch, timeout: float | None = 20.0, show: Callable[[str], None] = len) -> Ended:
    return anyio.run(run, described, timeout, show)


def sh(script: str, *words: str, timeout: float | None = 20.0, **more: object) -> Ended:
    return run_now(launch("/bin/sh", "-c", script, "sh", *words, **more), timeout)


def python(program: str, *words: str, **more: object) -> Launch:
    return launch(PYTHON, "-c", textwrap.dedent(program), *words, **more)


def alive(process: int) -> bool:
    """Whether a process is there and not only waits to be reaped by somebody."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def number_in(file: Path) -> int:
    assert eventually(lambda: file.exists() and file.read_text().endswith("\n")), file
    return int(file.read_text())


def children() -> set[int]:
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            found |= set(map(int, (thread / "children").read_text().split()))
    return found


@contextlib.contextmanager
def killed_at_the_end(*files: Path) -> Iterator[None]:
    """Leave nothing behind, even if a test fails."""
    try:
        yield
    finally:
        for file in files:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


# --- How it ends, and what it wrote


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_the_exit_code_is_told(code: int) -> None:
    ended = sh(f"exit {code}")
    assert (ended.exit_code, ended.timed_out) == (code, False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_is_a_negative_exit_code(number: int) -> None:
    assert sh(f"kill -{int(number)} $$").exit_code == -number


def test_both_streams_come_in_order() -> None:
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"
    assert sh(script).output.text == "".join(f"out {i}\nerr {i}\n" for i in range(1, 6))


def test_output_is_shown_while_it_comes(tmp_path: Path) -> None:
    """The command goes on only after what it wrote was shown."""
    seen: list[str] = []

    def show(text: str) -> None:
        seen.append(text)
        (tmp_path / "go").touch()

    script = 'echo first; while [ ! -e "$1/go" ]; do sleep 0.01; done; echo second'
    assert run_now(launch("/bin/sh", "-c", script, "sh", str(tmp_path)), 20, show).exit_code == 0
    assert (seen[0], "".join(seen)) == ("first\n", "first\nsecond\n")


def test_standard_input_is_empty() -> None:
    assert sh("cat; echo end").output.text == "end\n"


def test_a_command_leads_a_session_of_its_own() -> None:
    leader, session = python("import os; print(os.getpid(), os.getsid(0))"), os.getsid(0)
    own, its_session = map(int, run_now(leader).output.text.split())
    assert own == its_session != session


def test_only_the_passed_descriptors_are_open() -> None:
    passed = os.open("/dev/null", os.O_RDONLY)
    strange = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(strange, True)
    try:
        script = "for i in $(seq 0 99); do [ -e /proc/$$/fd/$i ] && echo $i; done; true"
        listed = run_now(launch("/bin/sh", "-c", script, pass_fds=(passed,)))
        assert {int(number) for number in listed.output.text.split()} == {0, 1, 2, passed}
    finally:
        os.close(passed)
        os.close(strange)


def test_text_that_is_no_utf8_is_replaced_and_characters_are_never_cut() -> None:
    seen: list[str] = []
    program = "import os; [os.write(1, bytes([b])) for b in 'aé€😀'.encode()]; os.write(1, b'\\xff\\xc3')"
    ended = run_now(python(program), 20, seen.append)
    assert ended.output.text == "".join(seen) == "aé€😀\ufffd\ufffd"


def test_what_was_written_just_before_the_end_is_not_lost() -> None:
    for _ in range(20):
        ended = sh("head -c 65000 /dev/zero | tr '\\0' x; echo; echo the end")
        assert ended.output.total == 65009
        assert ended.output.text.endswith("\nthe end\n")


# --- Time-out and interrupt


def test_a_time_out_ends_it() -> None:
    began = time.monotonic()
    ended = sh("echo begun; exec sleep 60", timeout=0.3)
    assert (ended.exit_code, ended.timed_out, ended.output.text) == (-signal.SIGTERM, True, "begun\n")
    assert 0.3 <= ended.seconds <= time.monotonic() - began < 1.5


def test_a_command_that_ignores_term_is_killed_after_two_seconds() -> None:
    ended = sh("trap '' TERM; while :; do sleep 0.05; done", timeout=0.2)
    assert (ended.exit_code, ended.timed_out) == (-signal.SIGKILL, True)
    assert 2.1 < ended.seconds < 4


IGNORING_TREE = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for name in ("child", "grandchild", "stranger"):
        if os.fork():
            time.sleep(60)
        if name == "stranger":
            os.setsid()
        with open(f"{sys.argv[1]}/{name}", "w") as file:
            file.write(f"{os.getpid()}\\n")
    time.sleep(60)
"""


def test_a_tree_that_ignores_term_is_killed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "TERM_GRACE", 0.3)
    files = [tmp_path / name for name in ("child", "grandchild", "stranger")]
    with killed_at_the_end(*files):
        ended = run_now(python(IGNORING_TREE, str(tmp_path)), 1.0)
        assert (ended.timed_out, ended.exit_code) == (True, -signal.SIGKILL)
        assert eventually(lambda: not any(alive(number_in(file)) for file in files))


CLEANING_UP = """
    {command} /bin/sh -c 'trap "sleep 0.3; echo clean >$1/clean; exit" TERM
        echo $$ >$1/child
        while :; do sleep 0.02; done' sh "$1" &
    wait
"""


@pytest.mark.parametrize("command", ["", "setsid"])
def test_descendants_have_time_to_clean_up_too(tmp_path: Path, command: str) -> None:
    """The leader is gone at the first signal; what it started, in whichever session, has its grace all the same."""
    with killed_at_the_end(tmp_path / "child"):
        ended = sh(CLEANING_UP.format(command=command), str(tmp_path), timeout=0.5)
        assert ended.timed_out
        assert (tmp_path / "clean").read_text() == "clean\n"
        assert ended.seconds < 2
        assert eventually(lambda: not alive(number_in(tmp_path / "child")))


def interrupted(described: Launch, when: Callable[[], bool]) -> float:
    """Cancel a run once `when` is true; the seconds it takes to let go."""

    async def main() -> float:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, described, None, len)
                while not when():  # noqa: ASYNC110 - nothing would set an event
                    await anyio.sleep(0.01)
                began = time.monotonic()
                tasks.cancel_scope.cancel()
            return time.monotonic() - began

    return anyio.run(main)


def test_an_interrupt_ends_a_tree_within_a_second(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("child", "grandchild", "stranger")]
    with killed_at_the_end(*files):
        assert interrupted(python(IGNORING_TREE, str(tmp_path)), files[-1].exists) < 1.0
        assert eventually(lambda: not any(alive(number_in(file)) for file in files))


def test_an_interrupt_at_the_very_start_forgets_no_process(tmp_path: Path) -> None:
    closed = []
    before = children()
    for _ in range(10):
        described = launch("sleep", "60", close=lambda: closed.append(True))
        interrupted(described, lambda: True)
    assert len(closed) == 10
    assert children() <= before


def test_the_time_out_of_one_command_leaves_another_alone() -> None:
    async def main() -> list[Ended]:
        results: list[Ended] = []

        async def one(script: str, timeout: float) -> None:
            results.append(await run(launch("/bin/sh", "-c", script), timeout, len))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "sleep 60", 0.2)
            tasks.start_soon(one, "sleep 0.8; echo done", 20.0)
        return results

    first, second = anyio.run(main)
    assert (first.timed_out, second.timed_out, second.output.text) == (True, False, "done\n")


# --- What is left over


def test_a_grandchild_that_holds_the_pipe_delays_nothing(tmp_path: Path) -> None:
    script = 'setsid sh -c "echo \\$\\$ >$1/left; exec sleep 60" & '
    script += "while [ ! -s $1/left ]; do sleep 0.01; done; echo done"
    with killed_at_the_end(tmp_path / "left"):
        ended = sh(script, str(tmp_path))
        assert (ended.exit_code, ended.output.text) == (0, "done\n")
        assert ended.seconds < 2


def test_background_jobs_end_with_their_command(tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path / "job"):
        assert sh('sleep 60 & echo $! >"$1/job"', str(tmp_path)).exit_code == 0
        assert eventually(lambda: not alive(number_in(tmp_path / "job")))


OWNING = """
    import sys, anyio
    from pathlib import Path
    from codex_host import _process, _tree
    from codex_host.parts import Launch
    _tree.become_subreaper()
    script = 'setsid sh -c "echo \\\\$\\\\$ >$1/left; exec sleep 60" & while [ ! -s $1/left ]; do sleep 0.01; done'
    launch = Launch(("/bin/sh", "-c", script, "sh", sys.argv[1]), {"PATH": "/bin:/usr/bin"}, Path("/"))
    print(anyio.run(_process.run, launch, 20.0, len).exit_code)
    print(Path("/proc/self/task", str(__import__("os").getpid()), "children").read_text())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_where_the_process_is_ours_not_even_a_daemon_is_left(tmp_path: Path) -> None:
    with killed_at_the_end(tmp_path / "left"):
        arguments = [PYTHON, "-c", textwrap.dedent(OWNING), str(tmp_path)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
        assert (done.stdout.split(), done.stderr) == (["0"], "")
        assert not alive(number_in(tmp_path / "left"))


def test_many_commands_leak_nothing() -> None:
    def held() -> tuple[set[str], int, set[int]]:
        return set(os.listdir("/proc/self/fd")), threading.active_count(), children()

    async def main() -> None:
        await run(launch("true"), 20.0, len)  # anyio's worker thread exists from now on
        before = held()
        for number in range(300):
            restrict = (lambda: None) if number % 2 else None
            await run(launch("/bin/sh", "-c", "echo x", restrict=restrict), 20.0, len)
        assert held() == before

    anyio.run(main)


def test_starts_that_fail_leak_nothing() -> None:
    async def main() -> None:
        await run(launch("true"), 20.0, len)
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(30):
            with pytest.raises(FileNotFoundError):
                await run(launch("no-such-program"), 20.0, len)
            with pytest.raises(SandboxError):
                await run(launch("true", restrict=failing), 20.0, len)
        assert set(os.listdir("/proc/self/fd")) == before

    anyio.run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no process descriptors")
def test_without_process_descriptors_it_works_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An old kernel has none, and their number is limited."""

    def none_left(process: int, flags: int = 0) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    assert sh("echo a; exit 3").exit_code == 3
    ended = sh("sleep 60 & echo $! >$1/job; wait", str(tmp_path), timeout=0.3)
    assert (ended.exit_code, ended.timed_out) == (-signal.SIGTERM, True)
    assert not alive(number_in(tmp_path / "job"))
    assert interrupted(launch("sleep", "60"), lambda: True) < 1


# --- Floods


def memory() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_flood_keeps_its_beginning_and_end_in_little_memory() -> None:
    size = 300 << 20
    sh("head -c 1000000 /dev/zero")  # whatever is needed once
    before = memory()
    ended = sh(f"echo the beginning; head -c {size} /dev/zero; echo; echo the end")
    assert ended.output.total == len("the beginning\n") + size + len("\nthe end\n")
    assert ended.output.head.startswith("the beginning\n")
    assert ended.output.tail.endswith("\nthe end\n")
    kept = len(ended.output.head) + len(ended.output.tail)
    assert ended.output.left_out == ended.output.total - kept
    assert kept == 2 * _output.KEPT
    assert f"[... {ended.output.left_out} bytes left out ...]" in ended.output.text
    assert memory() - before < 20 << 20


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_nothing_is_left_out_up_to_twice_what_is_kept(excess: int) -> None:
    size = 2 * _output.KEPT + excess
    output = sh(f"head -c {size} /dev/zero | tr '\\0' x").output
    assert (output.total, output.left_out) == (size, max(excess, 0))
    assert output.text.count("x") == size - output.left_out


def test_the_gap_cuts_no_character() -> None:
    output = run_now(python("print('a' + '€' * 100_000)")).output
    assert "\ufffd" not in output.text
    assert output.head.startswith("a€")
    assert output.tail.endswith("€\n")


def test_a_command_that_never_stops_writing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_output, "MOST", 8 << 20)
    ended = sh("exec yes", timeout=None)
    assert (ended.exit_code, ended.timed_out) == (-signal.SIGTERM, False)
    assert ended.output.text.endswith("[ended, since it wrote more than 8 MiB]\n")


def test_a_slow_watcher_loses_nothing() -> None:
    seen: list[str] = []

    def show(text: str) -> None:
        time.sleep(0.02)
        seen.append(text)

    ended = run_now(launch("/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"), 20, show)
    assert sum(map(len, seen)) == ended.output.total == 1_000_000


# --- What does not start


@pytest.mark.parametrize("restrict", [None, lambda: None])
def test_what_cannot_be_started_is_an_error(tmp_path: Path, restrict: Callable[[], None] | None) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    closed: list[str] = []

    def attempt(*argv: str, cwd: Path = ROOT) -> BaseException:
        described = launch(*argv, cwd=cwd, restrict=restrict, close=lambda: closed.append("closed"))
        with pytest.raises((OSError, ValueError)) as raised:
            run_now(described)
        return raised.value

    assert isinstance(attempt("no-such-program"), FileNotFoundError)
    assert isinstance(attempt(str(plain)), PermissionError)
    missing = attempt("true", cwd=tmp_path / "missing")
    assert isinstance(missing, FileNotFoundError)
    assert str(missing.filename) == str(tmp_path / "missing")
    assert isinstance(attempt("true", cwd=plain), NotADirectoryError)
    assert isinstance(attempt("echo", "a\0b"), ValueError)
    assert "empty" in str(attempt())
    assert len(closed) == 6


def failing() -> None:
    raise OSError(1, "Operation not permitted")


@pytest.mark.parametrize("error", [OSError(1, "Operation not permitted"), RuntimeError("a bug"), KeyError("x")])
def test_where_the_restriction_fails_nothing_runs(tmp_path: Path, error: Exception) -> None:
    def restrict() -> None:
        raise error

    closed: list[bool] = []
    described = launch("touch", str(tmp_path / "file"), restrict=restrict, close=lambda: closed.append(True))
    with pytest.raises(SandboxError, match="not run"):
        run_now(described)
    assert not (tmp_path / "file").exists()
    assert closed == [True]


def test_close_is_called_after_the_end() -> None:
    happened: list[str] = []
    run_now(launch("echo", close=lambda: happened.append("closed")), 20, lambda text: happened.append("wrote"))
    assert happened == ["wrote", "closed"]


# --- The restricted start


def test_the_restriction_binds_the_command_and_not_its_parent() -> None:
    """A real one: no new privileges (prctl(2)), which a thread hands down and can never give up again."""
    import ctypes

    libc = ctypes.CDLL(None)

    def restrict() -> None:
        if libc.prctl(38, 1, 0, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS
            raise OSError("prctl")

    program = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
    inherited = Path("/proc/self/status").read_text().partition("NoNewPrivs:")[2].split()[0]
    assert run_now(python(program, restrict=restrict)).output.text == "['1']\n"
    assert run_now(python(program)).output.text == f"['{inherited}']\n"
    states = {
        (thread / "status").read_text().partition("NoNewPrivs:")[2].split()[0]
        for thread in Path("/proc/self/task").iterdir()
    }
    assert states == {inherited}


def test_garbage_is_not_collected_in_the_restricted_thread_and_is_on_again_afterwards() -> None:
    during: list[bool] = []
    threads: list[threading.Thread] = []

    def restrict() -> None:
        during.append(gc.isenabled())
        threads.append(threading.current_thread())

    assert gc.isenabled()
    run_now(launch("true", restrict=restrict))
    assert (during, gc.isenabled()) == ([False], True)
    with pytest.raises(FileNotFoundError):
        run_now(launch("no-such-program", restrict=restrict))
    with pytest.raises(SandboxError):
        run_now(launch("true", restrict=failing))
    assert gc.isenabled()
    assert len(set(threads)) == 2
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_garbage_collection_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        run_now(launch("true", restrict=lambda: None))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_restricted_starts_beside_each_other() -> None:
    async def main() -> list[int]:
        codes: list[int] = []

        async def one(code: int) -> None:
            described = launch("/bin/sh", "-c", f"exit {code}", restrict=lambda: None)
            codes.append((await run(described, 20.0, len)).exit_code)

        async with anyio.create_task_group() as tasks:
            for code in range(20):
                tasks.start_soon(one, code)
        return codes

    assert sorted(anyio.run(main)) == list(range(20))
    assert gc.isenabled()


# --- In the user's terminal


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", -9)])
def test_an_attached_command_has_our_streams(capfd: pytest.CaptureFixture[str], script: str, code: int) -> None:
    closed: list[bool] = []
    described = launch("/bin/sh", "-c", f"echo out; echo err >&2; {script}", close=lambda: closed.append(True))
    assert anyio.run(_process.run_attached, described) == code
    assert capfd.readouterr() == ("out\n", "err\n")
    assert closed == [True]
