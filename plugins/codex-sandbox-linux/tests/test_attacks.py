"""What a confined command must not do. Each attack is made without the sandbox too: it must work there."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from codex_sandbox_linux.landlock_sandbox import LandlockSandbox

from codex_host.permissions import Network

WRITES = {
    "create": "open(OUTSIDE + '/new', 'w')",
    "overwrite": "open(OUTSIDE + '/victim', 'r+').write('x')",
    "append": "open(OUTSIDE + '/victim', 'a').write('x')",
    "truncate while opening for reading": "os.open(OUTSIDE + '/victim', os.O_RDONLY | os.O_TRUNC)",
    "truncate by name": "os.truncate(OUTSIDE + '/victim', 0)",
    "through a descriptor of the folder": """
        folder = os.open(OUTSIDE, os.O_PATH)
        os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=folder)""",
    "an unnamed file": "os.open(OUTSIDE, os.O_TMPFILE | os.O_WRONLY)",
    "through /proc/self/root": "open('/proc/self/root' + OUTSIDE + '/new', 'w')",
    "through a symbolic link": """
        os.symlink(OUTSIDE + '/victim', WORK + '/link')
        open(WORK + '/link', 'w')""",
    "through a hard link": """
        os.link(OUTSIDE + '/victim', WORK + '/link')
        open(WORK + '/link', 'w')""",
    "a hard link to outside": "os.link(WORK + '/victim', OUTSIDE + '/link')",
    "rename": "os.rename(OUTSIDE + '/victim', OUTSIDE + '/moved')",
    "move out": "os.rename(OUTSIDE + '/victim', WORK + '/moved')",
    "move in": "os.rename(WORK + '/victim', OUTSIDE + '/moved')",
    "replace": "os.replace(WORK + '/victim', OUTSIDE + '/victim')",
    "exchange": """
        at = -100
        call('renameat2', at, (WORK + '/victim').encode(), at, (OUTSIDE + '/victim').encode(), 2)""",
    "remove": "os.unlink(OUTSIDE + '/victim')",
    "remove a folder": "os.rmdir(OUTSIDE + '/folder')",
    "make a folder": "os.mkdir(OUTSIDE + '/new')",
    "make a symbolic link": "os.symlink('/', OUTSIDE + '/new')",
    "make a pipe": "os.mkfifo(OUTSIDE + '/new')",
    "make a socket": "socket.socket(socket.AF_UNIX).bind(OUTSIDE + '/new')",
    "write to a pipe": "os.write(os.open(OUTSIDE + '/fifo', os.O_RDWR | os.O_NONBLOCK), b'x')",
    "by file handle": """
        handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0), 136)
        mount = ctypes.c_int()
        call('name_to_handle_at', -100, OUTSIDE.encode(), handle, ctypes.byref(mount), 0)
        top = os.open(OUTSIDE, os.O_RDONLY)
        found = call('open_by_handle_at', top, handle, os.O_RDONLY)
        os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=found)""",
    "the folder of the parent process": """
        os.mkdir(f'/proc/{PARENT}/root' + OUTSIDE + '/new')""",
    "make a device that stands for nothing": "os.mknod(OUTSIDE + '/new', 0o20666, 0)",  # an overlay's whiteout
}

HIDDEN_WRITES = {
    **{name: code.replace("OUTSIDE", "HIDDEN") for name, code in WRITES.items()},
    "move the folder": "os.rename(HIDDEN, WORK + '/moved')",
    "exchange the folder": """
        at = -100
        call('renameat2', at, (WORK + '/folder').encode(), at, HIDDEN.encode(), 2)""",
    "move a folder above": """
        above = os.path.dirname(HIDDEN)
        os.rename(above, above + '.moved')
        os.rename(above + '.moved', above)""",
}

READS = {
    "hidden": "open(HIDDEN + '/victim').read()",
    "hidden, through /proc": "open('/proc/self/root' + HIDDEN + '/victim').read()",
    "hidden, through the parent": "open(f'/proc/{PARENT}/root' + HIDDEN + '/victim').read()",
    "hidden, by hard link": """
        os.link(HIDDEN + '/victim', WORK + '/link')
        open(WORK + '/link').read()""",
    "hidden, by symbolic link": """
        os.symlink(HIDDEN + '/victim', WORK + '/link')
        open(WORK + '/link').read()""",
    "hidden, by moving it": """
        os.rename(HIDDEN + '/victim', WORK + '/moved')
        open(WORK + '/moved').read()""",
    "hidden, by moving its folder": """
        os.rename(HIDDEN, WORK + '/moved')
        open(WORK + '/moved/victim').read()""",
    "hidden, executing": "os.execv(HIDDEN + '/script', ['script'])",
    "the terminal multiplexer": "os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)",
    "the kernel's log": "os.open('/dev/kmsg', os.O_RDONLY)",
    "a disk": """
        import stat
        disks = [e.path for e in os.scandir('/dev') if stat.S_ISBLK(e.stat(follow_symlinks=False).st_mode)]
        os.read(os.open(sorted(disks)[-1], os.O_RDONLY), 1)""",
    "a device of one's own making": """
        os.mknod(WORK + '/zero', 0o20666, os.makedev(1, 5))
        os.read(os.open(WORK + '/zero', os.O_RDONLY), 1)""",
    "a disk of one's own making": "os.mknod(WORK + '/disk', 0o60666, os.makedev(7, 0))",
    "shared memory outside": "open('/dev/shm/codex-laboratory', 'w')",
}

PROCESSES = {
    "signal": "os.kill(PARENT, 0)",
    "signal by descriptor": "signal.pidfd_send_signal(os.pidfd_open(PARENT), 0)",
    "trace": "call('ptrace', 0x4206, PARENT, None, None)",
    "environment": "open(f'/proc/{PARENT}/environ').read()",
    "memory": """
        memory = os.open(f'/proc/{PARENT}/mem', os.O_RDONLY)
        os.pread(memory, 6, ADDRESS)""",
    "memory by system call": """
        there = (ctypes.c_size_t * 2)(ADDRESS, 6)
        space = ctypes.create_string_buffer(6)
        here = (ctypes.c_size_t * 2)(ctypes.addressof(space), 6)
        call('process_vm_readv', PARENT, here, 1, there, 1, 0)""",
    "descriptors": "syscall(438, os.pidfd_open(PARENT), 2, 0)",  # pidfd_getfd
    "limits": "import resource; resource.prlimit(PARENT, resource.RLIMIT_CORE)",
    "priority": "os.setpriority(os.PRIO_PROCESS, PARENT, os.getpriority(os.PRIO_PROCESS, PARENT))",
    "priority of a user": "os.setpriority(os.PRIO_USER, 0, os.getpriority(os.PRIO_USER, 0))",
    "processors": "os.sched_setaffinity(PARENT, os.sched_getaffinity(PARENT))",
    "scheduling": "os.sched_setscheduler(PARENT, os.SCHED_OTHER, os.sched_param(0))",
    "shared memory": """
        size, make = 4096, 0o1600
        got = call('shmget', 0, size, make)
        call('shmctl', got, 0, None)""",
    "semaphores": "call('semctl', call('semget', 0, 1, 0o1600), 0, 0, 0)",
    "messages": "call('msgctl', call('msgget', 0, 0o1600), 0, None)",
    "named messages": """
        name = b'/codex-laboratory-%d' % os.getpid()
        rt = ctypes.CDLL('librt.so.1', use_errno=True)
        checked(rt.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None))
        checked(rt.mq_unlink(name))""",
}

KERNEL = {
    "a new user": "call('unshare', 0x10000000)",
    "a new mount table": "call('unshare', 0x20000)",
    "a new clock": "call('unshare', 0x80)",
    "a child that is a new user": """
        flags = 0x10000000 | signal.SIGCHLD
        number = {'x86_64': 56, 'aarch64': 220}[os.uname().machine]
        child = syscall(number, flags, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)""",
    "clone3": "syscall(435, 0, 0)",
    "the parent's mount table": "call('setns', os.open(f'/proc/{PARENT}/ns/mnt', os.O_RDONLY), 0x20000)",
    "mount": """
        call('mount', b'none', (WORK + '/folder').encode(), b'tmpfs', 0, None)
        call('umount2', (WORK + '/folder').encode(), 2)""",
    "open_tree": "syscall(428, -100, WORK.encode(), 1)",
    "open_tree_attr": "syscall(467, -100, WORK.encode(), 1, 0, 0)",
    "fsopen": "syscall(430, b'tmpfs', 0)",
    "chroot": "os.chroot(WORK)",
    "io_uring": """
        space = ctypes.create_string_buffer(256)
        syscall(425, 1, space)""",
    "bpf": "syscall({'x86_64': 321, 'aarch64': 280}[os.uname().machine], 0, 0, 0)",
    "performance counters": "syscall({'x86_64': 298, 'aarch64': 241}[os.uname().machine], 0, 0, 0, 0, 0)",
    "user faults": "syscall({'x86_64': 323, 'aarch64': 282}[os.uname().machine], 1)",
    "keys": "syscall({'x86_64': 250, 'aarch64': 219}[os.uname().machine], 0, -3, 0)",
    "typing into the terminal": """
        import fcntl
        fcntl.ioctl(0, 0x5412, b'x')""",
    "typing, with garbage in the upper half": "call('ioctl', 0, ctypes.c_ulong(0x100005412), b'x')",
    "host name": "socket.sethostname(socket.gethostname())",
}

NETWORK = {
    "TCP": "socket.socket(socket.AF_INET).connect(('127.0.0.1', 9))",
    "TCP over IPv6": "socket.socket(socket.AF_INET6).connect(('::1', 9))",
    "TCP fast open": "socket.socket(socket.AF_INET).sendto(b'x', 0x20000000, ('127.0.0.1', 9))",
    "MPTCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', 9))",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "server": "socket.socket(socket.AF_INET).listen()",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "kernel cryptography": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "a pair of unix datagram sockets": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "a unix datagram socket, called raw": "socket.socket(socket.AF_UNIX, socket.SOCK_RAW)",
    "a unix datagram socket": "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)",
    "a named stream socket": "socket.socket(socket.AF_UNIX).connect(os.path.dirname(WORK) + '/stream')",
    "a named datagram socket": """
        one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.sendto(b'x', os.path.dirname(WORK) + '/datagram')""",
    "an abstract socket": "socket.socket(socket.AF_UNIX).connect('\\0' + os.path.dirname(WORK))",
}

NAMED_SOCKETS = {
    name: NETWORK[name] for name in ("a named stream socket", "a named datagram socket", "an abstract socket")
} | {
    "a datagram socket of its own": """
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', os.path.dirname(WORK) + '/datagram')""",
}

