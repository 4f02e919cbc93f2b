"""What must go on inside the sandbox, and how the process that starts it stays as it was."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import codex_sandbox_linux
import pytest

from codex_host.actions import Exec
from codex_host.errors import SandboxError
from codex_host.parts import Launch
from codex_host.permissions import Guarantee, Network, system_folders

LINES = {
    "git": """
        git init -q . && echo text > file && git add file
        git -c user.name=n -c user.email=e@x commit -qm message && git mv file folder/ && git stash -q
        git log --oneline | grep -q message""",
    "pipelines": """
        printf '3\\n1\\n2\\n' | sort | tr -d '\\n' > sorted 2> /dev/null; test "$(cat sorted)" = 123
        test "$(cat <(echo inner) <<< outer)" = inner; cat <<< here | grep -q here; echo err > /dev/stderr""",
    "sort with temporary files": """
        seq 50000 > numbers; sort -R -S 100K numbers > /dev/null; test -w "$(mktemp)"
        head -c 9 /dev/urandom > random""",
    "moving between folders": "mkdir -p a/b c; echo x > a/b/f; mv a/b c/; cp -r c d; ln d/b/f d/g; rm -r c d",
    "a compiler": "echo 'int main(void) { return 0; }' > main.c; gcc -o main main.c; ./main",
    "node": """
        node -e "require('child_process')
            .execFile('echo', ['x'], (e, out) => { if (e || out !== 'x\\n') throw e })" """,
    "tracing one's own children": "strace -f -o trace true; grep -q execve trace",
    "background processes": "sleep 60 & kill %1; wait %1 || true; (exit 3) || test $? = 3",
    "listing what is hidden": "ls -A ../hidden / /dev > /dev/null; test -e ../hidden/victim; find .. > out",
}
NEEDS = {"git": "git", "a compiler": "gcc", "node": "node", "tracing one's own children": "strace"}

ASYNCIO = """
import asyncio
async def main():
    child = await asyncio.create_subprocess_exec('echo', 'x', stdin=-1, stdout=-1)
    out, _ = await child.communicate(b'')
    assert out == b'x\\n'
    await asyncio.to_thread(open, 'written', 'w')
asyncio.run(main())
"""

MULTIPROCESSING = """
import multiprocessing
here, there = multiprocessing.Pipe()
child = multiprocessing.get_context('fork').Process(target=there.send, args=('x',))
child.start()
assert here.recv() == 'x'
child.join()
"""

NETWORK = """
import socket
with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname()):
    server.accept()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
socket.getaddrinfo('localhost', 80)
socket.if_nameindex()
"""


@pytest.mark.parametrize("name", LINES)
def test_shell(laboratory, name):
    if name in NEEDS and not shutil.which(NEEDS[name]):
        pytest.skip(f"there is no {NEEDS[name]}")
    result = laboratory.shell(LINES[name], laboratory.fence)
    assert result.code == 0, result


@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize("code", [ASYNCIO, MULTIPROCESSING], ids=["asyncio", "multiprocessing"])
def test_python(laboratory, code, network):
    result = laboratory.run(laboratory.python, "-I", "-c", code, fence=replace(laboratory.fence, network=network))
    assert result.code == 0, result


def test_a_manager_of_multiprocessing_needs_an_address_of_the_network(own_laboratory):
    """A limit to know of: by default its server is a named unix socket."""
    code = """if True:
        from multiprocessing.managers import SyncManager
        with SyncManager(('127.0.0.1', 0)) as manager:
            assert manager.dict(key='x')['key'] == 'x'"""
    fence = replace(own_laboratory.fence, network=Network.ALL)
    result = own_laboratory.run(sys.executable, "-I", "-c", code, fence=fence)
    assert result.code == 0, result


