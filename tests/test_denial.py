"""Recognising a denial by what commands really print; the sandboxed ones run for real where a sandbox works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from codex_host import _denial, _process
from codex_host._denial import denial
from codex_host._plugins import Plugins
from codex_host._sandbox_choice import launch_in
from codex_host.actions import Denial, Exec, Output, Ran
from codex_host.permissions import Fence, Network


def looked_at(text: str, cwd: Path, fence: Fence | None = None, code: int = 1, **more: bool) -> Denial | None:
    fence = fence or Fence(None, (cwd,))
    return denial(Exec(("x",), cwd), fence, Ran(code, Output(text, total=len(text)), 0.1, **more))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "touch: cannot touch '{path}': Permission denied",
        "touch: cannot touch ‘{path}’: Permission denied",
        "bash: line 1: {path}: Permission denied",
        "/bin/sh: 1: cannot create {path}: Permission denied",
        "sh: {path}: Permission denied",
        "PermissionError: [Errno 13] Permission denied: '{path}'",
        "OSError: [Errno 30] Read-only file system: '{path}'",
        "error: EACCES: permission denied, open '{path}'",
        "fatal: cannot create directory at '{path}': Permission denied",
        "mv: cannot move 'a' to '{path}': Permission denied",
        "cp: cannot create regular file '{path}': Operation not permitted",
        "open {path}: permission denied",
    ],
)
def test_a_closed_path_is_found_in_what_programs_print(work: Path, outside: Path, line: str) -> None:
    path = outside / "file"
    found = looked_at(f"some output\n{line.format(path=path)}\n", work)
    assert found == Denial(str(path), "it may not be written", f"disk-write-folder={outside}")


def test_a_path_may_be_relative_and_through_a_link(work: Path, outside: Path) -> None:
    (work / "link").symlink_to(outside)
    assert looked_at("touch: cannot touch '../outside/x': Permission denied", work) is not None
    assert looked_at("touch: cannot touch 'link/x': Permission denied", work) is not None
    assert looked_at("touch: cannot touch 'x': Permission denied", work) is None


def test_the_working_folder_is_named_by_its_own_word(work: Path) -> None:
    found = looked_at("touch: cannot touch 'x': Permission denied", work, Fence(None, ()))
    assert found == Denial(str(work / "x"), "it may not be written", "disk-write-cwd")


def test_what_may_not_be_read(work: Path, outside: Path) -> None:
    fence = Fence((work,), (work,), hidden=(work / "hidden",))
    (work / "hidden").mkdir()
    found = looked_at(f"cat: {outside}/file: Permission denied", work, fence)
    assert found == Denial(f"{outside}/file", "it may not be read", "disk-full-read-access")
    found = looked_at("ls: cannot open directory 'hidden': Permission denied", work, fence)
    assert found == Denial(f"{work}/hidden", "it may not be read", None)


TRACEBACK = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/usr/lib/python3.11/socket.py", line 836, in create_connection
    sock = socket(af, socktype, proto)
PermissionError: [Errno 1] Operation not permitted
"""


NODE = """\
Error: connect EPERM 127.0.0.1:9 - Local (undefined:undefined)
    at internalConnect (node:net:1098:16) {
  errno: -1,
  code: 'EPERM',
  syscall: 'connect',
  address: '127.0.0.1',
"""
URLLIB3 = """\
WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError("HTTPSConnection(host='pypi.org', \
port=443): Failed to establish a new connection: [Errno -3] Temporary failure in name resolution")': /simple/x/
"""


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("curl: (6) Could not resolve host: example.org", "example.org"),
        ("curl: (7) Failed to connect to 10.0.0.1 port 9 after 0 ms: Couldn't connect to server", "10.0.0.1"),
        ("socket: Operation not permitted", None),
        ("connect to 10.0.0.1 port 80: Operation not permitted", "10.0.0.1"),
        ("Connecting to 127.0.0.1:9... failed: Operation not permitted.\nRetrying.", "127.0.0.1"),
        ("ping: socket: Permission denied", None),
        ("bash: line 1: /dev/tcp/127.0.0.1/9: Operation not permitted", None),
        ("urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>", None),
        (
            "fatal: unable to access 'https://example.org/': Could not resolve host: example.org",
            "example.org",
        ),
        ("ssh: Could not resolve hostname example.org: Temporary failure in name resolution", "example.org"),
        ("warning: spurious network error: [6] Could not resolve host (index.crates.io)\n", None),
        (
            "npm error request to https://registry.npmjs.org/x failed, reason: getaddrinfo EAI_AGAIN",
            "registry.npmjs.org",
        ),
        ("Error: getaddrinfo ENOTFOUND example.org", "example.org"),
        ("Error: listen EPERM: operation not permitted 0.0.0.0:8123", None),
        (NODE, "127.0.0.1"),
        (URLLIB3, "pypi.org"),
        (TRACEBACK, None),
    ],
)
def test_a_closed_network(work: Path, text: str, host: str | None) -> None:
    closed = Denial(host or "the network", "the network is closed", "network-full-access")
    assert looked_at(text, work) == closed
    assert looked_at(text, work, code=-15, timed_out=True) == closed
    assert looked_at(text, work, Fence(None, (work,), network=Network.ALL)) is None