RAW_NETWORK = {
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "raw IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)",
    "packet": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "packet, cooked": "socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)",
    "packet, as long ago": "socket.socket(socket.AF_INET, 10, socket.htons(3))",
    "virtual machine": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "a family that does not exist": "socket.socket(77, socket.SOCK_STREAM)",
}

FOREIGN = """
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex('53b814000000cd805bc3'))  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
answer = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
if answer < 0:
    raise OSError(-answer, 'int 0x80')
"""


def lines(code):
    """The code without the margin of this file."""
    import textwrap

    return textwrap.dedent(code)


def is_refused(laboratory, code, fence):
    """Assert that the attack is refused; skip if it would be without the sandbox, and by the same error."""
    before = laboratory.seen()
    result = laboratory.attack(lines(code), fence)
    assert result.refused, result
    assert laboratory.seen() == before
    laboratory.reset()
    bare = laboratory.attack(lines(code), None)
    if bare == result:
        pytest.skip(f"refused, but so it is without the sandbox: {bare.output.strip()}")


@pytest.mark.parametrize("name", WRITES)
def test_writing_outside(laboratory, name):
    is_refused(laboratory, WRITES[name], laboratory.fence)


@pytest.mark.parametrize("name", HIDDEN_WRITES)
def test_writing_what_is_hidden_where_all_else_may_be_written(laboratory, name):
    is_refused(laboratory, HIDDEN_WRITES[name], replace(laboratory.fence, writable=None, network=Network.ALL))