def test_multiprocessing_locks_need_the_shared_temporary_folder(own_laboratory):
    """A limit to know of: POSIX semaphores live in /dev/shm, which other processes share."""
    code = "import multiprocessing; multiprocessing.Lock()"
    fence = own_laboratory.fence
    assert "Permission denied" in own_laboratory.run(sys.executable, "-c", code, fence=fence).output
    wider = replace(fence, writable=(own_laboratory.work, Path("/dev/shm")))
    assert own_laboratory.run(sys.executable, "-c", code, fence=wider).code == 0


def test_all_network(laboratory):
    fence = replace(laboratory.fence, network=Network.ALL)
    result = laboratory.run(laboratory.python, "-I", "-c", NETWORK, fence=fence)
    assert result.code == 0, result


def test_no_writing_at_all(laboratory):
    fence = replace(laboratory.fence, writable=())
    assert laboratory.shell("ls > /dev/null; cat /etc/passwd | wc -l", fence).code == 0
    assert laboratory.attack("open(WORK + '/new', 'w')", fence).refused


def test_writing_everywhere(laboratory):
    """All but the hidden may be read and written, and moved from folder to folder."""
    fence = replace(laboratory.fence, writable=None)
    result = laboratory.shell(f"cd {laboratory.outside}; mv victim folder/; echo x > new; cat new folder/victim", fence)
    assert result.code == 0, result
    for attack in ("open(HIDDEN + '/victim')", "os.rename(HIDDEN + '/victim', WORK + '/moved')"):
        assert laboratory.attack(attack, fence).refused


@pytest.mark.parametrize("name", LINES)
def test_shell_that_writes_everywhere(own_laboratory, name):
    if name in NEEDS and not shutil.which(NEEDS[name]):
        pytest.skip(f"there is no {NEEDS[name]}")
    result = own_laboratory.shell(LINES[name], replace(own_laboratory.fence, writable=None))
    assert result.code == 0, result


def test_writing_everywhere_but_directly_above_what_is_hidden(laboratory):
    """A limit to know of: the folders above a hidden path keep the entries they have; these can be changed."""
    beside = laboratory.top / "beside"
    beside.write_text("old")
    os.chown(beside, laboratory.user or -1, laboratory.user or -1)
    fence = replace(laboratory.fence, writable=None)
    assert laboratory.shell("echo changed > ../beside; cat ../beside", fence).output == "changed\n"
    for attack in ("os.unlink({0} + '/beside')", "open({0} + '/new', 'w')"):
        assert laboratory.attack(attack.format("os.path.dirname(HIDDEN)"), fence).refused
    assert laboratory.attack("os.rmdir(OUTSIDE + '/folder')", fence).code == 0


def test_writing_everywhere_with_reading_confined(laboratory):
    """The right to write is none to read."""
    fence = replace(laboratory.fence, readable=(laboratory.work, *system_folders()), writable=None)
    assert laboratory.attack("open(OUTSIDE + '/new', 'w').write('x')", fence).code == 0
    for attack in ("open(OUTSIDE + '/victim')", "os.listdir(OUTSIDE)", "open(HIDDEN + '/new', 'w')"):
        assert laboratory.attack(attack, fence).refused, attack


def test_unix_sockets_where_all_may_be_written(own_laboratory):
    fence = replace(own_laboratory.fence, writable=None, hidden=(), network=Network.ALL)
    assert own_laboratory.attack("socket.socket(socket.AF_UNIX).bind(WORK + '/socket')", fence).code == 0


def test_reading_confined(laboratory):
    """Programs start and work in the readable folder, and the others stay closed to them."""
    fence = replace(laboratory.fence, readable=(laboratory.work, *system_folders()))
    line = "cat victim > copy; ls /usr/bin > /dev/null; cat /proc/self/status | sort > out; ./script"
    assert laboratory.shell(line, fence).code == 0
    for attack in (
        "open(OUTSIDE + '/victim')",
        "os.listdir(OUTSIDE)",
        "os.listdir('/')",
        "open(HIDDEN + '/victim')",
        "os.execv(OUTSIDE + '/script', ['script'])",
        "open(f'/proc/{PARENT}/environ')",
    ):
        assert laboratory.attack(attack, fence).refused, attack