def test_a_silent_curl(work: Path) -> None:
    fence, ran = Fence(None, (work,)), Ran(6, Output(), 0.1)
    silent = Exec(("bash", "-lc", "curl -sf https://example.org | head"), work)
    assert denial(silent, fence, ran) == Denial("example.org", "the network is closed", "network-full-access")
    assert denial(Exec(("make",), work), fence, ran) is None
    assert denial(silent, fence, Ran(22, Output(), 0.1)) is None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("error: failed to write {path}\n\nCaused by:\n  Permission denied (os error 13)", "{outside}"),
        ("zip I/O error: Permission denied\nzip error: Could not create output file ({path})", "{outside}"),
        ('Error: unable to open database "{path}.db": unable to open database file', "{outside}"),
        ("rmdir: failed to remove '{outside}': Permission denied", "{above}"),
        ("fatal: Unable to create '{outside}/.git/index.lock': Permission denied", "{outside}/.git"),
        ("error: could not create '{outside}/.git/refs/heads/b.lock': Permission denied", "{outside}/.git"),
        ("mv: inter-device move failed: 'a' to '{path}'; Invalid cross-device link", "{outside}"),
    ],
)
def test_the_smallest_permission_is_one_that_helps(work: Path, outside: Path, text: str, needed: str) -> None:
    (outside / ".git" / "refs").mkdir(parents=True)
    words = {"path": str(outside / "file"), "outside": str(outside), "above": str(outside.parent)}
    found = looked_at(text.format(**words), work)
    assert found is not None
    assert found.permission == f"disk-write-folder={needed.format(**words)}"


def test_a_database_without_a_name_is_in_the_working_folder(work: Path) -> None:
    text = "django.db.utils.OperationalError: attempt to write a readonly database"
    assert looked_at(text, work, Fence(None, ())) == Denial(str(work), "it may not be written", "disk-write-cwd")
    assert looked_at(text, work) is None


def test_a_program_that_is_not_executable_is_no_denial(work: Path, outside: Path) -> None:
    (outside / "run").write_text("echo")
    refused = f"bash: line 1: {outside}/run: Permission denied"
    assert looked_at(refused, work, code=126) is None
    assert looked_at(refused, work, code=1) is not None
    started = 'File "subprocess.py", line 1, in _execute_child\n'
    assert looked_at(f"{started}PermissionError: [Errno 13] Permission denied: '{outside}/run'", work) is None
    assert looked_at("bash: line 1: ./run: Permission denied", outside, Fence(None, ()), 126) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FAILED tests/test_x.py::test_y - AssertionError: 1 != 2",
        "E   PermissionError expected, but nothing was raised",
        "cat: missing: No such file or directory",
        "Permission denied",
        "ssh: Permission denied (publickey).",
        "E   AssertionError: assert 'ok' == \"touch: '/etc/x': Permission denied\"",
        "    Expected: /etc/x: Permission denied",
        "tests/test_x.py::test_y FAILED: '{work}/a': Permission denied",
        "make: *** [Makefile:2: test] Error 1",
        "mktemp: failed to create file via template ‘/home/me/.pyenv/shims/tmp.XXXX’: Permission denied\n1 test failed",
        "the file 'x' in the workspace: Permission denied",
        "Exception: not the usual [Errno 1] Operation not permitted",
        "cat: 'a\0b': Permission denied",
        "cat: /root/a/b: Permission denied" if os.geteuid() else "",
    ],
)
def test_what_merely_fails_is_no_denial(work: Path, text: str) -> None:
    assert looked_at(text.replace("{work}", str(work)), work) is None


