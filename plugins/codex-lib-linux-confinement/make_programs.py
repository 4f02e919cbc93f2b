"""Make the seccomp programs that are shipped in codex_lib_linux_confinement/programs. For developers.

Needs pyseccomp and libseccomp 2.5 or newer:

    python make_programs.py            writes the files
    python make_programs.py --check    says which of them differ, exit code 1 if any does

A program allows what it does not name. What it refuses fails with EPERM, which programs and people know, or
with ENOSYS where programs have something to fall back on. It is for one architecture: calls through any other
one (32-bit, x32) fail with ENOSYS. A rule that cannot be added is an error, never left out; the calls that an
architecture does not have are listed.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
import sys
import tempfile
from pathlib import Path

import pyseccomp
from pyseccomp import ERRNO, GT, MASKED_EQ, NE, Arg

FOLDER = Path(__file__).parent / "codex_lib_linux_confinement" / "programs"

REFUSE = ERRNO(errno.EPERM)
PRETEND_MISSING = ERRNO(errno.ENOSYS)

ARCHITECTURES = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}

# The kernel has no such call on this architecture.
MISSING = {
    "x86_64": "",
    "aarch64": "create_module query_module get_kernel_syms ioperm iopl uselib ustat sysfs open",
}

# Newer than the table of names in libseccomp 2.5; the same number everywhere (asm-generic/unistd.h).
OPEN_TREE_ATTR = 467

REFUSED = {
    "mounts": """
        mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr
        setns""",
    "the kernel itself, and parts of it with a bad record": """
        bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key
        request_key kexec_load kexec_file_load init_module finit_module delete_module create_module
        query_module get_kernel_syms syslog acct quotactl quotactl_fd swapon swapoff reboot ioperm iopl
        nfsservctl lookup_dcookie fanotify_init open_by_handle_at uselib ustat sysfs vhangup sethostname
        setdomainname settimeofday clock_settime clock_adjtime adjtimex""",
    # Not ptrace: landlock confines it to the command's own processes, and debuggers need it.
    "other processes": """
        process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd move_pages migrate_pages""",
    # Landlock knows files, not these; one that exists can be used by its number, so getting them is not all.
    "memory and messages shared with processes outside": """
        shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semtimedop semctl mq_open mq_unlink""",
}

# CLONE_NEW*: include/uapi/linux/sched.h. 0x80 (a time namespace) is part of the exit signal in clone's flags.
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
TIME_NAMESPACE = 0x80

TERMINAL_REQUESTS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD: typing into the user's terminal

LOW_HALF = 0xFFFFFFFF  # all that the kernel looks at where it takes an int
SOCKET_TYPE = 0xF  # without SOCK_NONBLOCK and SOCK_CLOEXEC: include/linux/net.h
LAST_FAMILY = 45  # AF_MCTP

O_ACCMODE_AND_TRUNC = 0o3 | 0o1000


class Filter:
    """A seccomp filter for one architecture that remembers nothing but its rules."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._filter = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
        self._filter.set_attr(pyseccomp.Attr.ACT_BADARCH, PRETEND_MISSING)
        wanted = ARCHITECTURES[machine]
        if pyseccomp.system_arch() != wanted:
            self._filter.add_arch(wanted)
            self._filter.remove_arch(pyseccomp.system_arch())

    def refuse(self, names: str, *arguments: Arg, action: int = REFUSE) -> None:
        """Refuse these calls where all comparisons hold. Raises LookupError for an unknown name."""
        for name in names.split():
            if name in MISSING[self._machine].split():
                continue
            if pyseccomp.resolve_syscall(ARCHITECTURES[self._machine], name) < 0:
                raise LookupError(f"libseccomp knows no {name} on {self._machine}")
            number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
            # libseccomp takes the running machine's number and translates it.
            self._filter.add_rule_exactly(action, number, *arguments)

    def refuse_low(self, names: str, argument: int, value: int, mask: int = LOW_HALF) -> None:
        """Refuse these calls where the masked argument has this value."""
        self.refuse(names, Arg(argument, MASKED_EQ, mask, value))

    def instructions(self) -> bytes:
        """The program, with a beginning of our own for the call that libseccomp has no name for."""
        with tempfile.TemporaryFile() as file:
            self._filter.export_bpf(file)
            file.seek(0)
            return _refuse_number(OPEN_TREE_ATTR) + file.read()