def test_a_single_file_may_be_writable(own_laboratory):
    fence = replace(own_laboratory.fence, writable=(own_laboratory.outside / "victim",))
    assert own_laboratory.attack("open(OUTSIDE + '/victim', 'w').write('x')", fence).code == 0
    assert own_laboratory.attack("os.unlink(OUTSIDE + '/victim')", fence).refused


def test_hiding_below_a_writable_folder_is_refused(own_laboratory):
    fence = replace(own_laboratory.fence, hidden=(own_laboratory.work / "victim",))
    with pytest.raises(SandboxError, match=r"cannot hide .*/work/victim"):
        own_laboratory.run("true", fence=fence)


def test_a_writable_folder_below_a_hidden_one_stays_closed(own_laboratory):
    fence = replace(own_laboratory.fence, writable=(own_laboratory.hidden / "folder",))
    assert own_laboratory.attack("open(HIDDEN + '/folder/new', 'w')", fence).refused


def test_a_folder_made_anew_is_the_writable_one(own_laboratory):
    """Rules hold inodes, so they are made again when a folder was replaced."""
    assert own_laboratory.attack("open(WORK + '/new', 'w')", own_laboratory.fence).code == 0
    own_laboratory.reset()
    assert own_laboratory.attack("open(WORK + '/new', 'w')", own_laboratory.fence).code == 0


def test_nothing_is_left_behind(own_laboratory):
    """After many commands this process has the same descriptors, threads, rights and sockets as before."""
    rights = _status()
    own_laboratory.run("true", fence=own_laboratory.fence)
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(200):
        assert own_laboratory.run("/bin/true", fence=own_laboratory.fence).code == 0
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert _status() == rights
    (own_laboratory.outside / "new").write_text("free")
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    subprocess.run(["/bin/touch", own_laboratory.outside / "newer"], check=True)


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: line for line in lines if line.startswith(("Cap", "NoNewPrivs", "Seccomp"))}


def test_descriptors_are_given_back_when_the_session_ends(own_laboratory):
    async def session() -> None:
        async with own_laboratory.sandbox as sandbox:
            for network in Network:
                fence = replace(own_laboratory.fence, network=network)
                launch = sandbox.confine(Exec(("true",), own_laboratory.work), {}, fence)
                assert launch.close is not None
                launch.close()
                launch.close()

    before = sorted(os.listdir("/proc/self/fd"))
    asyncio.run(session())
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_failing_restriction_runs_nothing(own_laboratory):
    """A ruleset that is gone stands for any step that fails."""
    own_laboratory.sandbox = _Closing(own_laboratory.sandbox)
    with pytest.raises(SandboxError, match="landlock_restrict_self"):
        own_laboratory.run("/bin/touch", "new", fence=own_laboratory.fence)
    assert not (own_laboratory.work / "new").exists()


class _Closing:
    """A sandbox that loses its ruleset before it is used."""

    def __init__(self, inner) -> None:
        self._inner = inner

    def confine(self, command, env, fence) -> Launch:
        launch = self._inner.confine(command, env, fence)
        launch.close()
        return launch


def test_the_hook_answers_for_its_name_only():
    sandbox = codex_sandbox_linux.codex_sandbox("landlock")
    assert sandbox is not None
    assert sandbox.unavailable() is None
    assert sandbox.guarantees == set(Guarantee)
    assert codex_sandbox_linux.codex_sandbox("seatbelt") is None


def test_importing_the_hook_loads_nothing_heavy():
    code = "import sys, codex_sandbox_linux; print(sorted(sys.modules))"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    loaded = ast.literal_eval(done.stdout)
    assert not {"ctypes", "asyncio", "subprocess", "codex_lib_linux_confinement"} & set(loaded)