def test_the_name_of_the_program_is_no_path(work: Path) -> None:
    """Even where nothing in the working folder may be written."""
    assert looked_at("cat: Permission denied", work, Fence(None, ())) is None
    assert looked_at("sh: 1: Permission denied", work, Fence(None, ())) is None
    assert looked_at("sh: 1: cannot create file: Permission denied", work, Fence(None, ())) is not None


def test_success_and_time_out_are_no_denials(work: Path, outside: Path) -> None:
    text = f"touch: cannot touch '{outside}/x': Permission denied"
    assert looked_at(text, work, code=0) is None
    assert looked_at(text, work, code=-15, timed_out=True) is None
    assert looked_at(text, work, code=-15) is not None


def test_only_the_end_of_an_output_is_looked_at(work: Path, outside: Path) -> None:
    text = f"touch: cannot touch '{outside}/x': Permission denied\n"
    assert looked_at(text + "line\n" * 150, work) is not None
    assert looked_at(text + "line\n" * 250, work) is None


def test_long_lines_are_looked_at_in_little_time(work: Path) -> None:
    for line in ("/" * 100_000, "a:" * 50_000, "'" * 100_000, "socket connect " * 10_000):
        looked_at(f"{line} Permission denied", work)
        denial(Exec((line,), work), Fence(None, (work,)), Ran(6, Output("unable to open database file"), 0.1))