def _refuse_number(number: int) -> bytes:
    """Instructions to put before a program: refuse this call, otherwise go on."""
    load_number, jump_if_equal, give_back = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    instructions = ((load_number, 0, 0, 0), (jump_if_equal, 0, 1, number), (give_back, 0, 0, REFUSE))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def base(machine: str) -> Filter:
    """What no confined command may do, whatever the network."""
    program = Filter(machine)
    for names in REFUSED.values():
        program.refuse(names)
    program.refuse("clone3", action=PRETEND_MISSING)  # its flags are out of reach; there is clone instead
    for flag in NAMESPACES:
        program.refuse_low("clone unshare", 0, flag, mask=flag)
    program.refuse_low("unshare", 0, TIME_NAMESPACE, mask=TIME_NAMESPACE)
    for request in TERMINAL_REQUESTS:
        program.refuse_low("ioctl", 1, request)
    others = "prlimit64 sched_setaffinity sched_setscheduler sched_setparam sched_setattr"
    program.refuse(others, Arg(0, NE, 0))
    program.refuse("setpriority ioprio_set", Arg(1, NE, 0))
    program.refuse_low("setpriority", 0, 2)  # PRIO_USER: all processes of the user
    program.refuse_low("ioprio_set", 0, 3)  # IOPRIO_WHO_USER
    return program


def network_none(machine: str) -> Filter:
    """No sockets but unnamed unix streams, which is what asyncio, node and cargo talk to their children with.

    A datagram socket could send to any named one, by sendmsg(2), whose address is out of reach of seccomp.
    """
    program = base(machine)
    program.refuse("connect bind listen accept accept4")
    program.refuse("socket socketpair", Arg(0, NE, socket.AF_UNIX))
    refuse_datagrams(program, "socket socketpair")
    return program


def refuse_datagrams(program: Filter, names: str) -> None:
    """Refuse these calls for all kinds of socket but streams; to the kernel a raw unix socket is a datagram one."""
    for kind in range(SOCKET_TYPE + 1):
        if kind not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            program.refuse_low(names, 1, kind, mask=SOCKET_TYPE)


def network_all(machine: str) -> Filter:
    """The families that ordinary programs use, and no raw packets; root's command could read all traffic."""
    program = base(machine)
    allowed = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    for family in range(LAST_FAMILY + 1):
        if family not in allowed:
            program.refuse_low("socket", 0, family)
    program.refuse("socket", Arg(0, GT, LAST_FAMILY))
    for family in (socket.AF_INET, socket.AF_INET6):
        program.refuse("socket", Arg(0, MASKED_EQ, LOW_HALF, family), Arg(1, MASKED_EQ, SOCKET_TYPE, socket.SOCK_RAW))
    program.refuse_low("socket", 1, 10, mask=SOCKET_TYPE)  # SOCK_PACKET
    return program


def no_truncate(machine: str) -> Filter:
    """No emptying of files by name: what landlock misses before its version 3. Loaded beside one of the
    others.

    Opening for writing, which landlock does guard, may still truncate; ftruncate(2) needs a file that is
    open.
    """
    program = Filter(machine)
    program.refuse("truncate")
    program.refuse("openat2", action=PRETEND_MISSING)  # its flags are out of reach
    for name, flags in (("open", 1), ("openat", 2)):
        program.refuse_low(name, flags, 0o1000, mask=O_ACCMODE_AND_TRUNC)
    return program


def no_unix(machine: str) -> Filter:
    """No unix sockets but pairs of streams, as in `network_none`: what landlock misses before its version 9.

    Loaded beside `network_all` where writing is confined. A pair of streams can neither connect nor listen: unix(7).
    """
    program = Filter(machine)
    program.refuse_low("socket", 0, socket.AF_UNIX)
    refuse_datagrams(program, "socketpair")
    return program


PURPOSES = {
    "network-none": network_none,
    "network-all": network_all,
    "no-truncate": no_truncate,
    "no-unix": no_unix,
}


def programs() -> dict[str, bytes]:
    """All programs, by file name."""
    return {
        f"{machine}-{purpose}.bpf": make(machine).instructions()
        for machine in ARCHITECTURES
        for purpose, make in PURPOSES.items()
    }


def main() -> int:
    """Write or check the files."""
    if platform.machine() not in ARCHITECTURES:
        sys.exit(f"run this on one of: {', '.join(ARCHITECTURES)}")
    differing = [name for name, program in programs().items() if _shipped(name) != program]
    if sys.argv[1:] != ["--check"]:
        FOLDER.mkdir(exist_ok=True)
        for name, program in programs().items():
            (FOLDER / name).write_bytes(program)
    sys.stdout.write("".join(f"{name} differed\n" for name in differing))
    return 1 if differing and sys.argv[1:] == ["--check"] else 0


def _shipped(name: str) -> bytes:
    file = FOLDER / name
    return file.read_bytes() if file.exists() else b""


if __name__ == "__main__":
    sys.exit(main())