@pytest.mark.parametrize("name", READS)
def test_reading(laboratory, name):
    is_refused(laboratory, READS[name], laboratory.fence)
    Path("/dev/shm/codex-laboratory").unlink(missing_ok=True)


@pytest.mark.parametrize("name", PROCESSES)
def test_other_processes(laboratory, name):
    is_refused(laboratory, PROCESSES[name], laboratory.fence)


@pytest.mark.parametrize("name", KERNEL)
def test_the_kernel(laboratory, name):
    is_refused(laboratory, KERNEL[name], laboratory.fence)


# The rest is seccomp's alone, to whom all users are alike.


@pytest.fixture
def listeners(own_laboratory):
    """Unix sockets outside that anybody may speak to, as those of docker and systemd."""
    with (
        socket.socket(socket.AF_UNIX) as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as packets,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        for each, address in (
            (stream, f"{own_laboratory.top}/stream"),
            (packets, f"{own_laboratory.top}/packets"),
            (abstract, f"\0{own_laboratory.top}"),
        ):
            each.bind(address)
            each.listen()
        datagram.bind(f"{own_laboratory.top}/datagram")
        for path in ("stream", "packets", "datagram"):
            (own_laboratory.top / path).chmod(0o777)
        yield


@pytest.mark.usefixtures("listeners")
@pytest.mark.parametrize("name", [*NETWORK, *RAW_NETWORK])
def test_no_network(own_laboratory, name):
    is_refused(own_laboratory, (NETWORK | RAW_NETWORK)[name], own_laboratory.fence)


@pytest.mark.usefixtures("listeners")
@pytest.mark.parametrize("abi", [None, 1])
@pytest.mark.parametrize("name", NAMED_SOCKETS)
def test_unix_sockets_outside_even_with_all_network(own_laboratory, name, abi):
    """Who listens there could write what the command may not."""
    own_laboratory.sandbox = LandlockSandbox(abi)
    assert own_laboratory.attack(lines(NAMED_SOCKETS[name]), None).code == 0
    is_refused(own_laboratory, NAMED_SOCKETS[name], replace(own_laboratory.fence, network=Network.ALL))


@pytest.mark.usefixtures("listeners")
@pytest.mark.parametrize(("kind", "path"), [("SOCK_STREAM", "stream"), ("SOCK_SEQPACKET", "packets")])
def test_a_pair_of_streams_cannot_be_turned_to_another_socket(own_laboratory, kind, path):
    """The kernel's own rule, which the seccomp programs build upon."""
    code = f"""
        one, other = socket.socketpair(socket.AF_UNIX, socket.{kind})
        other.close()
        one.connect(os.path.dirname(WORK) + '/{path}')"""
    result = own_laboratory.attack(lines(code), replace(own_laboratory.fence, network=Network.ALL))
    assert result.output.strip() in ("EISCONN", "EPERM", "EACCES"), result


@pytest.mark.parametrize("name", RAW_NETWORK)
def test_raw_network_even_with_all_network(own_laboratory, name):
    is_refused(own_laboratory, RAW_NETWORK[name], replace(own_laboratory.fence, network=Network.ALL))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has a second way to make system calls")
def test_system_calls_of_another_architecture(own_laboratory):
    is_refused(own_laboratory, FOREIGN, own_laboratory.fence)


@pytest.mark.parametrize("network", list(Network))
def test_everything_but_files_is_refused_where_all_may_be_written(laboratory, network):
    fence = replace(laboratory.fence, writable=None, hidden=(), network=network)
    for name in ("trace", "environment", "signal"):
        assert laboratory.attack(lines(PROCESSES[name]), fence).refused, name
    for name in ("mount", "open_tree", "a new user"):
        assert laboratory.attack(lines(KERNEL[name]), fence).refused, name


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_an_older_landlock(own_laboratory, abi):
    """What the interface of an older kernel leaves open to files is closed otherwise."""
    own_laboratory.sandbox = LandlockSandbox(abi)
    attacks = [
        "truncate by name",
        "truncate while opening for reading",
        "create",
        "move in",
        "through a hard link",
    ]
    for name in attacks:
        before = own_laboratory.seen()
        assert own_laboratory.attack(lines(WRITES[name]), own_laboratory.fence).refused, name
        assert own_laboratory.seen() == before
        assert own_laboratory.attack(lines(HIDDEN_WRITES[name]), replace(own_laboratory.fence, writable=None)).refused
        assert own_laboratory.seen() == before
    assert own_laboratory.attack("open(WORK + '/victim', 'w').truncate()", own_laboratory.fence).code == 0


def test_a_folder_replaced_by_a_link_opens_nothing(own_laboratory):
    """What one command writes must not lead the next one out."""
    upper = own_laboratory.work / "upper"
    root = upper / "root"
    root.mkdir(parents=True)
    fence = replace(own_laboratory.fence, writable=(own_laboratory.work, root))
    assert own_laboratory.shell(f"mv {upper} {upper}.old; ln -s {own_laboratory.outside} {upper}", fence).code == 0
    (own_laboratory.outside / "root").mkdir()
    result = own_laboratory.attack("open(OUTSIDE + '/root/new', 'w')", fence)
    assert result.refused
    assert not list((own_laboratory.outside / "root").iterdir())


def test_no_capability_is_left(laboratory):
    status = laboratory.run("/bin/cat", "/proc/self/status", fence=laboratory.fence).output
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    assert values["NoNewPrivs"] == "1"
    assert values["Seccomp"] == "2"
    sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"]
    if laboratory.user is None and os.geteuid() == 0:
        sets.append("CapBnd")
    assert {int(values[name], 16) for name in sets} == {0}


def test_set_user_id_programs_gain_nothing(laboratory):
    if os.geteuid() != 0:
        pytest.skip("only root can make such a program")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        program = Path(folder, "id")
        program.write_bytes(Path("/usr/bin/id").read_bytes())
        os.chown(program, 1, 1)
        program.chmod(0o6755)
        bare = laboratory.run(str(program), "-u", fence=None).output.strip()
        confined = laboratory.run(str(program), "-u", fence=laboratory.fence).output.strip()
    assert confined == str(laboratory.user or os.getuid())
    if bare != "1":
        pytest.skip("the file system ignores set-user-ID")