def test_only_the_end_of_a_long_line_is_gone_through(
    work: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Counting:
        def findall(self, text: str, pattern: re.Pattern[str] = _denial._PATH) -> list[tuple[str, ...]]:
            seen.append(len(text))
            return pattern.findall(text)

    monkeypatch.setattr(_denial, "_PATH", Counting())
    looked_at(f"{'a' * 10_000} permission denied\n" * 300, work)
    assert len(seen) == 200
    assert sum(seen) <= 200 * 500
    assert looked_at(f"{'a ' * 10_000}touch: cannot touch '{outside}/x': Permission denied", work) is not None


@pytest.mark.parametrize("pattern", [_denial._PATH, _denial._DATABASE_FILE], ids=["path", "database"])
@pytest.mark.parametrize("text", ["a", "a.", "a:", " a", "'", "`a", "‘", "“a", "“ ", "/", "1"])
def test_what_looks_for_a_path_goes_through_a_line_once(pattern: re.Pattern[str], text: str) -> None:
    """Ten times the text is ten times the work and not a hundred times."""

    def work(size: int) -> float:
        line, times = text * size, []
        for _ in range(5):
            began = time.process_time()
            pattern.findall(line)
            times.append(time.process_time() - began)
        return min(times)

    assert work(5000) < 40 * max(work(500), 2e-5)


def test_a_file_that_the_file_system_itself_closes_is_no_denial(work: Path, outside: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    outside.chmod(0o500)
    assert looked_at(f"touch: cannot touch '{outside}/x': Permission denied", work) is None


CONNECT = "import socket; socket.create_connection(('127.0.0.1', 9))"


OUT, NET = "disk-write-folder={outside}", "network-full-access"
REAL = [
    # program, script, the smallest permission
    ("sh", "echo x >{outside}/f", OUT),
    ("sh", "touch {outside}/f", OUT),
    ("sh", "mkdir -p {outside}/d/e", OUT),
    ("sh", "rm {outside}/there", OUT),
    ("sh", "rmdir {outside}/empty", OUT),
    ("sh", "cp {outside}/there {outside}/copy", OUT),
    ("sh", "mv {outside}/there here", OUT),
    ("sh", "echo x | tee {outside}/f", OUT),
    ("sh", "cat {hidden}/key", None),
    ("git", "git init -q {outside}/new", OUT),
    ("git", "cd {outside}/repo && git branch b", "disk-write-folder={outside}/repo/.git"),
    ("git", "git clone https://example.org/x.git", NET),
    ("git", "git clone git@example.org:x.git", NET),
    ("python", "'{python}' -c 'open(\"{outside}/f\", \"w\")'", OUT),
    ("python", "'{python}' -c 'import os; os.makedirs(\"{outside}/d/e\")'", OUT),
    (
        "python",
        "'{python}' -c 'import sqlite3 as s; s.connect(\"{outside}/a.db\").execute(\"pragma user_version=1\")'",
        OUT,
    ),
    ("python", "'{python}' -m http.server 0", NET),
    ("python", "'{python}' -c \"{connect}\"", NET),
    ("python", "'{python}' -c 'import httpx; httpx.get(\"http://127.0.0.1:9\")'", NET),
    ("pip", "'{python}' -m venv --without-pip {outside}/venv", OUT),
    ("sqlite3", "sqlite3 {outside}/new.db 'create table t(a)'", OUT),
    ("node", 'node -e \'require("fs").writeFileSync("{outside}/f", "")\'', OUT),
    ("node", 'node -e \'require("http").get("http://127.0.0.1:9")\'', NET),
    (
        "node",
        "node -e 'fetch(\"http://example.org\").catch(e => {{ console.error(e); process.exit(1) }})'",
        NET,
    ),
    ("node", "node -e 'require(\"http\").createServer().listen(0)'", NET),
    ("npm", "cd {outside}/there.d && npm init -y", "disk-write-folder={outside}/there.d"),
    ("cargo", "cargo new {outside}/box1", OUT),
    ("gcc", "echo 'int main(){{}}' | TMPDIR=. gcc -x c - -o {outside}/a.out", OUT),
    ("make", "printf 'all:\\n\\ttouch {outside}/f\\n' > Makefile; make", OUT),
    ("curl", "curl https://example.org", NET),
    ("curl", "curl -s http://127.0.0.1:9", NET),
    ("wget", "wget -t 1 http://127.0.0.1:9", NET),
]


@pytest.mark.parametrize(("program", "script", "permission"), REAL)
def test_real_programs_in_a_real_sandbox(
    work: Path, outside: Path, tmp_path: Path, program: str, script: str, permission: str | None
) -> None:
    if not shutil.which(program) and program not in {"python", "pip"}:
        pytest.skip(f"there is no {program}")
    hidden = tmp_path / "hidden"
    for folder in (hidden, outside / "empty", outside / "there.d", outside / "repo"):
        folder.mkdir()
    for file in (hidden / "key", outside / "there"):
        file.write_text("x")
    if program == "git":
        git = ["git", "-c", "user.name=a", "-c", "user.email=a", "-C", str(outside / "repo")]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-qm", "a", "--allow-empty"], check=True)
    words = {"outside": str(outside), "hidden": str(hidden), "python": sys.executable, "connect": CONNECT}
    stopped, text = run_in_sandbox(script.format(**words), work, hidden)
    assert stopped is not None, text
    assert stopped.permission == (permission and permission.format(**words)), text


def test_real_failures_in_a_real_sandbox(work: Path) -> None:
    (work / "script").write_text("echo")
    for script in (
        "./script",
        "false",
        "cat missing",
        f"'{sys.executable}' -c 'assert 1 == 2'",
        "no-such-program",
    ):
        stopped, text = run_in_sandbox(script, work, work / "hidden")
        assert stopped is None, text


def run_in_sandbox(script: str, work: Path, hidden: Path) -> tuple[Denial | None, str]:
    """What was stopped of a shell's script that may write to the working folder, and what it printed."""
    if sys.platform != "linux":
        pytest.skip("landlock is a part of Linux")
    found = Plugins().part("sandbox", "landlock", config=None, parts=None)
    if reason := found.part.unavailable():
        pytest.skip(reason)
    command = Exec(("bash" if shutil.which("bash") else "/bin/sh", "-c", script), work, 20.0)
    fence = Fence(None, (work,), hidden=(hidden,) if hidden.exists() else ())
    launch = launch_in(found, command, {**os.environ, "LC_ALL": "C"}, fence)
    ended = anyio.run(_process.run, launch, 20.0, len)
    assert ended.exit_code != 0
    return denial(command, fence, Ran(ended.exit_code, ended.output, ended.seconds)), ended.output.text
