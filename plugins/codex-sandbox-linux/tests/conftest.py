"""A laboratory: folders to attack, and a way to start confined processes as the host does."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from codex_lib_linux_confinement import restriction
from codex_sandbox_linux.landlock_sandbox import LandlockSandbox

from codex_host.actions import Exec
from codex_host.parts import Launch, Sandbox
from codex_host.permissions import Fence, Network

ORDINARY_USER = 65534
PR_SET_DUMPABLE = 4

WRAPPER = """
import ctypes, errno, os, sys
for name in ('signal', 'socket', 'struct'):  # only if needed: they take half of the time
    if name + '.' in sys.argv[5]:
        globals()[name] = __import__(name)
libc = ctypes.CDLL(None, use_errno=True)
WORK, OUTSIDE, HIDDEN, PARENT, ADDRESS = *sys.argv[1:4], os.getppid(), int(sys.argv[4])
def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
def call(name, *arguments):
    return checked(libc[name](*arguments))
def syscall(number, *arguments):
    libc.syscall.restype = ctypes.c_long
    whole = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return checked(libc.syscall(ctypes.c_long(number), *whole))
try:
    exec(sys.argv[5])
except OSError as error:
    print(errno.errorcode.get(error.errno, error.errno))
    sys.exit(42)
"""


@dataclass(frozen=True)
class Result:
    """How a process ended, and what it printed."""

    code: int
    output: str

    @property
    def refused(self) -> bool:
        """Whether an attack ended with an error that the sandbox gives."""
        return self.code == 42 and self.output.strip() in ("EPERM", "EACCES", "EXDEV", "ENOSYS")


def start(launch: Launch) -> subprocess.Popen[bytes]:
    """Start a process in a thread of its own that is restricted before."""
    started: list[subprocess.Popen[bytes]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if launch.restrict is not None:
                launch.restrict()
            started.append(
                subprocess.Popen(
                    launch.argv,
                    env=dict(launch.env),
                    cwd=launch.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    gc.disable()
    try:
        thread.start()
        thread.join()
    finally:
        gc.enable()
        if launch.close is not None:
            launch.close()
    if failed:
        raise failed[0]
    return started[0]


def finish(process: subprocess.Popen[bytes], seconds: float = 20) -> Result:
    """Wait for a process and read what it printed."""
    try:
        output = process.communicate(timeout=seconds)[0]
    finally:
        process.kill()
        process.wait()
    return Result(process.returncode, output.decode(errors="replace"))


class Laboratory:
    """Three folders, `work` (writable), `outside` and `hidden`, and a user to run processes as."""

    def __init__(self, user: int | None) -> None:
        self.user = user
        self.python = _python_for(user)
        self.sandbox: Sandbox = LandlockSandbox()
        self.top = Path(tempfile.mkdtemp(prefix="laboratory-"))
        self.top.chmod(0o755)
        self.work, self.outside, self.hidden = (self.top / name for name in ("work", "outside", "hidden"))
        self.reset()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.work), "TMPDIR": str(self.work)}

    @property
    def fence(self) -> Fence:
        """Read everything but `hidden`, write `work`, no network."""
        return Fence(readable=None, writable=(self.work,), hidden=(self.hidden,), network=Network.NONE)

    def reset(self) -> None:
        """Make the folders as they were at first."""
        for folder in (self.work, self.outside, self.hidden):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "folder").mkdir()
            (folder / "victim").write_text("victim")
            (folder / "script").write_text("#!/bin/sh\n:\n")
            (folder / "script").chmod(0o755)
            os.mkfifo(folder / "fifo")
            for path in (folder, *folder.iterdir()):
                os.chown(path, self.user or -1, self.user or -1)

    def seen(self) -> list[tuple[str, int, int, bytes]]:
        """What is outside, to be compared."""
        found = []
        for path in sorted((*self.outside.rglob("*"), *self.hidden.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found.append((str(path), status.st_mode, status.st_size, content))
        return found

    def run(self, *argv: str, fence: Fence | None, environment: Mapping[str, str] | None = None) -> Result:
        """Run a program as the laboratory's user, confined unless `fence` is None."""
        env = {**self.environment, **(environment or {})}
        command = Exec(argv, self.work)

        def run() -> Result:
            launch = Launch(argv, env, self.work)
            if fence is not None:
                launch = self.sandbox.confine(command, env, fence)
            return finish(start(launch))

        return run() if self.user is None else _as_user(self.user, run)

    def shell(self, line: str, fence: Fence | None) -> Result:
        """Run a line of shell."""
        return self.run("/bin/bash", "-c", "set -e -o pipefail; " + line, fence=fence)

    def attack(self, code: str, fence: Fence | None) -> Result:
        """Run some lines of Python that raise OSError where they are refused."""
        secret = ctypes.create_string_buffer(b"secret")
        words = (*map(str, (self.work, self.outside, self.hidden, ctypes.addressof(secret))), code)
        return self.run(self.python, "-I", "-S", "-c", WRAPPER, *words, fence=fence)


def _as_user(user: int, run: Callable[[], Result]) -> Result:
    """Do it in a child process that belongs to this user."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this process has a thread, pytest's watchdog
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            result = run()
        except BaseException as error:
            result = Result(-1, repr(error))
        os.write(writing, json.dumps([result.code, result.output]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return Result(*json.loads(answer))


def _python_for(user: int | None) -> str:
    """An interpreter that this user may run."""
    if user is None:
        return sys.executable
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        if os.path.exists(candidate) and all(folder.stat().st_mode & 0o001 for folder in Path(candidate).parents):
            return candidate
    pytest.skip("no Python that an ordinary user may run")


@pytest.fixture(autouse=True)
def _available() -> None:
    """Skip where the sandbox cannot work."""
    if reason := restriction.unavailable():
        pytest.skip(reason)


@pytest.fixture(params=["this user", "an ordinary user"])
def laboratory(request: pytest.FixtureRequest) -> Iterator[Laboratory]:
    """A laboratory for whoever runs the tests and, if that is root, one for an ordinary user."""
    user = None
    if request.param == "an ordinary user":
        if os.geteuid() != 0:
            pytest.skip("only root can become another user")
        user = ORDINARY_USER
    made = Laboratory(user)
    yield made
    shutil.rmtree(made.top)


@pytest.fixture
def own_laboratory() -> Iterator[Laboratory]:
    """A laboratory for whoever runs the tests."""
    made = Laboratory(None)
    yield made
    shutil.rmtree(made.top)
